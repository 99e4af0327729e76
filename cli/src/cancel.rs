//! `strata cancel`: stop a run.

use clap::Args;
use forge_bridge::views::RunDetail;
use workflows::ids::RunId;
use workflows::state::RunState;

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::Output;

/// Which run to stop, and how.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run.
    run: RunId,
    /// Stop the jobs too whose `if` asks to go on, such as `always()`.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

/// Asks for it; what a runner has stops within its next heartbeat.
pub(crate) async fn run(args: CancelArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let token_file = args.operator.token_file()?;
    let id = args.run.to_string();
    let path = ["runs", &id, "cancel"];
    let query = args.force.then_some([("force", "true")]);
    let detail: RunDetail = bridge.post_query(&path, &query, &token_file).await?;
    if output.is_json() {
        return Ok(output.json(&detail)?);
    }
    Ok(output.line(&match detail.run.state {
        RunState::Finished => format!("run {id} is cancelled"),
        _ => format!("run {id} stops; `strata logs {id} --follow` shows what goes on"),
    })?)
}
