//! The place of a job in its matrix, and what expressions see of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Combination, JobDraft};

/// Which job of a matrix a job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixPlace {
    /// The key that all jobs of the matrix share.
    pub key: String,
    /// Its values.
    pub values: Combination,
    /// Its number among them, from 0.
    pub index: usize,
    /// How many there are.
    pub total: usize,
    /// Whether the first failure stops the rest.
    pub fail_fast: bool,
    /// How many of them may run at a time; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u64>,
}

impl Eq for MatrixPlace {}

impl JobDraft {
    /// The context `strategy` of the job.
    #[must_use]
    pub fn strategy(&self) -> Json {
        match &self.matrix {
            Some(place) => strategy(place.fail_fast, place.index, place.total, place.max_parallel),
            None => strategy(true, 0, 1, None),
        }
    }
}

/// The context `strategy`; without a bound, all jobs may run at a time.
pub(super) fn strategy(
    fail_fast: bool,
    index: usize,
    total: usize,
    max_parallel: Option<u64>,
) -> Json {
    let max_parallel = max_parallel.unwrap_or(total as u64);
    json!({
        "fail-fast": fail_fast, "job-index": index, "job-total": total,
        "max-parallel": max_parallel
    })
}
