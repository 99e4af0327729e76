//! `strata rerun`: run a run again, as a new one.

use clap::Args;
use forge_bridge::views::RunDetail;
use workflows::ids::RunId;

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::Output;

/// Which run to run again, and what of it.
#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The run, which must be over.
    run: RunId,
    /// Only jobs that did not succeed, and those that stand on them; the others' results stay.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

/// Asks for it; the answer is the new run.
pub(crate) async fn run(args: RerunArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let token_file = args.operator.token_file()?;
    let id = args.run.to_string();
    let path = ["runs", &id, "rerun"];
    let query = args.failed.then_some([("failed", "true")]);
    let detail: RunDetail = bridge.post_query(&path, &query, &token_file).await?;
    if output.is_json() {
        return Ok(output.json(&detail)?);
    }
    let (new, attempt) = (detail.run.id, detail.run.attempt);
    Ok(output.line(&format!(
        "run {new} is attempt {attempt} of run {}; `strata logs {new} --follow` shows it",
        detail.rerun_of.unwrap_or(args.run)
    ))?)
}
