//! What bridge and runner say to each other, as JSON over HTTP.
//!
//! The runner asks, the bridge answers; nothing dials into a runner. Every call that changes a
//! job carries the fence of the lease that it acts under, and one with a stale fence is refused
//! with [`Refusal::StaleFence`]: the runner then ends its containers and reports nothing more.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::evidence::BuildEvidence;
use crate::ids::{JobId, RunId, RunnerId};
use crate::image::BuiltImage;
use crate::job::JobSpec;
use crate::log_commands::Annotation;
use crate::state::{Fault, Outcome};

/// Path prefix of every call below.
pub const API: &str = "/runner/v1";
/// Longest time that a lease request waits for a job, in seconds.
pub const MAX_LEASE_WAIT_SECONDS: u64 = 30;
/// How long a lease lives without a heartbeat, in seconds.
pub const LEASE_SECONDS: i64 = 45;
/// How often a runner sends a heartbeat, in seconds: three may be lost before the lease is.
pub const HEARTBEAT_SECONDS: u64 = 10;
/// Most bytes of a [`JobReport`]: what the packages of a whole distribution take.
pub const MAX_REPORT_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of all outputs of a job, names and values together, as on GitHub.
pub const MAX_OUTPUTS_BYTES: usize = 1024 * 1024;
/// Longest summary of a job, in bytes.
pub const MAX_SUMMARY_BYTES: usize = 1024 * 1024;
/// Most annotations of a job that are kept; a page shows no more.
pub const MAX_ANNOTATIONS: usize = 500;
/// Longest text of an annotation that is kept, in bytes.
pub const MAX_ANNOTATION_BYTES: usize = 4 * 1024;
/// Most bytes of log in one call.
pub const MAX_LOG_CHUNK_BYTES: usize = 256 * 1024;

/// `POST /runner/v1/register`, authorised by the operator's registration token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Register {
    /// A name that people recognise; it is one runner's as long as that lives, and then another's,
    /// whose credential replaces the old one.
    pub name: String,
    /// What the runner offers.
    pub labels: Vec<String>,
    /// Jobs at once.
    pub slots: u32,
    /// The runner's version.
    pub version: String,
}

/// The answer to [`Register`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Registered {
    /// The runner's number.
    pub runner: RunnerId,
    /// Bearer token of every other call; the bridge keeps only its hash.
    #[serde(serialize_with = "expose")]
    pub credential: SecretString,
}

/// `POST /runner/v1/lease`: 200 with a [`Lease`], or 204 when nothing came within the wait.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Chosen by the runner; repeating a request whose answer was lost gives the same lease.
    pub request: String,
    /// What the runner offers now.
    pub labels: Vec<String>,
    /// How long to wait for a job, at most [`MAX_LEASE_WAIT_SECONDS`].
    pub wait_seconds: u64,
}

/// The right to run one attempt of a job until it expires.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// 1 for the first try.
    pub attempt: u32,
    /// Rises with every lease of the job.
    pub fence: i64,
    /// When the lease ends unless a heartbeat extends it.
    pub expires_at: DateTime<Utc>,
    /// What to do.
    pub spec: JobSpec,
    /// Names the instance in the labels of containers, so that two bridges can share an engine.
    pub instance: String,
    /// Read-only credential for the checkout, where the forge wants one.
    #[serde(default, serialize_with = "expose_option", skip_serializing_if = "Option::is_none")]
    pub clone_token: Option<SecretString>,
    /// The secrets that the job names and may have, by name. They stand in no stored row of a job,
    /// and a stranger's change gets none.
    #[serde(default, serialize_with = "expose_each", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretString>,
}

/// `POST /runner/v1/jobs/{job}/heartbeat`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Of the lease.
    pub fence: i64,
}

/// The answer to [`Heartbeat`].
#[derive(Debug, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// The lease's new end.
    pub expires_at: DateTime<Utc>,
    /// True when a person cancelled the job.
    pub cancel: bool,
}

/// `POST /runner/v1/jobs/{job}/log?fence=F&offset=N`, the body being the bytes: idempotent, since
/// the bridge writes only what it has not got. The answer names how much it has.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogPosition {
    /// Of the lease.
    pub fence: i64,
    /// Where in the attempt's log the body begins, in bytes.
    pub offset: u64,
}

/// The answer to a log call.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogAnswer {
    /// Bytes that are safely stored; the runner sends on from here.
    pub stored_bytes: u64,
}

/// `POST /runner/v1/jobs/{job}/step`: a step began or ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepReport {
    /// Of the lease.
    pub fence: i64,
    /// Position in the job, from 0.
    pub index: u32,
    /// As shown.
    pub name: String,
    /// Where its log begins, in bytes.
    pub log_offset: u64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When and how it ended.
    pub finished: Option<StepEnd>,
}

/// How a step ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub outcome: Outcome,
}

/// `POST /runner/v1/jobs/{job}/finish`: the attempt is over and its containers are gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobReport {
    /// Of the lease.
    pub fence: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// Behind [`Outcome::Error`].
    pub fault: Option<Fault>,
    /// One sentence for the status: what failed and where.
    pub message: String,
    /// What was built and pushed.
    pub image: Option<BuiltImage>,
    /// What is in it; there whenever the image is.
    #[serde(default)]
    pub evidence: Option<BuildEvidence>,
    /// What other jobs may read of it, at most [`MAX_OUTPUTS_BYTES`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Markdown that its steps wrote for people, at most [`MAX_SUMMARY_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What its steps said about lines of files, at most [`MAX_ANNOTATIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
}

/// Body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// For the program.
    pub refusal: Refusal,
    /// For the person who reads the runner's log.
    pub message: String,
}

/// Why the bridge refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// 401: no or unknown credential.
    Unauthorised,
    /// 409: the lease is another's or over.
    StaleFence,
    /// 404: no such job.
    UnknownJob,
    /// 400: the call makes no sense.
    Malformed,
    /// 413: more log than the job may write.
    LogFull,
    /// 409: a runner of that name lives; a registration may be tried again.
    NameHeld,
    /// 503: the store does not answer; try again.
    Unavailable,
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn expose_option<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_some(secret.expose_secret()),
        None => serializer.serialize_none(),
    }
}

fn expose_each<S: Serializer>(
    secrets: &BTreeMap<String, SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(secrets.iter().map(|(name, secret)| (name, secret.expose_secret())))
}
