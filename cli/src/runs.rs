//! `strata runs`.

use clap::Args;
use forge_bridge::views::{RunFilter, RunSummary, Runs, Standing};

use crate::args::{Asking, Paging};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// Which runs to list.
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Of this repository, by its path on the forge.
    #[arg(long)]
    repository: Option<String>,
    /// On this branch, tag or full ref.
    #[arg(long = "ref", value_name = "REF")]
    ref_name: Option<String>,
    /// In this state, or ended in this way.
    #[arg(long)]
    state: Option<Standing>,
    /// Of this release.
    #[arg(long)]
    release: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(args: RunsArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let filter = RunFilter {
        repository: args.repository,
        ref_name: args.ref_name,
        state: args.state,
        release: args.release,
        before: args.paging.before,
        limit: Some(args.paging.limit),
    };
    let list: Runs = bridge.get(&["runs"], &filter).await?;
    if output.is_json() {
        return Ok(output.json(&list)?);
    }
    if list.runs.is_empty() {
        return Ok(output.line("No run matches.")?);
    }
    let rows: Vec<Vec<Cell>> = list.runs.iter().map(|run| row(run, &output)).collect();
    let heading = [
        "RUN",
        "STATE",
        "REPOSITORY",
        "REF",
        "COMMIT",
        "WORKFLOW",
        "CAUSE",
        "WHEN",
        "TOOK",
        "MESSAGE",
    ];
    output.table(&heading, &rows)?;
    if let Some(next) = list.next {
        output.line(&format!("Older ones: --before {next}"))?;
    }
    Ok(())
}

fn row(run: &RunSummary, output: &Output) -> Vec<Cell> {
    vec![
        Cell::plain(run.id.to_string()),
        Cell::word(run.standing().as_str()),
        Cell::plain(&run.repository),
        Cell::plain(short_ref(&run.ref_name)),
        Cell::plain(short_commit(&run.commit)),
        Cell::plain(workflow(run)),
        Cell::plain(&run.cause),
        output.ago(run.created_at),
        output.span(run.started_at, run.finished_at),
        Cell::plain(&run.message),
    ]
}

/// The workflow, and what it calls this run.
pub(crate) fn workflow(run: &RunSummary) -> String {
    match &run.run_name {
        Some(name) => format!("{}: {name}", run.workflow),
        None => run.workflow.clone(),
    }
}

/// A branch by its name, anything else by what tells it from one.
pub(crate) fn short_ref(ref_name: &str) -> &str {
    let prefixes = ["refs/heads/", "refs/"];
    prefixes.iter().find_map(|prefix| ref_name.strip_prefix(prefix)).unwrap_or(ref_name)
}

/// The first twelve digits.
pub(crate) fn short_commit(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
