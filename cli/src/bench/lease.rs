//! `strata bench lease`: how soon a job's first container runs.
//!
//! Jobs wait already when the runner starts; from its log it is known when it asked for each, and
//! from the engine when the job's first container started. In between lie the answer, the
//! checkout, a look at the parent image, and the files that come before the first command.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::process::{Child, Command};

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
    #[serde(rename = "job.id")]
    job: Option<String>,
}

/// A container that started, as the engine tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Started {
    actor: Actor,
    #[serde(rename = "timeNano")]
    nanoseconds: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    attributes: HashMap<String, String>,
}

/// Measures with a bridge and a runner of its own.
pub(super) async fn measure(registry: &str, jobs: u8) -> Result<Vec<Figure>, Failure> {
    let mut site = Site::start(Told::Notes, WORKFLOW, registry).await?;
    push_branches(&DistGit::create(&site).await?, jobs).await?;
    site.until("a queue of jobs", TIMEOUT, |now| now.jobs_queued == u64::from(jobs)).await?;
    let events = site.directory().join("events");
    let _watching = watch_starts(&site.instance()?, &events)?;
    site.start_runner()?;
    let is_over = |now: &forge_bridge::views::Overview| {
        now.jobs_queued + now.jobs_leased + now.jobs_publishing + now.statuses_behind == 0
    };
    site.until("the end of all jobs", TIMEOUT, is_over).await?;
    let started = std::fs::read_to_string(&events).context("the engine told nothing")?;
    let mut sorted = waits(&site.runner_log()?, &started)?;
    if sorted.len() != usize::from(jobs) {
        let message = format!("{} of {jobs} jobs ran\n{}", sorted.len(), site.logs());
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

/// Writes down each start of a container of this installation.
fn watch_starts(instance: &str, to: &Path) -> anyhow::Result<Child> {
    let file =
        std::fs::File::create(to).with_context(|| format!("cannot make {}", to.display()))?;
    // From now on, also what starts before the engine has begun to tell.
    let since = Utc::now().timestamp().to_string();
    Command::new("docker")
        .args(["events", "--since", &since, "--format", "{{json .}}"])
        .args(["--filter", "type=container", "--filter", "event=start"])
        .args(["--filter", &format!("label=strata.instance={instance}")])
        .stdin(Stdio::null())
        .stdout(file)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start docker")
}

/// From each request that brought a job to the first container of that job.
fn waits(runner_log: &str, events: &str) -> anyhow::Result<Vec<Duration>> {
    let mut first: HashMap<String, i64> = HashMap::new();
    for event in events.lines() {
        let event: Started = serde_json::from_str(event).context("the engine's event")?;
        let job = event.actor.attributes.get("strata.job").context("a container of no job")?;
        let earliest = first.entry(job.clone()).or_insert(i64::MAX);
        *earliest = event.nanoseconds.min(*earliest);
    }
    let mut asked = None;
    let mut waits = Vec::new();
    for line in runner_log.lines() {
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        if line.message == ASKS {
            asked = line.timestamp.timestamp_nanos_opt();
        } else if line.message.ends_with(" begins")
            && let (Some(asked), Some(job)) = (asked, line.job)
        {
            let started = first.get(&job).with_context(|| format!("job {job} had no container"))?;
            let nanoseconds = started - asked;
            ensure!(nanoseconds >= 0, "job {job} began before it was asked for");
            waits.push(Duration::from_nanos(nanoseconds.unsigned_abs()));
        }
    }
    Ok(waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_container_after_the_last_request_counts() {
        let log = r#"{"timestamp":"1970-01-01T00:00:01Z","level":"DEBUG","message":"asks for a job"}
{"timestamp":"1970-01-01T00:00:02Z","level":"DEBUG","message":"asks for a job"}
{"timestamp":"1970-01-01T00:00:03Z","level":"INFO","message":"job 7 begins","job.id":"7"}
not JSON"#;
        let event = |nanoseconds: i64| {
            format!(
                r#"{{"Action":"start","Actor":{{"ID":"c","Attributes":{{"strata.job":"7"}}}},"timeNano":{nanoseconds}}}"#
            )
        };
        let events = format!("{}\n{}\n", event(4_500_000_000), event(9_000_000_000));
        assert_eq!(waits(log, &events).unwrap(), [Duration::from_millis(2500)]);
        assert!(waits(log, "").is_err());
    }
}
