//! Runs, what the forge is told of them, and what did not fire.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::ids::{DeliveryId, EventId, RunId};
use workflows::names::CommitId;
use workflows::state::{Outcome, RunState};

use super::{Job, blank_is_none};

/// One run, as a list shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its number.
    pub id: RunId,
    /// The forge's configured name.
    pub forge: String,
    /// The repository's path on it.
    pub repository: String,
    /// The full ref.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// The commit that is built.
    pub commit: String,
    /// The release that the ref belongs to.
    pub release: String,
    /// Counts the runs of one workflow of a repository, from 1; all attempts have the same.
    pub number: u32,
    /// 1, and one more each time that a person asked again.
    pub attempt: u32,
    /// What brought it about: `push`, `pull_request`, `schedule`, ….
    pub cause: String,
    /// `trusted`, or `untrusted` for a stranger's change.
    pub trust: String,
    /// The workflow's name.
    pub workflow: String,
    /// What the workflow calls this run.
    #[serde(default)]
    pub run_name: Option<String>,
    /// Where it stands.
    pub state: RunState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// One sentence when there is something to say.
    pub message: String,
    /// When it was planned.
    pub created_at: DateTime<Utc>,
    /// When its first job began.
    pub started_at: Option<DateTime<Utc>>,
    /// When its last job ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A page of runs, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Runs {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// The `before` of the next page; `null` on the last.
    pub next: Option<i64>,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunFilter {
    /// A repository's path on its forge.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// A branch, a tag or a full ref.
    #[serde(
        rename = "ref",
        deserialize_with = "blank_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub ref_name: Option<String>,
    /// A state or an outcome.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub state: Option<Standing>,
    /// A release's name.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Only runs older than this one: the `next` of the page before.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Rows, 1 to [`super::MAX_PAGE_ROWS`].
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Where a run stands or how it ended, in one word, as people filter by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not narrowed down to how it ended.
    State(RunState),
    /// Ended in this way.
    Outcome(Outcome),
}

impl Standing {
    /// Every word, in the order of a run's life.
    pub const ALL: [Self; 9] = [
        Self::State(RunState::Queued),
        Self::State(RunState::Running),
        Self::State(RunState::Finished),
        Self::Outcome(Outcome::Success),
        Self::Outcome(Outcome::Failure),
        Self::Outcome(Outcome::Error),
        Self::Outcome(Outcome::TimedOut),
        Self::Outcome(Outcome::Cancelled),
        Self::Outcome(Outcome::Superseded),
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State(state) => state.as_str(),
            Self::Outcome(outcome) => outcome.as_str(),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Standing {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == text).ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("state must be one of {words}")
        })
    }
}

impl Serialize for Standing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl RunSummary {
    /// Where the run stands, or how it ended once it has.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.outcome.map_or(Standing::State(self.state), Standing::Outcome)
    }
}

/// One run with all that belongs to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunDetail {
    /// What a list shows too.
    #[serde(flatten)]
    pub run: RunSummary,
    /// The event behind it.
    pub event: EventId,
    /// The delivery behind the event; `null` for a schedule.
    pub delivery: Option<DeliveryId>,
    /// The first attempt, for all others.
    pub rerun_of: Option<RunId>,
    /// The next attempt, once somebody has asked for it.
    pub rerun_as: Option<RunId>,
    /// The workflow's file.
    pub workflow_path: String,
    /// `repository`, or `operator` for a release's default workflow.
    pub workflow_origin: String,
    /// The git blob that was read.
    pub workflow_blob: String,
    /// The workflow files that its jobs call, each with the commit at which it was read.
    #[serde(default)]
    pub called_workflows: BTreeMap<String, CommitId>,
    /// In the order of the workflow.
    pub jobs: Vec<Job>,
    /// What the forge is to show and what it has been told.
    pub statuses: Vec<Status>,
    /// Workflows that the same event looked at and did not fire.
    pub skipped_workflows: Vec<SkippedWorkflow>,
}

/// A commit status: what is desired and what the forge has been told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// The stable name, `<workflow> / <job>`.
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// The sentence.
    pub description: String,
    /// Where the forge links to.
    pub target_url: String,
    /// Whether the forge has been told all of this.
    pub reported: bool,
    /// Tries since it last changed.
    pub attempts: u32,
    /// The forge's final no.
    pub refusal: Option<String>,
    /// When it changed here.
    pub changed_at: DateTime<Utc>,
    /// When the forge last took one.
    pub reported_at: Option<DateTime<Utc>>,
}

/// A workflow that an event looked at and did not fire.
#[derive(Debug, Serialize, Deserialize)]
pub struct SkippedWorkflow {
    /// Its file.
    pub path: String,
    /// Why not.
    pub reason: String,
}
