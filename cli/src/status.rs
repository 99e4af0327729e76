//! `strata status`: the whole bridge, or one run.

mod list;
mod retry;

use clap::{Args, Subcommand};
use forge_bridge::views::{Job, Overview, Pin, RunDetail, Runner, Runners};
use workflows::ids::RunId;
use workflows::state::Outcome;

use crate::args::Asking;
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};
use crate::runs::{short_ref, workflow};

/// What to show.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct StatusArgs {
    #[command(subcommand)]
    command: Option<StatusCommand>,
    /// This run, instead of the whole; exits with 1 when it did not end well.
    run: Option<RunId>,
    #[command(flatten)]
    asking: Asking,
}

/// What to do with commit statuses.
#[derive(Debug, Subcommand)]
enum StatusCommand {
    /// List statuses, newest first: those that a forge refused, or has not been told yet.
    List(list::ListArgs),
    /// Post again what a forge refused, once its cause is gone.
    Retry(retry::RetryArgs),
}

pub(crate) async fn run(args: StatusArgs) -> Result<(), Failure> {
    match args.command {
        Some(StatusCommand::List(args)) => return list::run(args).await,
        Some(StatusCommand::Retry(args)) => return retry::run(args).await,
        None => {}
    }
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    match args.run {
        None => whole(&bridge, &output).await,
        Some(run) => one(&bridge, &output, run).await,
    }
}

async fn whole(bridge: &Bridge, output: &Output) -> Result<(), Failure> {
    let overview: Overview = bridge.get(&["overview"], &()).await?;
    if output.is_json() {
        return Ok(output.json(&overview)?);
    }
    let runners: Runners = bridge.get(&["runners"], &()).await?;
    let count = |name: &str, count: u64| vec![Cell::plain(name), Cell::plain(count.to_string())];
    let mut rows = vec![
        count("deliveries not decoded", overview.deliveries_undecoded),
        count("events not planned", overview.events_unplanned),
        count("jobs not pinned", overview.jobs_unpinned),
        count("jobs waiting for others", overview.jobs_waiting),
        count("jobs queued", overview.jobs_queued),
        count("jobs running", overview.jobs_leased),
        count("jobs publishing", overview.jobs_publishing),
        count("statuses not reported", overview.statuses_behind),
        count("statuses refused", overview.statuses_refused),
    ];
    if let Some(since) = overview.oldest_queued_at {
        rows.push(vec![Cell::plain("oldest job queued"), output.ago(since)]);
    }
    output.table(&["WHAT", "HOW MANY"], &rows)?;
    output.line("")?;
    if runners.runners.is_empty() {
        return Ok(output.line("No runner has registered; start one with `strata runner`.")?);
    }
    let rows: Vec<_> = runners.runners.iter().map(|runner| runner_row(runner, output)).collect();
    Ok(output.table(&["RUNNER", "STATE", "BUSY", "LABELS", "VERSION", "SEEN"], &rows)?)
}

fn runner_row(runner: &Runner, output: &Output) -> Vec<Cell> {
    vec![
        Cell::plain(&runner.name),
        Cell::word(if runner.online { "online" } else { "silent" }),
        Cell::plain(format!("{}/{}", runner.busy, runner.slots)),
        Cell::plain(runner.labels.join(", ")),
        Cell::plain(&runner.version),
        output.ago(runner.seen_at),
    ]
}

async fn one(bridge: &Bridge, output: &Output, id: RunId) -> Result<(), Failure> {
    let detail: RunDetail = bridge.get(&["runs", &id.to_string()], &()).await?;
    if output.is_json() {
        output.json(&detail)?;
    } else {
        show(&detail, output)?;
    }
    match detail.run.outcome {
        None | Some(Outcome::Success | Outcome::Superseded) => Ok(()),
        Some(_) => Err(Failure::No),
    }
}

fn show(detail: &RunDetail, output: &Output) -> Result<(), Failure> {
    let run = &detail.run;
    let fact = |name: &str, cell: Cell| vec![Cell::plain(name), cell];
    let facts = [
        fact("state", Cell::word(run.standing().as_str())),
        fact("repository", Cell::plain(format!("{} {}", run.repository, short_ref(&run.ref_name)))),
        fact("commit", Cell::plain(&run.commit)),
        fact("workflow", Cell::plain(format!("{} ({})", workflow(run), detail.workflow_path))),
        fact("release", Cell::plain(&run.release)),
        fact("cause", Cell::plain(&run.cause)),
        fact("planned", output.ago(run.created_at)),
        fact("took", output.span(run.started_at, run.finished_at)),
        fact("message", Cell::plain(&run.message)),
    ];
    let facts: Vec<_> = facts.into_iter().filter(|fact| !fact[1].is_empty()).collect();
    output.table(&["RUN", &run.id.to_string()], &facts)?;
    output.line("")?;
    let jobs: Vec<_> = detail.jobs.iter().flat_map(|job| job_rows(job, output)).collect();
    output.table(&["JOB", "STATE", "TOOK", "MESSAGE"], &jobs)?;
    let images: Vec<_> = detail.jobs.iter().flat_map(image_rows).collect();
    if !images.is_empty() {
        output.line("")?;
        output.table(&["JOB", "IMAGE", "WHICH"], &images)?;
    }
    if !detail.skipped_workflows.is_empty() {
        output.line("")?;
        let skipped = detail.skipped_workflows.iter();
        let rows: Vec<_> = skipped
            .map(|skipped| vec![Cell::plain(&skipped.path), Cell::plain(&skipped.reason)])
            .collect();
        output.table(&["NOT FIRED", "WHY"], &rows)?;
    }
    Ok(())
}

/// The job and its steps.
fn job_rows(job: &Job, output: &Output) -> Vec<Vec<Cell>> {
    let mut rows = vec![vec![
        Cell::plain(&job.name),
        Cell::word(job.word()),
        output.span(job.started_at, job.finished_at),
        Cell::plain(&job.message),
    ]];
    rows.extend(job.steps.iter().map(|step| {
        vec![
            Cell::plain(format!("  {}", step.name)),
            Cell::word(step.word()),
            output.span(Some(step.started_at), step.finished_at),
        ]
    }));
    rows
}

/// What the job stands on, and what it built.
fn image_rows(job: &Job) -> Vec<Vec<Cell>> {
    let row = |what: &str, image: &str| {
        vec![Cell::plain(&job.name), Cell::plain(what), Cell::plain(image)]
    };
    let pinned = |pin: &Pin| row("pinned", &format!("{} at {}", pin.reference, pin.digest));
    let mut rows: Vec<_> = job.pins.iter().map(pinned).collect();
    if let Some(image) = &job.image {
        rows.push(row("built", &format!("{} {}", image.reference, image.digest)));
        let put = image.tags.iter().filter(|tag| tag.put_at.is_some() && tag.removed_at.is_none());
        rows.extend(put.map(|tag| row("tagged", &tag.tag)));
    }
    rows
}
