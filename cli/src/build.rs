//! `strata build` and `strata scratch-build`: a build of what is pushed.

use std::time::Duration;

use clap::Args;
use forge_bridge::views::{BuildRequest, EventSummary, NextNvr, NvrQuery};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;
use workflows::gate::Asked;
use workflows::ids::RunId;
use workflows::image::BuildMode;
use workflows::names::{RefName, RequestId};

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::dist_git::{Clone, CloneArgs, Rules, asked};
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
    let clone = args.clone.open()?;
    let repository = clone.repository()?;
    let submission = clone.submission()?;
    // Asked again with a key, it may be the build that has the release.
    if let (Some(release), None) = (&release, &args.key) {
        let bridge = Bridge::at(&args.asking.bridge)?;
        refuse_taken(&bridge, &clone, &submission.ref_name, mode, release).await?;
    }
    let request = BuildRequest {
        id: key(args.key)?,
        forge: forge(args.forge)?,
        repository,
        ref_name: submission.ref_name,
        commit: submission.commit,
        mode,
        release,
    };
    follow(&args.asking, &args.operator, &["builds"], &request, args.nowait).await
}

/// Hands a request over and tells what becomes of it.
pub(crate) async fn follow(
    asking: &Asking,
    operator: &Operator,
    path: &[&str],
    request: &impl Serialize,
    nowait: bool,
) -> Result<(), Failure> {
    let output = Output::new(asking.shown);
    let bridge = Bridge::at(&asking.bridge)?;
    let event = hand_over(&bridge, operator, path, request).await?;
    let event = planned(&bridge, event).await?;
    if event.runs.is_empty() {
        let reason = event.reason.unwrap_or_else(|| "it is not planned yet".to_owned());
        let id = event.id;
        return Err(Failure::Negative(match event.state.as_str() {
            "new" => format!("accepted as event {id}: {reason}; `strata watch` will find the run"),
            _ => format!("nothing runs: {reason}"),
        }));
    }
    tell(asking, &event, &output)?;
    if nowait { Ok(()) } else { watch::to_the_end(&bridge, &output, &event.runs).await }
}

/// A key of one's own, or a new one.
pub(crate) fn key(given: Option<RequestId>) -> Result<RequestId, Failure> {
    match given {
        Some(key) => Ok(key),
        None => RequestId::parse(&Uuid::now_v7().to_string())
            .map_err(|error| Failure::Broken(error.into())),
    }
}

/// The forge that was named, or that of the settings.
pub(crate) fn forge(given: Option<String>) -> Result<Option<String>, Failure> {
    match given {
        Some(forge) => Ok(Some(forge)),
        None => Ok(settings::get()?.forge.clone()),
    }
}

/// Nobody should wait for a run to hear that a release is taken. What cannot be told from here,
/// such as what a parent hands down in a registry that only the bridge reaches, the run tells.
async fn refuse_taken(
    bridge: &Bridge,
    clone: &Clone,
    ref_name: &RefName,
    mode: BuildMode,
    release: &str,
) -> Result<(), Failure> {
    let rules = Rules::of(bridge, ref_name).await?;
    for asked in asked(&clone.root, mode) {
        let asked = Asked { release: Some(release.to_owned()), ..asked };
        let Ok(inspected) = rules.inspect(&clone.root, asked).await else { continue };
        let labels = inspected.gated.labels;
        let query = NvrQuery {
            component: labels.component,
            version: labels.version,
            release: inspected.gated.release,
            ref_name: ref_name.clone(),
        };
        let _free: NextNvr = bridge.get(&["next-nvr"], &query).await?;
    }
    Ok(())
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
    path: &[&str],
    request: &impl Serialize,
) -> Result<EventSummary, Failure> {
    let token_file = operator.token_file()?;
    let mut tries = 1;
    loop {
        match bridge.post_json(path, &token_file, request).await {
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
