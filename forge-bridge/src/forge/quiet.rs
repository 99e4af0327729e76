//! A token that a forge asked to wait is not shown again before, whatever it would be for.
//!
//! Statuses, comments, looks at repositories and questions about people share one token, and a
//! forge counts all of them together. Each loop asks here with its own `now` before it asks the
//! forge, and tells here what the forge said.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Forge, ForgeError};

/// Until when a forge wants to hear nothing of its token. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet(Arc<AtomicI64>);

impl Quiet {
    fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0)?;
        (until > now).then_some(until)
    }

    fn keep_until(&self, until: DateTime<Utc>) {
        // Of two answers to requests of one moment the longer pause counts.
        self.0.fetch_max(until.timestamp(), Ordering::Relaxed);
    }
}

impl Forge {
    /// Until when the forge asked to be left alone; `None` when it may be asked at `now`.
    pub(crate) fn quiet_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.quiet()?.until(now)
    }

    /// Takes note of the pause that an error asks for, and says when it ends.
    pub(crate) fn heard(&self, error: &ForgeError, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ForgeError::Retry { after: Some(after), .. } = error else { return None };
        let until = now.checked_add_signed(TimeDelta::from_std(*after).ok()?)?;
        if let Some(quiet) = self.quiet() {
            quiet.keep_until(until);
        }
        Some(until)
    }

    fn quiet(&self) -> Option<&Quiet> {
        self.api().map(|api| &api.quiet)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_longest_pause_holds_to_its_end_for_all_that_share_it() {
        let now = Utc::now();
        let (quiet, shared) = {
            let quiet = Quiet::default();
            (quiet.clone(), quiet)
        };
        assert_eq!(quiet.until(now), None);
        quiet.keep_until(now + TimeDelta::seconds(60));
        quiet.keep_until(now + TimeDelta::seconds(5));
        assert!(shared.until(now + TimeDelta::seconds(58)).is_some());
        assert_eq!(shared.until(now + TimeDelta::seconds(60)), None);
    }

    #[test]
    fn only_a_pause_that_the_forge_named_is_kept() {
        let api = super::super::request::Api::of(
            crate::config::ForgeKind::Forgejo,
            "http://127.0.0.1:9",
            "t",
        );
        let forge = Forge::Forgejo(super::super::forgejo::Forgejo { api });
        let now = Utc::now();
        assert_eq!(forge.heard(&ForgeError::retry("away"), now), None);
        assert_eq!(forge.heard(&ForgeError::refused("no"), now), None);
        assert_eq!(forge.quiet_until(now), None);
        let limit =
            ForgeError::Retry { after: Some(Duration::from_secs(30)), why: "429".to_owned() };
        assert_eq!(forge.heard(&limit, now), Some(now + TimeDelta::seconds(30)));
        assert!(forge.clone().quiet_until(now + TimeDelta::seconds(20)).is_some());
    }
}
