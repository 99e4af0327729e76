//! Deliveries and what became of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::ids::{DeliveryId, EventId, RunId};

use super::{SkippedWorkflow, blank_is_none};

/// One delivery, as a list shows it.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliverySummary {
    /// Its number.
    pub id: DeliveryId,
    /// The forge's configured name.
    pub forge: String,
    /// The forge's id of it.
    pub delivery: String,
    /// The forge's name of the event.
    pub event_name: String,
    /// `forge`, or `sweep` when a look at the branches made it up.
    pub source: String,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// Bytes of the body.
    pub size_bytes: u64,
    /// `waiting` until it is decoded.
    pub state: String,
    /// What it means; `null` until it is decoded.
    pub event: Option<EventSummary>,
}

impl DeliverySummary {
    /// The word for its standing: the event's once there is one.
    #[must_use]
    pub fn word(&self) -> &str {
        self.event.as_ref().map_or(&self.state, |event| &event.state)
    }
}

/// A decoded event.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventSummary {
    /// Its number.
    pub id: EventId,
    /// `push`, `pull_request`, `ignored`, ….
    pub kind: String,
    /// The repository, where one could be read.
    pub repository: Option<String>,
    /// The full ref that it is about, or `#7` for pull request 7; absent where it is about neither.
    #[serde(rename = "ref")]
    pub about: Option<String>,
    /// `new`, `planned`, `skipped`, `duplicate` or `given_up`.
    pub state: String,
    /// Why there is no run, when there is none.
    pub reason: Option<String>,
    /// The runs that came of it.
    pub runs: Vec<RunId>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deliveries {
    /// The deliveries.
    pub deliveries: Vec<DeliverySummary>,
    /// The `before` of the next page; `null` on the last.
    pub next: Option<i64>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryFilter {
    /// A repository's path on its forge.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// `waiting` (not decoded yet), `new`, `planned`, `skipped` or `duplicate`.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `forge` or `sweep`.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only deliveries older than this one: the `next` of the page before.
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Rows, 1 to [`super::MAX_PAGE_ROWS`].
    #[serde(deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One delivery with what it means. The body may hold people's addresses and is not in here.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliveryDetail {
    /// What a list shows too.
    #[serde(flatten)]
    pub delivery: DeliverySummary,
    /// The headers that were kept.
    pub headers: BTreeMap<String, String>,
    /// The event as decoded; see [`workflows::event::Event`].
    pub decoded: Option<serde_json::Value>,
    /// Workflows that were looked at and did not fire.
    pub skipped_workflows: Vec<SkippedWorkflow>,
}

/// The answer to a replay.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replayed {
    /// The delivery whose bytes were stored again.
    pub original: DeliveryId,
    /// The new delivery.
    pub delivery: DeliveryId,
}
