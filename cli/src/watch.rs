//! `strata watch`: what becomes of runs, until they end.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use forge_bridge::views::{Job, RunDetail, RunFilter, Runs};
use workflows::ids::RunId;
use workflows::state::Outcome;

use crate::args::Asking;
use crate::client::Bridge;
use crate::dist_git::CloneArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::runs::{short_commit, short_ref};

/// How often the bridge is asked.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Tries to reach a bridge that was there a moment ago, such as one that is being restarted.
const MAX_RECONNECTS: u32 = 30;
/// Runs of a branch among which those of the commit are looked for.
const LOOKED_AT_RUNS: u32 = 100;

/// Which runs.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The runs; without one, those of the commit that is checked out here.
    #[arg(value_name = "RUN")]
    runs: Vec<RunId>,
    #[command(flatten)]
    clone: CloneArgs,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(args: WatchArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let runs =
        if args.runs.is_empty() { of_this_commit(&bridge, &args.clone).await? } else { args.runs };
    to_the_end(&bridge, &output, &runs).await
}

/// The runs of the commit that are under way, or else the newest one.
async fn of_this_commit(bridge: &Bridge, clone: &CloneArgs) -> Result<Vec<RunId>, Failure> {
    let clone = clone.open()?;
    let nothing =
        |what: String| Err(Failure::Negative(format!("no run of {what}; see `strata runs`")));
    let Some(head) = clone.head()? else { return nothing("a branch without commits".to_owned()) };
    let filter = RunFilter {
        repository: Some(clone.repository()?.to_string()),
        ref_name: clone.branch()?.map(|branch| branch.to_string()),
        limit: Some(LOOKED_AT_RUNS),
        ..RunFilter::default()
    };
    let list: Runs = bridge.get(&["runs"], &filter).await?;
    let of_head: Vec<_> = list.runs.iter().filter(|run| run.commit == head.as_str()).collect();
    let under_way: Vec<RunId> =
        of_head.iter().filter(|run| run.finished_at.is_none()).map(|run| run.id).collect();
    match of_head.first() {
        Some(newest) if under_way.is_empty() => Ok(vec![newest.id]),
        Some(_) => Ok(under_way),
        None => nothing(format!("commit {} is known", short_commit(head.as_str()))),
    }
}

/// Tells each change of these runs until all have ended; no is the answer when one of them did
/// not end well.
pub(crate) async fn to_the_end(
    bridge: &Bridge,
    output: &Output,
    runs: &[RunId],
) -> Result<(), Failure> {
    let mut told = HashMap::new();
    let mut waiting = runs.to_vec();
    let mut all_well = true;
    let mut missed = 0;
    loop {
        let mut still = Vec::new();
        for id in waiting {
            match bridge.get::<RunDetail>(&["runs", &id.to_string()], &()).await {
                Ok(detail) => {
                    missed = 0;
                    changes(&detail, &mut told, output)?;
                    match detail.run.outcome {
                        None => still.push(id),
                        Some(outcome) => all_well &= outcome == Outcome::Success,
                    }
                }
                Err(Failure::Unreachable(_)) if missed < MAX_RECONNECTS => {
                    missed += 1;
                    still.push(id);
                }
                Err(error) => return Err(error),
            }
        }
        if still.is_empty() {
            return if all_well { Ok(()) } else { Err(Failure::No) };
        }
        waiting = still;
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// What was told last of each run and of each of its jobs.
type Told = HashMap<(RunId, String), String>;

fn changes(detail: &RunDetail, told: &mut Told, output: &Output) -> Result<(), Failure> {
    let run = &detail.run;
    let mut is_new = false;
    let mut say = |what: &str, line: String| {
        let key = (run.id, what.to_owned());
        let changed = told.get(&key) != Some(&line);
        if changed {
            is_new = true;
            told.insert(key, line.clone());
        }
        if changed && !output.is_json() { output.line(&line) } else { Ok(()) }
    };
    let branch = short_ref(&run.ref_name);
    say("", format!("run {} {} {branch}, {}", run.id, run.repository, run.cause))?;
    for job in &detail.jobs {
        say(&job.name, standing(job))?;
    }
    if let Some(outcome) = run.outcome {
        for line in detail.jobs.iter().flat_map(image) {
            say(&line, line.clone())?;
        }
        let message =
            if run.message.is_empty() { String::new() } else { format!(": {}", run.message) };
        say("outcome", format!("run {} ended: {outcome}{message}", run.id))?;
    }
    if is_new && output.is_json() {
        output.json_line(detail)?;
    }
    Ok(())
}

/// A job's state, its step while it runs, its message when it has one.
fn standing(job: &Job) -> String {
    let step = job.steps.last().filter(|_| job.outcome.is_none());
    let step = step.map(|step| format!(", {}", step.name)).unwrap_or_default();
    let message = if job.message.is_empty() { String::new() } else { format!(": {}", job.message) };
    format!("  {}: {}{step}{message}", job.name, job.word().replace('_', " "))
}

/// What a job built, and where it is.
fn image(job: &Job) -> Vec<String> {
    let Some(image) = &job.image else { return Vec::new() };
    let nvr = image.nvr.as_deref().unwrap_or("scratch build");
    let tags: Vec<&str> = image.tags.iter().map(|tag| tag.tag.as_str()).collect();
    vec![
        format!("  {}: {nvr} is {}@{}", job.name, image.name, image.digest),
        format!("  {}: tags {}", job.name, tags.join(", ")),
    ]
}
