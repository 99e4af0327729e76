//! `strata status retry`: post again what a forge refused.

use clap::Args;
use forge_bridge::views::{Retried, RetryRequest};
use workflows::ids::RunId;

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::Output;

/// Which refused statuses, and who asks.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Those of this run.
    #[arg(required_unless_present = "all")]
    run: Option<RunId>,
    /// Those of all runs that you may ask about.
    #[arg(long, conflicts_with = "run")]
    all: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(args: RetryArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let request = RetryRequest { run: args.run };
    let token_file = args.operator.token_file()?;
    let path = ["statuses", "retry"];
    let retried: Retried = bridge.post_json(&path, &token_file, &request).await?;
    if output.is_json() {
        return Ok(output.json_line(&retried)?);
    }
    Ok(output.line(&format!("Refused statuses that are tried again: {}", retried.statuses))?)
}
