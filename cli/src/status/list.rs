//! `strata status list`: what forges were told, and what they refused.

use clap::Args;
use forge_bridge::views::{ListedStatus, StatusFilter, Statuses};

use crate::args::{Asking, Paging};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};
use crate::runs::short_commit;

/// Which statuses to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those that a forge finally refused, with its reason.
    #[arg(long)]
    refused: bool,
    /// Only those that their forge has not been told yet.
    #[arg(long, conflicts_with = "refused")]
    behind: bool,
    /// Of this repository, by its path on the forge.
    #[arg(long)]
    repository: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let state = match (args.refused, args.behind) {
        (true, _) => Some("refused".to_owned()),
        (_, true) => Some("behind".to_owned()),
        _ => None,
    };
    let filter = StatusFilter {
        state,
        repository: args.repository,
        before: args.paging.before,
        limit: Some(args.paging.limit),
    };
    let list: Statuses = bridge.get(&["statuses"], &filter).await?;
    if output.is_json() {
        return Ok(output.json(&list)?);
    }
    if list.statuses.is_empty() {
        return Ok(output.line("No status matches.")?);
    }
    let rows: Vec<Vec<Cell>> = list.statuses.iter().map(|status| row(status, &output)).collect();
    let heading = [
        "RUN",
        "STATE",
        "AT FORGE",
        "REPOSITORY",
        "COMMIT",
        "CONTEXT",
        "WHEN",
        "DESCRIPTION",
        "WHY",
    ];
    output.table(&heading, &rows)?;
    if let Some(next) = list.next {
        output.line(&format!("Older ones: --before {next}"))?;
    }
    Ok(())
}

fn row(status: &ListedStatus, output: &Output) -> Vec<Cell> {
    vec![
        Cell::plain(status.run.to_string()),
        Cell::word(&status.state),
        Cell::word(&status.standing),
        Cell::plain(&status.repository),
        Cell::plain(short_commit(&status.commit)),
        Cell::plain(&status.context),
        output.ago(status.changed_at),
        Cell::plain(&status.description),
        Cell::plain(status.refusal.as_deref().unwrap_or_default()),
    ]
}
