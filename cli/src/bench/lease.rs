//! `strata bench lease`: how soon a job's first container runs.
//!
//! Jobs wait already when the runner starts, which takes one at a time; its log tells when it asked
//! for each and when the job's first container started. In between lie the answer, the checkout, a
//! look at the parent image, and the files that come before the first command.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::figures::{Figure, percentile};
use super::history::git;
use super::site::{Site, Told};
use super::stage::{DistGit, WORKFLOW};
use crate::args::Shown;
use crate::failure::Failure;

/// Jobs that are measured unless told.
pub(super) const DEFAULT_JOBS: u8 = 10;
/// Longest time until all jobs are queued, or done.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The runner's line before each request, and after the answer that brought a job.
const ASKS: &str = "asks for a job";
/// The line when a container starts, whichever engine starts it.
const STARTS: &str = "a container starts";

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A registry over plain HTTP that has `rawhide/base:latest`, an image with a shell.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) registry: String,
    /// Jobs that wait for the runner.
    #[arg(long, default_value_t = DEFAULT_JOBS, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub(super) jobs: u8,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// A line of the runner's log.
#[derive(Debug, Deserialize)]
struct Line {
    timestamp: DateTime<Utc>,
    message: String,
}

/// Measures with a bridge and a runner of its own.
pub(super) async fn measure(registry: &str, jobs: u8) -> Result<Vec<Figure>, Failure> {
    let mut site = Site::start(Told::Notes, WORKFLOW, registry).await?;
    push_branches(&DistGit::create(&site).await?, jobs).await?;
    site.until("a queue of jobs", TIMEOUT, |now| now.jobs_queued == u64::from(jobs)).await?;
    site.start_runner()?;
    let is_over = |now: &forge_bridge::views::Overview| {
        now.jobs_queued + now.jobs_leased + now.jobs_publishing + now.statuses_behind == 0
    };
    site.until("the end of all jobs", TIMEOUT, is_over).await?;
    let mut sorted = waits(&site.runner_log()?);
    if sorted.len() != usize::from(jobs) {
        let message = format!("{} of {jobs} jobs had containers\n{}", sorted.len(), site.logs());
        return Err(anyhow::Error::msg(message).into());
    }
    sorted.sort_unstable();
    let at = |percent| percentile(&sorted, percent).context("nothing was measured");
    Ok(vec![
        Figure::ms("request for a job to first container, p50", at(50)?),
        Figure::ms("request for a job to first container, slowest", at(100)?),
    ])
}

/// A branch for each job: of one branch only the newest push would be built.
async fn push_branches(dist_git: &DistGit, jobs: u8) -> anyhow::Result<()> {
    let mut refs = Vec::new();
    for number in 0..jobs {
        let commit = dist_git.commit(&format!("lease {number}")).await?;
        refs.push(format!("{commit}:refs/heads/lease-{number}"));
    }
    let mut arguments = vec!["push", "--quiet", "origin"];
    arguments.extend(refs.iter().map(String::as_str));
    git(&dist_git.clone, &arguments).await.map(drop)
}

/// From each request that brought a job to the first container of that job.
fn waits(runner_log: &str) -> Vec<Duration> {
    let mut asked = None;
    let mut begun = None;
    let mut waits = Vec::new();
    for line in runner_log.lines() {
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        if line.message == ASKS {
            asked = Some(line.timestamp);
        } else if line.message.ends_with(" begins") {
            begun = asked;
        } else if line.message == STARTS
            && let Some(asked) = begun.take()
        {
            waits.push((line.timestamp - asked).to_std().unwrap_or_default());
        }
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_container_after_the_request_that_brought_the_job_counts() {
        let log = r#"{"timestamp":"1970-01-01T00:00:01Z","level":"DEBUG","message":"asks for a job"}
{"timestamp":"1970-01-01T00:00:02Z","level":"DEBUG","message":"asks for a job"}
{"timestamp":"1970-01-01T00:00:03Z","level":"INFO","message":"job 7 begins","job.id":"7"}
not JSON
{"timestamp":"1970-01-01T00:00:04.5Z","level":"DEBUG","message":"a container starts"}
{"timestamp":"1970-01-01T00:00:09Z","level":"DEBUG","message":"a container starts"}
{"timestamp":"1970-01-01T00:00:10Z","level":"DEBUG","message":"asks for a job"}
{"timestamp":"1970-01-01T00:00:11Z","level":"INFO","message":"job 8 begins","job.id":"8"}"#;
        assert_eq!(waits(log), [Duration::from_millis(2500)]);
    }
}
