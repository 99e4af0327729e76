//! `strata runs`.

use clap::Args;
use forge_bridge::views::{RunFilter, RunSummary, Runs, Standing};

use crate::args::{Asking, Paging};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// Most characters of a cause in the table: which parent moved, and not by which chain. `strata
/// status` has the whole.
const MAX_CAUSE_CHARS: usize = 60;

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
        Cell::beginning(&run.cause, MAX_CAUSE_CHARS),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cause_is_cut() {
        let chain = "parent registry.example/f43/core:latest moved from 0123456789ab to ba9876543210 \
                     (chain: containers/core@f43 ← parent registry.example/fedora:43 moved)";
        let cell = Cell::beginning(chain, MAX_CAUSE_CHARS);
        let shown = "parent registry.example/f43/core:latest moved from 01234567…";
        assert_eq!(cell, Cell::plain(shown));
        assert_eq!(Cell::beginning("push", MAX_CAUSE_CHARS), Cell::plain("push"));
    }
}
