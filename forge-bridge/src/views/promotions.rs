//! What was promoted: which image has its release's stable tags, or had them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::state::PromotionState;

/// What is said with the wish to promote a build.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromotionRequest {
    /// Why, for those who ask later.
    #[serde(deserialize_with = "super::blank_is_none", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the tags may go back to a build that is older than the one that has them.
    pub back: bool,
}

/// One promotion of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// Its number.
    pub id: i64,
    /// The tags, complete.
    pub references: Vec<String>,
    /// What they are put on.
    pub digest: String,
    /// Who asked for it.
    pub by: String,
    /// Why; empty when nobody said.
    pub reason: String,
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// How far it is.
    pub state: PromotionState,
    /// What the registry said last, where it did not take a tag.
    pub message: String,
    /// When the registry had all tags, or it was given up.
    pub ended_at: Option<DateTime<Utc>>,
}
