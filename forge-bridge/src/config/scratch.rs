//! How long test builds are kept.

use chrono::TimeDelta;
use serde::Deserialize;

use super::ConfigError;

/// Longest time that makes sense, in hours: ten years.
const MAX_HOURS: u32 = 10 * 366 * 24;

/// What becomes of the tags of scratch builds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScratchConfig {
    /// Whether they are taken away at all; the registries have to allow deleting.
    pub expires: bool,
    /// How long each is kept, in hours.
    pub keep_hours: u32,
    /// How long those of a pull request are kept after its end, in hours.
    pub keep_closed_hours: u32,
}

impl Default for ScratchConfig {
    fn default() -> Self {
        Self { expires: true, keep_hours: 30 * 24, keep_closed_hours: 24 }
    }
}

impl ScratchConfig {
    /// How long each is kept.
    #[must_use]
    pub fn kept(&self) -> TimeDelta {
        TimeDelta::hours(self.keep_hours.into())
    }

    /// How long those of a pull request are kept after its end.
    #[must_use]
    pub fn kept_after_close(&self) -> TimeDelta {
        TimeDelta::hours(self.keep_closed_hours.into())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.keep_hours >= 1 && self.keep_hours.max(self.keep_closed_hours) <= MAX_HOURS {
            return Ok(());
        }
        Err(ConfigError::Meaning(
            "[scratch] wants keep_hours from 1 to ten years, and keep_closed_hours up to that"
                .to_owned(),
        ))
    }
}
