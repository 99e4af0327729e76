//! How often repositories are looked at for what no forge delivered.

use chrono::TimeDelta;
use serde::Deserialize;

use super::ConfigError;

/// Longest interval that makes sense, in seconds: a week.
const MAX_SECONDS: u32 = 7 * 24 * 60 * 60;

/// The sweeper's pace.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// Between two looks at a repository, in seconds; they are spread over the last quarter.
    pub interval_seconds: u32,
    /// How long a change may be untold before it counts as missed, in seconds.
    pub settle_seconds: u32,
    /// Between two lists of a forge's repositories, in seconds.
    pub discovery_interval_seconds: u32,
}

impl Default for SweepConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_seconds: 15 * 60,
            settle_seconds: 60,
            discovery_interval_seconds: 60 * 60,
        }
    }
}

impl SweepConfig {
    /// Between two looks at a repository.
    #[must_use]
    pub fn interval(&self) -> TimeDelta {
        TimeDelta::seconds(self.interval_seconds.into())
    }

    /// How long a change may be untold.
    #[must_use]
    pub fn settle(&self) -> TimeDelta {
        TimeDelta::seconds(self.settle_seconds.into())
    }

    /// Between two lists of a forge's repositories.
    #[must_use]
    pub fn discovery_interval(&self) -> TimeDelta {
        TimeDelta::seconds(self.discovery_interval_seconds.into())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let intervals = [self.interval_seconds, self.discovery_interval_seconds];
        let is_good = intervals.iter().all(|seconds| (1..=MAX_SECONDS).contains(seconds));
        if is_good && self.settle_seconds <= self.interval_seconds {
            return Ok(());
        }
        Err(ConfigError::Meaning(
            "[sweep] wants intervals from a second to a week, and settle_seconds no longer than \
             interval_seconds"
                .to_owned(),
        ))
    }
}
