//! `strata logs`.

use std::time::Duration;

use clap::Args;
use forge_bridge::api::MAX_LOG_WAIT_SECONDS;
use forge_bridge::views::{Job, LogPage, RunDetail};
use workflows::ids::RunId;
use workflows::state::Outcome;

use crate::args::Asking;
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Output, complain};

/// Tries to reach a bridge that was there a moment ago, such as one that is being restarted.
const MAX_RECONNECTS: u32 = 15;
/// Between two such tries.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(2);

/// Whose log, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The run.
    run: RunId,
    /// Only this job; without it, every job in the order of the workflow.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Of this attempt, counted from 1; without it of the newest.
    #[arg(long, value_name = "NUMBER", conflicts_with = "follow")]
    attempt: Option<u32>,
    /// Go on until the jobs are over; exit with 1 when one does not end well.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    asking: Asking,
}

/// What is being read.
struct Reading<'a> {
    bridge: &'a Bridge,
    output: &'a Output,
    run: RunId,
    attempt: Option<u32>,
    follow: bool,
}

pub(crate) async fn run(args: LogsArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let LogsArgs { run, attempt, follow, .. } = args;
    let reading = Reading { bridge: &bridge, output: &output, run, attempt, follow };
    let detail = reading.detail().await?;
    let names: Vec<String> = detail.jobs.into_iter().map(|job| job.name).collect();
    let wanted = match args.job {
        None => names,
        Some(name) if names.contains(&name) => vec![name],
        Some(name) => {
            let known = names.join(", ");
            let run = args.run;
            return Err(Failure::Negative(format!(
                "run {run} has no job `{name}`; it has {known}"
            )));
        }
    };
    let mut well = true;
    for name in &wanted {
        if wanted.len() > 1 && !output.is_json() {
            output.line(&format!("==> {name}"))?;
        }
        well &= reading.job(name).await?;
    }
    if well { Ok(()) } else { Err(Failure::No) }
}

impl Reading<'_> {
    async fn detail(&self) -> Result<RunDetail, Failure> {
        self.bridge.get(&["runs", &self.run.to_string()], &()).await
    }

    async fn current(&self, name: &str) -> Result<Job, Failure> {
        let detail = self.detail().await?;
        let job = detail.jobs.into_iter().find(|job| job.name == name);
        job.ok_or_else(|| Failure::Negative(format!("run {} has no job `{name}`", self.run)))
    }

    /// Prints a job's log. False when it was followed and did not end well.
    async fn job(&self, name: &str) -> Result<bool, Failure> {
        let newest = self.current(name).await?.attempt.max(1);
        let mut attempt = self.attempt.unwrap_or(newest);
        if attempt == 0 || attempt > newest {
            let run = self.run;
            return Err(Failure::Negative(format!(
                "job `{name}` of run {run} has no attempt {attempt}; it has {newest}"
            )));
        }
        loop {
            self.read(name, attempt).await?;
            if !self.follow {
                return Ok(true);
            }
            let job = self.current(name).await?;
            if job.attempt <= attempt {
                return Ok(job.outcome.is_none_or(ended_well));
            }
            attempt = job.attempt;
            complain(&format!("{name}: our fault; attempt {attempt} begins"));
        }
    }

    async fn read(&self, name: &str, attempt: u32) -> Result<(), Failure> {
        let mut from = 0;
        loop {
            let page = self.page(name, attempt, from).await?;
            let nothing_new = page.next == from;
            if !self.output.is_json() {
                self.output.text(&page.text)?;
            } else if page.finished || !nothing_new {
                self.output.json_line(&page)?;
            }
            from = page.next;
            if page.finished || (nothing_new && !self.follow) {
                return Ok(());
            }
        }
    }

    async fn page(&self, name: &str, attempt: u32, from: u64) -> Result<LogPage, Failure> {
        let wait = if self.follow { MAX_LOG_WAIT_SECONDS } else { 0 };
        let query = [("attempt", u64::from(attempt)), ("from", from), ("wait_seconds", wait)];
        let run = self.run.to_string();
        let path = ["runs", &run, "jobs", name, "log"];
        let mut tries = 0;
        loop {
            match self.bridge.get(&path, &query).await {
                Err(Failure::Unreachable(_)) if self.follow && tries < MAX_RECONNECTS => {
                    tries += 1;
                    tokio::time::sleep(RECONNECT_INTERVAL).await;
                }
                answered => return answered,
            }
        }
    }
}

fn ended_well(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Success | Outcome::Superseded)
}
