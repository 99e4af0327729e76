//! `strata wait`: until nothing is under way.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use forge_bridge::views::{Overview, RunFilter, RunSummary, Runs, Standing};
use tokio::time::Instant;
use workflows::ids::RunId;
use workflows::state::Outcome;

use crate::args::Asking;
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::Output;
use crate::runs::short_ref;

/// How often the bridge is asked.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Runs that are followed at once; older ones have long ended.
const FOLLOWED_RUNS: u32 = 200;

/// How long to wait.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Give up after this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
    /// Count the runs after this one, also those that have ended already; without it what was seen
    /// under way counts.
    #[arg(long, value_name = "RUN")]
    since: Option<i64>,
    #[command(flatten)]
    asking: Asking,
}

/// Tells each change of a run until deliveries, events, jobs and statuses are all done. Ends with
/// 1 when a run that counts did not succeed. A bridge that does not answer in between is waited for.
pub(crate) async fn run(args: WaitArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut seen: HashMap<RunId, Standing> = HashMap::new();
    let mut all_well = true;
    let mut first = true;
    loop {
        let (overview, list) = match look(&bridge).await {
            Ok(seen) => seen,
            // It is started again, perhaps; one that never answered is told at once.
            Err(Failure::Unreachable(_)) if !first && Instant::now() < deadline => {
                tokio::time::sleep(LOOK_INTERVAL).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        for run in list.runs.iter().rev() {
            let standing = run.standing();
            let known = seen.insert(run.id, standing);
            // What had ended before we came is not ours to tell, unless it is asked for.
            let is_old = match args.since {
                Some(since) => run.id.0 <= since,
                None => first && run.finished_at.is_some(),
            };
            if known == Some(standing) || is_old {
                continue;
            }
            all_well &= run.outcome.is_none_or(Outcome::is_success);
            tell(run, standing, &output)?;
        }
        first = false;
        if is_quiet(&overview) {
            return if all_well { Ok(()) } else { Err(Failure::No) };
        }
        if Instant::now() >= deadline {
            return Err(Failure::Negative(format!(
                "still under way after {} s; `strata status` says what waits",
                args.timeout
            )));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn look(bridge: &Bridge) -> Result<(Overview, Runs), Failure> {
    let overview = bridge.get(&["overview"], &()).await?;
    let filter = RunFilter { limit: Some(FOLLOWED_RUNS), ..RunFilter::default() };
    Ok((overview, bridge.get(&["runs"], &filter).await?))
}

fn is_quiet(overview: &Overview) -> bool {
    overview.deliveries_undecoded
        + overview.events_unplanned
        + overview.jobs_unpinned
        + overview.jobs_waiting
        + overview.jobs_queued
        + overview.jobs_leased
        + overview.jobs_publishing
        + overview.statuses_behind
        == 0
}

fn tell(run: &RunSummary, standing: Standing, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return Ok(output.json_line(run)?);
    }
    let message = if run.message.is_empty() { String::new() } else { format!(": {}", run.message) };
    Ok(output.line(&format!(
        "run {} {} {} {} is {}{message}",
        run.id,
        run.repository,
        short_ref(&run.ref_name),
        run.workflow,
        standing.as_str(),
    ))?)
}
