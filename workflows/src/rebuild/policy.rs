//! What each release wants of rebuilds, and how much of it at a time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Longest pause between two attempts: whatever broke a build has had a day to be mended.
pub const MAX_BACKOFF_SECONDS: u32 = 24 * 60 * 60;
/// When parents are looked at unless a release says otherwise; notifications and our own builds
/// are looked at when they come.
pub const DEFAULT_CHECK: &str = "*/30 * * * *";
/// First pause after a failure; a mirror that was down for a moment is back.
const BACKOFF_SECONDS: NonZeroU32 = NonZeroU32::new(10 * 60).expect("not zero");
/// Attempts on the same parents; the third failure in a row is not an accident.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(3).expect("not zero");
/// Rebuilds of one release at once: half of a runner's usual slots stay free for pushes.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(2).expect("not zero");
/// Rebuilds of one release in an hour; a base with 233 children is done within a night.
const PER_HOUR: NonZeroU32 = NonZeroU32::new(30).expect("not zero");

crate::state::words! {
    /// When a new build of a parent counts for its children.
    Propagation {
        /// As soon as it is built.
        Candidate = "candidate",
        /// When it has been promoted.
        Stable = "stable",
    }
}

crate::state::words! {
    /// Which commit a rebuild builds.
    CommitChoice {
        /// The one that was built last: nothing changes but the parents.
        LastBuilt = "last-built",
        /// The head of the branch.
        Head = "head",
    }
}

crate::state::words! {
    /// What two builds of an image must have in common to count as the same content.
    #[derive(Default)]
    Sameness {
        /// Every file: the layers, uncompressed.
        #[default]
        Layers = "layers",
        /// The packages in their versions, of builds of one commit. Files that no package owns have
        /// no part in it.
        Packages = "packages",
    }
}

/// The rules of all releases, and the budgets of registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// By the release's name. A release that is not here rebuilds nothing.
    pub releases: BTreeMap<String, ReleaseRules>,
    /// By host. Each rebuild counts at every registry that it reads from or pushes to; one that
    /// is not here has no limit of its own.
    pub registries: BTreeMap<String, Budget>,
}

/// What one release wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReleaseRules {
    /// Whether images are rebuilt that do not say so themselves.
    pub autorebuild: bool,
    /// Whether builder images count as well as the parent.
    pub builders: bool,
    /// When a new build of a parent counts.
    pub propagate: Propagation,
    /// Attempts on the same parents before the image is left to people.
    pub max_attempts: NonZeroU32,
    /// Seconds before the second attempt; each further pause is twice as long, up to
    /// [`MAX_BACKOFF_SECONDS`].
    pub backoff_seconds: NonZeroU32,
    /// How much at a time.
    pub budget: Budget,
    /// When no rebuild starts.
    pub freezes: Vec<Freeze>,
    /// When the registries are asked what the parents are now: five cron fields, in the release's
    /// time zone. [`DEFAULT_CHECK`] unless given.
    pub check: Option<String>,
    /// Which commit is built.
    pub commit: CommitChoice,
    /// Whether a rebuild that has the same content as the build before keeps its floating tags
    /// where they are, so that nothing is built again for it.
    pub skip_unchanged: bool,
    /// What the same content is.
    pub unchanged_by: Sameness,
}

/// How much at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Rebuilds under way at the same time.
    pub at_once: NonZeroU32,
    /// Rebuilds started within an hour.
    pub per_hour: NonZeroU32,
}

/// A time in which no rebuild starts. What is under way ends as usual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The first moment after it.
    pub until: DateTime<Utc>,
    /// Why, in words for the person who waits.
    pub reason: String,
}

static NO_RULES: ReleaseRules = ReleaseRules::new();

impl Policy {
    /// The rules of a release, or those that rebuild nothing.
    pub(super) fn rules(&self, release: &str) -> &ReleaseRules {
        self.releases.get(release).unwrap_or(&NO_RULES)
    }
}

impl ReleaseRules {
    const fn new() -> Self {
        Self {
            autorebuild: false,
            builders: false,
            propagate: Propagation::Stable,
            max_attempts: ATTEMPTS,
            backoff_seconds: BACKOFF_SECONDS,
            budget: Budget { at_once: AT_ONCE, per_hour: PER_HOUR },
            freezes: Vec::new(),
            check: None,
            commit: CommitChoice::LastBuilt,
            skip_unchanged: false,
            unchanged_by: Sameness::Layers,
        }
    }

    /// When parents are looked at: five cron fields.
    #[must_use]
    pub fn check(&self) -> &str {
        self.check.as_deref().unwrap_or(DEFAULT_CHECK)
    }

    /// The pause after so many failures.
    pub(super) fn backoff(&self, failures: u32) -> TimeDelta {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let seconds = self.backoff_seconds.get().saturating_mul(doubled).min(MAX_BACKOFF_SECONDS);
        TimeDelta::seconds(seconds.into())
    }

    /// The freeze at this moment that ends last.
    #[must_use]
    pub fn freeze(&self, now: DateTime<Utc>) -> Option<&Freeze> {
        let at_work = |freeze: &&Freeze| freeze.from <= now && now < freeze.until;
        self.freezes.iter().filter(at_work).max_by_key(|freeze| freeze.until)
    }
}

impl Default for ReleaseRules {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Budget {
    fn default() -> Self {
        ReleaseRules::new().budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_day() {
        let rules = ReleaseRules::default();
        let minutes = |failures| rules.backoff(failures).num_minutes();
        assert_eq!([minutes(1), minutes(2), minutes(3)], [10, 20, 40]);
        assert_eq!(minutes(u32::MAX), 24 * 60);
    }
}
