//! Jobs, and all that belongs to one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::ids::{JobId, RunId};
use workflows::log_commands::Annotation;
use workflows::state::{Fault, JobState, Outcome};

use super::Image;

/// One job of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its key in the workflow.
    pub name: String,
    /// Jobs that must succeed before it.
    pub needs: Vec<String>,
    /// Labels that a runner must offer, all of them.
    pub runs_on: Vec<String>,
    /// Where it stands.
    pub state: JobState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What lies behind the outcome `error`.
    pub fault: Option<Fault>,
    /// One sentence when there is something to say.
    pub message: String,
    /// The try that is shown, 1 for the first; 0 before any.
    pub attempt: u32,
    /// The runner that holds it, or held it last.
    pub runner: Option<String>,
    /// The run of an earlier attempt whose result stands here too, with steps, log and image.
    pub kept_from: Option<RunId>,
    /// Whether a person asked to stop it.
    pub cancel: bool,
    /// When it was planned.
    pub created_at: DateTime<Utc>,
    /// When it became leasable.
    pub queued_at: Option<DateTime<Utc>>,
    /// When a runner took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The steps of this attempt that have begun.
    pub steps: Vec<Step>,
    /// Every image that it stands on, with the digest used.
    pub pins: Vec<Pin>,
    /// The NVR that is reserved or kept, `null` without one.
    pub nvr: Option<String>,
    /// What it built.
    pub image: Option<Image>,
    /// Markdown that its steps wrote for people.
    #[serde(default)]
    pub summary: Option<String>,
    /// What its steps said about lines of files.
    #[serde(default)]
    pub annotations: Vec<Annotation>,
}

impl Job {
    /// The word for its standing: the outcome once there is one.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.outcome.map_or(self.state.as_str(), Outcome::as_str)
    }
}

/// One step of a job's attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct Step {
    /// Position in the job, from 0.
    pub position: u32,
    /// As shown.
    pub name: String,
    /// Where its log begins, in bytes of the attempt's log.
    pub log_offset: u64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

impl Step {
    /// The word for its standing.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.outcome.map_or("running", Outcome::as_str)
    }
}

/// A parent image together with the digest used.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pin {
    /// As the Dockerfile or the workflow says.
    pub written: String,
    /// Complete, with its registry.
    pub reference: String,
    /// What the reference named when the job was pinned.
    pub digest: String,
}

/// A part of a job's log, cut between lines and free of escape sequences.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogPage {
    /// The job.
    pub job: String,
    /// The attempt whose log it is.
    pub attempt: u32,
    /// Where the text begins, in bytes of the stored log.
    pub from: u64,
    /// The `from` of the next part.
    pub next: u64,
    /// Bytes stored so far.
    pub stored_bytes: u64,
    /// Whether nothing more will come after `next`.
    pub finished: bool,
    /// The text, as UTF-8.
    pub text: String,
}
