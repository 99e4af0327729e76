//! `strata build` and `strata scratch-build`: a build of what is pushed.

use std::time::Duration;

use clap::Args;
use forge_bridge::views::{BuildRequest, EventSummary};
use tokio::time::Instant;
use uuid::Uuid;
use workflows::ids::RunId;
use workflows::image::BuildMode;
use workflows::names::RequestId;

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::dist_git::CloneArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::{settings, watch};

/// Tries to hand a request over; each has the same key, so that none is a second build.
const MAX_TRIES: u32 = 5;
/// Between two such tries.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How often the bridge is asked whether the request is planned.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long to wait for the run's number; a forge that does not answer takes longer, and the
/// request waits for it at the bridge.
const PLAN_TIMEOUT: Duration = Duration::from_secs(60);

/// A build that keeps a release.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A fix beside the line: it moves no floating tag and needs a release such as 2.1.
    #[arg(long, requires = "release")]
    isolated: bool,
    /// Use this release as it is, in place of the next free number.
    #[arg(long)]
    release: Option<String>,
    #[command(flatten)]
    asked: AskedArgs,
}

/// A build that keeps none.
#[derive(Debug, Args)]
pub(crate) struct ScratchBuildArgs {
    #[command(flatten)]
    asked: AskedArgs,
}

/// What both have.
#[derive(Debug, Args)]
struct AskedArgs {
    /// Print the run's number and address, and do not watch it.
    #[arg(long)]
    nowait: bool,
    /// A key of your own: asking again with it is not a second build.
    #[arg(long, value_name = "KEY")]
    key: Option<RequestId>,
    /// The forge's name in the bridge's configuration, where it has several.
    #[arg(long, value_name = "NAME")]
    forge: Option<String>,
    #[command(flatten)]
    clone: CloneArgs,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn release(args: BuildArgs) -> Result<(), Failure> {
    let mode = if args.isolated { BuildMode::Isolated } else { BuildMode::Release };
    ask(args.asked, mode, args.release).await
}

pub(crate) async fn scratch(args: ScratchBuildArgs) -> Result<(), Failure> {
    ask(args.asked, BuildMode::Scratch, None).await
}

async fn ask(args: AskedArgs, mode: BuildMode, release: Option<String>) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let clone = args.clone.open()?;
    let repository = clone.repository()?;
    let submission = clone.submission()?;
    let forge = match args.forge {
        Some(forge) => Some(forge),
        None => settings::get()?.forge.clone(),
    };
    let key = match args.key {
        Some(key) => key,
        None => RequestId::parse(&Uuid::now_v7().to_string())
            .map_err(|error| Failure::Broken(error.into()))?,
    };
    let request = BuildRequest {
        id: key,
        forge,
        repository,
        ref_name: submission.ref_name,
        commit: submission.commit,
        mode,
        release,
    };
    let bridge = Bridge::at(&args.asking.bridge)?;
    let event = hand_over(&bridge, &args.operator, &request).await?;
    let event = planned(&bridge, event).await?;
    if event.runs.is_empty() {
        let reason = event.reason.unwrap_or_else(|| "it is not planned yet".to_owned());
        let id = event.id;
        return Err(Failure::Negative(match event.state.as_str() {
            "new" => format!("accepted as event {id}: {reason}; `strata watch` will find the run"),
            _ => format!("nothing is built: {reason}"),
        }));
    }
    tell(&args.asking, &event, &output)?;
    if args.nowait { Ok(()) } else { watch::to_the_end(&bridge, &output, &event.runs).await }
}

fn tell(asking: &Asking, event: &EventSummary, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return Ok(output.json_line(event)?);
    }
    let base = asking.bridge.as_str().trim_end_matches('/');
    let line = |run: &RunId| output.line(&format!("run {run}: {base}/runs/{run}"));
    Ok(event.runs.iter().try_for_each(line)?)
}

/// A bridge that is being restarted is asked again.
async fn hand_over(
    bridge: &Bridge,
    operator: &Operator,
    request: &BuildRequest,
) -> Result<EventSummary, Failure> {
    let token_file = operator.token_file()?;
    let mut tries = 1;
    loop {
        match bridge.post_json(&["builds"], &token_file, request).await {
            Err(Failure::Unreachable(_)) if tries < MAX_TRIES => {
                tries += 1;
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            answered => return answered,
        }
    }
}

/// The event once it is decided about, or as it is after [`PLAN_TIMEOUT`].
async fn planned(bridge: &Bridge, mut event: EventSummary) -> Result<EventSummary, Failure> {
    let deadline = Instant::now() + PLAN_TIMEOUT;
    while event.state == "new" && Instant::now() < deadline {
        tokio::time::sleep(LOOK_INTERVAL).await;
        event = match bridge.get(&["events", &event.id.to_string()], &()).await {
            Err(Failure::Unreachable(_)) => continue,
            answered => answered?,
        };
    }
    Ok(event)
}
