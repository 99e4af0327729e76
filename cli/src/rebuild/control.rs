//! `strata rebuild start|stop|retry`: what an operator says of rebuilds.

use clap::Args;
use forge_bridge::views::{ControlRequest, Controlled, MAX_REASON_CHARS};

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::Output;

/// Which images.
#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    /// An image as `strata stale` names it, such as containers/httpd@f43.
    #[arg(value_name = "IMAGE", required_unless_present_any = ["release", "all"])]
    image: Option<String>,
    /// All images of this release.
    #[arg(long)]
    release: Option<String>,
    /// All images of all releases.
    #[arg(long, conflicts_with_all = ["image", "release"])]
    all: bool,
    /// Only say which images it would be.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

/// Which images, and why.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Why, for those who ask later.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    control: ControlArgs,
}

pub(super) async fn start(args: &ControlArgs) -> Result<(), Failure> {
    send("start", "started", args, None).await
}

pub(super) async fn stop(args: &StopArgs) -> Result<(), Failure> {
    if let Some(reason) = &args.reason
        && reason.chars().count() > MAX_REASON_CHARS
    {
        let message = format!("--reason: at most {MAX_REASON_CHARS} characters");
        return Err(Failure::Usage(message));
    }
    send("stop", "stopped", &args.control, args.reason.clone()).await
}

pub(super) async fn retry(args: &ControlArgs) -> Result<(), Failure> {
    send("retry", "tried again", args, None).await
}

async fn send(
    call: &str,
    done: &str,
    args: &ControlArgs,
    reason: Option<String>,
) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let request = ControlRequest {
        image: args.image.clone(),
        release: args.release.clone(),
        reason,
        dry_run: args.dry_run,
    };
    let token_file = &args.operator.token_file()?;
    let answer: Controlled = bridge.post_json(&["rebuilds", call], token_file, &request).await?;
    if output.is_json() {
        return Ok(output.json(&answer)?);
    }
    if answer.images.is_empty() {
        return Ok(output.line("Nothing to do: none of these images has failed.")?);
    }
    let how = if answer.dry_run { "would be" } else { "is" };
    for image in &answer.images {
        output.line(&format!("{image} {how} {done}."))?;
    }
    Ok(())
}
