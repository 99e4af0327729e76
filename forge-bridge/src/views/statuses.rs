//! Statuses as the forges were told, and those that they refused, to be tried again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::ids::RunId;

use super::blank_is_none;

/// Which statuses to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusFilter {
    /// `refused`, `behind` (not told yet), or `told`.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// A repository's path on its forge.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Only statuses older than this one: the `next` of the page before.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Rows, 1 to [`super::MAX_PAGE_ROWS`].
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One commit status.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedStatus {
    /// Its number.
    pub id: i64,
    /// The run that says it.
    pub run: RunId,
    /// The forge's configured name.
    pub forge: String,
    /// The repository's path on it.
    pub repository: String,
    /// The commit that it stands on.
    pub commit: String,
    /// Its stable name there.
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// What people read.
    pub description: String,
    /// `told`, `behind` or `refused`.
    pub standing: String,
    /// Failed tries of these words.
    pub attempts: u32,
    /// Why the forge does not take it, and what to do.
    pub refusal: Option<String>,
    /// When these words were chosen.
    pub changed_at: DateTime<Utc>,
}

/// A page of statuses, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Statuses {
    /// The statuses.
    pub statuses: Vec<ListedStatus>,
    /// The `before` of the next page; `null` on the last.
    pub next: Option<i64>,
}

/// Which refused statuses to post again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// Of this run; all that the asker may ask about when it is left out.
    #[serde(default)]
    pub run: Option<RunId>,
}

/// What is tried again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Retried {
    /// How many statuses.
    pub statuses: u64,
}
