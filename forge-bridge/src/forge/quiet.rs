//! A token that a forge asked to wait is not shown again before, whatever it would be for.
//!
//! Statuses, comments, looks at repositories and questions about people share one token, and a
//! forge counts all of them together. A GitHub App has a token of its own and one for each owner
//! who installed it, and each of them is counted by itself: what one owner's repositories used up
//! holds up no other's. Each loop asks here with its own `now` before it asks the forge, and tells
//! here what the forge said. Nothing of it is kept over a restart: a forge that is asked too early
//! says so again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use workflows::names::RepositoryName;

use super::{Forge, ForgeError};

/// Longest pause of our own, in seconds: GitHub asks for no more when it names none.
const MAX_OWN_PAUSE_SECONDS: i64 = 60;
/// How long after the end of a pause another one still is the same limit, and not a new one.
const SAME_LIMIT: TimeDelta = TimeDelta::minutes(1);
/// Most tokens whose pause is kept; with more of them silenced the whole forge is left alone.
const MAX_TOKENS: usize = 4096;

/// Whose token: of an App's installation that of the owner, else the one that there is.
type Holder = Option<String>;

/// The pause of a token.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: DateTime<Utc>,
    /// Pauses before it of which each followed the end of another.
    before: u32,
}

impl Pause {
    /// The pause after a limit that was met now. A forge that names none worth the name, as a
    /// moment that is over, is asked more and more seldom all the same.
    fn after(last: Option<Self>, named: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let before = match last {
            // The answer to another request of the same moment.
            Some(last) if now < last.until => last.before,
            Some(last) if now < last.until + SAME_LIMIT => last.before.saturating_add(1),
            _ => 0,
        };
        let own = 1_i64.checked_shl(before.min(16)).unwrap_or(i64::MAX).min(MAX_OWN_PAUSE_SECONDS);
        // Of two answers to requests of one moment the longer pause counts.
        let kept = last.map_or(named, |last| named.max(last.until));
        Self { until: kept.max(now + TimeDelta::seconds(own)), before }
    }

    fn is_past(self, now: DateTime<Utc>) -> bool {
        now >= self.until + SAME_LIMIT
    }
}

/// Until when a forge wants to hear nothing of its tokens. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet(Arc<Mutex<HashMap<Holder, Pause>>>);

impl Quiet {
    fn pauses(&self) -> MutexGuard<'_, HashMap<Holder, Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until(&self, holder: &Holder, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.pauses().get(holder).map(|pause| pause.until).filter(|until| *until > now)
    }

    /// Keeps the pause that was named, or a longer one, and says when it ends.
    fn keep_until(
        &self,
        holder: Holder,
        named: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let mut pauses = self.pauses();
        if pauses.len() >= MAX_TOKENS {
            pauses.retain(|_, pause| !pause.is_past(now));
        }
        let holder = holder.filter(|_| pauses.len() < MAX_TOKENS);
        let pause = Pause::after(pauses.get(&holder).copied(), named, now);
        pauses.insert(holder, pause);
        pause.until
    }

    fn owners(&self, now: DateTime<Utc>) -> Vec<String> {
        let mut pauses = self.pauses();
        pauses.retain(|_, pause| !pause.is_past(now));
        let waiting = pauses.iter().filter(|(_, pause)| pause.until > now);
        waiting.filter_map(|(holder, _)| holder.clone()).collect()
    }
}

impl Forge {
    /// Until when the forge asked to be left alone; `None` when it may be asked at `now`. An App
    /// is asked here what concerns no repository, and by [`Forge::quiet_for`] what does.
    pub(crate) fn quiet_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.quiet()?.until(&None, now)
    }

    /// As [`Forge::quiet_until`], of the token with which a repository is asked about.
    pub(crate) fn quiet_for(
        &self,
        repository: &RepositoryName,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let api = self.api()?;
        api.quiet.until(&api.holder(Some(repository)), now)
    }

    /// The owners whose installation of an App is to be left alone now.
    pub(crate) fn quiet_owners(&self, now: DateTime<Utc>) -> Vec<String> {
        self.quiet().map(|quiet| quiet.owners(now)).unwrap_or_default()
    }

    /// Takes note of the pause that an error asks for, and says when it ends.
    pub(crate) fn heard(&self, error: &ForgeError, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ForgeError::Retry { after: Some(after), holder, .. } = error else { return None };
        let until = now.checked_add_signed(TimeDelta::from_std(*after).ok()?)?;
        match self.quiet() {
            Some(quiet) => Some(quiet.keep_until(holder.clone(), until, now)),
            None => Some(until),
        }
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
        assert_eq!(quiet.until(&None, now), None);
        quiet.keep_until(None, now + TimeDelta::seconds(60), now);
        quiet.keep_until(None, now + TimeDelta::seconds(5), now);
        assert!(shared.until(&None, now + TimeDelta::seconds(58)).is_some());
        assert_eq!(shared.until(&None, now + TimeDelta::seconds(60)), None);
    }

    #[test]
    fn a_pause_that_is_none_gets_longer_while_limits_follow_each_other() {
        let (quiet, begin) = (Quiet::default(), Utc::now());
        let mut now = begin;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let until = quiet.keep_until(None, now, now);
            // Another answer of the same moment is no other limit.
            assert_eq!(quiet.keep_until(None, now, now), until);
            pauses.push((until - now).num_seconds());
            now = until;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let named = quiet.keep_until(None, now + TimeDelta::minutes(5), now);
        assert_eq!(named, now + TimeDelta::minutes(5), "what the forge names is longer");
        let fair = named + TimeDelta::minutes(2);
        assert_eq!(quiet.keep_until(None, fair, fair), fair + TimeDelta::seconds(1));
    }

    #[test]
    fn each_owner_of_an_app_has_a_pause_of_its_own_and_there_is_a_bound() {
        let (quiet, now) = (Quiet::default(), Utc::now());
        let owner = |name: &str| Some(name.to_owned());
        quiet.keep_until(owner("fedora"), now + TimeDelta::seconds(60), now);
        assert_eq!(quiet.until(&owner("centos"), now), None);
        assert_eq!(quiet.until(&None, now), None);
        assert_eq!(quiet.owners(now), ["fedora"]);
        let later = now + TimeDelta::seconds(61);
        assert_eq!(quiet.owners(later), [""; 0]);
        let later = now + TimeDelta::hours(1);
        for number in 0..=MAX_TOKENS {
            quiet.keep_until(owner(&number.to_string()), later + TimeDelta::seconds(9), later);
        }
        assert_eq!(quiet.pauses().len(), MAX_TOKENS + 1);
        assert!(quiet.until(&None, later).is_some(), "so many silence the whole forge");
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
        let limit = ForgeError::Retry {
            after: Some(Duration::from_secs(30)),
            holder: None,
            may_be_done: false,
            why: "429".into(),
        };
        assert_eq!(forge.heard(&limit, now), Some(now + TimeDelta::seconds(30)));
        assert!(forge.clone().quiet_until(now + TimeDelta::seconds(20)).is_some());
    }
}
