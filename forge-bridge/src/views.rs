//! What people see, as types: the store fills them, the pages print them, the JSON API sends
//! them and the commands read them back.
//!
//! The field names are the names of the API and stay; a field may come, none goes or changes its
//! meaning. Times are RFC 3339 in UTC, sizes are bytes. Words that a newer bridge may add to
//! (`kind`, `cause`, `class`, …) are text; the states of [`workflows::state`] are fixed.

mod approvals;
mod asked;
mod builds;
mod deliveries;
mod forges;
mod jobs;
mod named_values;
mod promotions;
mod rebuilds;
mod runs;
mod statuses;
pub mod times;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::ids::{ImageId, RunId, RunnerId};

pub use approvals::{ApprovalRequest, Approved};
pub use asked::{
    BranchRules, BuildRequest, DispatchRequest, NextNvr, NvrQuery, RegistryRules, RulesQuery,
};
pub use builds::{Attachment, BuildChoice, BuildDetail, RecordEvent};
pub use deliveries::{
    Deliveries, DeliveryDetail, DeliveryFilter, DeliverySummary, EventSummary, Replayed,
};
pub use forges::{CheckedPart, ForgeCheck, ForgeCheckRequest, PartState};
pub use jobs::{Job, LogPage, Pin, Step};
pub use named_values::{
    KeyUse, NamedValue, NamedValueChange, NamedValueChanges, NamedValueKept, NamedValues,
    RemoveNamedValue, ScopeView, SecretKey, SecretKeys, SetNamedValue,
};
pub use promotions::{Promoted, PromotionRequest};
pub use rebuilds::{
    BlockedView, ControlRequest, Controlled, History, HistoryFilter, LastRun, MAX_REASON_CHARS,
    MAX_SHOWN_IMAGES, MAX_SHOWN_PLAN, MAX_SIGHTINGS, MovedView, ParentView, PlanView, PlannedView,
    Planning, SightingView, Stale, StaleFilter, StaleImage, UnseenView, WaveView,
};
pub use runs::{RunDetail, RunFilter, RunSummary, Runs, SkippedWorkflow, Standing, Status};
pub use statuses::{ListedStatus, Retried, RetryRequest, StatusFilter, Statuses};

/// Most rows of one page of a list; a caller who wants more asks for the next page.
pub const MAX_PAGE_ROWS: u32 = 200;
/// Rows of one page when the caller does not say.
pub const DEFAULT_PAGE_ROWS: u32 = 50;

/// An image that Strata built and pushed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    /// Its number.
    pub id: ImageId,
    /// The run that built it.
    pub run: RunId,
    /// The job of that run.
    pub job: String,
    /// The release that it belongs to.
    pub release: String,
    /// `registry/repository:unique-tag`, as it was pushed.
    pub reference: String,
    /// `registry/repository`.
    pub name: String,
    /// The manifest's digest.
    pub digest: String,
    /// Bytes of all layers as pushed.
    pub size_bytes: u64,
    /// `release`, `scratch` or `isolated`.
    pub mode: String,
    /// Name-version-release; `null` for a scratch build.
    pub nvr: Option<String>,
    /// When the image was recorded.
    pub created_at: DateTime<Utc>,
    /// Unique first, then primary, then floating and stable.
    pub tags: Vec<ImageTag>,
}

/// One tag of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageTag {
    /// `unique`, `primary`, `floating` or `stable`.
    pub class: String,
    /// The tag.
    pub tag: String,
    /// When the registry took it; `null` while it has not.
    pub put_at: Option<DateTime<Utc>>,
    /// When it was taken away again, as those of test builds are; `null` while it is there.
    #[serde(default)]
    pub removed_at: Option<DateTime<Utc>>,
}

/// Which images to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageFilter {
    /// `registry/repository` or the repository alone.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A release's name.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Only images older than this one: the `next` of the page before.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Rows, 1 to [`MAX_PAGE_ROWS`].
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of images, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Images {
    /// The images.
    pub images: Vec<Image>,
    /// The `before` of the next page; `null` on the last.
    pub next: Option<i64>,
}

/// A registered runner.
#[derive(Debug, Serialize, Deserialize)]
pub struct Runner {
    /// Its number.
    pub id: RunnerId,
    /// The name that it registered under.
    pub name: String,
    /// What it offers.
    pub labels: Vec<String>,
    /// Jobs at once.
    pub slots: u32,
    /// Jobs that it holds a lease of now.
    pub busy: u32,
    /// Its version.
    pub version: String,
    /// When it registered last.
    pub registered_at: DateTime<Utc>,
    /// When the bridge heard of it last.
    pub seen_at: DateTime<Utc>,
    /// Whether that was within [`times::RUNNER_SILENCE_SECONDS`].
    pub online: bool,
}

/// All registered runners, by name.
#[derive(Debug, Serialize, Deserialize)]
pub struct Runners {
    /// The runners.
    pub runners: Vec<Runner>,
}

/// How much waits, and where.
#[derive(Debug, Serialize, Deserialize)]
pub struct Overview {
    /// Version of the bridge.
    pub version: String,
    /// Deliveries that are stored and not decoded.
    pub deliveries_undecoded: u64,
    /// Events that are decoded and not planned.
    pub events_unplanned: u64,
    /// Jobs that wait for the digests of their parent images.
    pub jobs_unpinned: u64,
    /// Jobs that wait for other jobs of their run.
    pub jobs_waiting: u64,
    /// Jobs that a runner may lease.
    pub jobs_queued: u64,
    /// Jobs that a runner holds.
    pub jobs_leased: u64,
    /// Jobs whose image gets its tags.
    pub jobs_publishing: u64,
    /// Since when the longest waiting leasable job waits.
    pub oldest_queued_at: Option<DateTime<Utc>>,
    /// Statuses that the forge has not heard of yet.
    pub statuses_behind: u64,
    /// Statuses that a forge finally refused.
    pub statuses_refused: u64,
    /// Registered runners.
    pub runners: u64,
    /// Runners heard of lately.
    pub runners_online: u64,
    /// Slots of those.
    pub slots_online: u64,
}

/// Body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What happened and what to do.
    pub error: String,
}

/// Rows of a page that was asked for with `limit`.
pub(crate) fn page_rows(limit: Option<u32>) -> u32 {
    limit.unwrap_or(DEFAULT_PAGE_ROWS).clamp(1, MAX_PAGE_ROWS)
}

/// Reads a field of a query string; a form sends an empty one for what is not filled in.
fn blank_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = Option::<String>::deserialize(deserializer)?;
    match text.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}
