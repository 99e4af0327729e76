//! What a look at a repository's branches says that no delivery said.
//!
//! Forges forget: many refs in one push, an outage on either side, a hook that is switched off.
//! A sweep lists the branches and compares them with what was told. A head that nobody told of
//! must be seen twice, some time apart: its delivery may just be on the way.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Push, RefDeleted};
use crate::names::{CommitId, RefName, RepositoryName};

pub mod comments;
pub mod pulls;

/// A branch, or an open pull request, as the last sweep left it; `H` is what counts as its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<H = CommitId> {
    /// Its head; `None` when it was not there.
    pub head: Option<H>,
    /// What nobody has told of yet.
    pub missed: Option<Missed<H>>,
}

/// A change that was seen and not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed<H = CommitId> {
    /// The head that was seen; `None` when the branch was gone.
    pub head: Option<H>,
    /// When it was seen first.
    pub since: DateTime<Utc>,
}

/// What the events since the last sweep say of a branch, oldest first: its new head each time,
/// `None` for a deletion. Those that proved to be late or doubles, or that nobody could read, say
/// nothing.
pub type Told = BTreeMap<RefName, Vec<Option<CommitId>>>;

/// A look at a repository.
#[derive(Debug, Clone)]
pub struct Look<'a> {
    /// Where.
    pub repository: &'a RepositoryName,
    /// Branches as the last sweep left them.
    pub known: &'a BTreeMap<RefName, Known>,
    /// What was told since; of the first sweep, ever.
    pub told: &'a Told,
    /// Branches as they are.
    pub heads: &'a BTreeMap<RefName, CommitId>,
    /// Whether nobody swept here before: branches that nobody spoke of are then no news.
    pub is_first: bool,
    /// When the branches were listed.
    pub now: DateTime<Utc>,
    /// How long a change may be untold before it counts as missed.
    pub settle: TimeDelta,
}

/// What a look gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Branches as this sweep leaves them; those that are gone are not in it.
    pub known: BTreeMap<RefName, Known>,
    /// What no forge delivered.
    pub events: Vec<Event>,
}

impl Found {
    /// Whether a change waits to be told or to count as missed.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.known.values().any(|known| known.missed.is_some())
    }
}

/// Compares. The events have the identity that the forge's own would have, so that the one which
/// comes later is recognised as the same happening.
#[must_use]
pub fn compare(look: &Look<'_>) -> Found {
    let names: BTreeSet<&RefName> =
        look.known.keys().chain(look.told.keys()).chain(look.heads.keys()).collect();
    let mut found = Found::default();
    for name in names {
        let told = look.told.get(name).map(Vec::as_slice).unwrap_or_default();
        let branch = Side::of(look.heads.get(name), look.known.get(name), told, look.is_first);
        let known = match branch.judged(look.now, look.settle) {
            Judged::Told => branch.settled(),
            Judged::Waits(since) => branch.waiting(since),
            Judged::Missed => {
                found.events.extend(branch.event(look.repository, name));
                branch.settled()
            }
        };
        if known.head.is_some() || known.missed.is_some() {
            found.known.insert(name.clone(), known);
        }
    }
    found
}

/// One branch or pull request, from all sides.
struct Side<'a, H> {
    now: Option<&'a H>,
    /// What it should be after all that was told.
    expected: Option<&'a H>,
    is_told: bool,
    missed: Option<&'a Missed<H>>,
}

/// What a look does with a branch or a pull request.
enum Judged {
    /// All is told.
    Told,
    /// It may be told yet; the change was seen first then.
    Waits(DateTime<Utc>),
    /// Nobody told of it.
    Missed,
}

impl<'a, H: Clone + PartialEq> Side<'a, H> {
    /// `is_first` is that of [`Look`].
    fn of(
        now: Option<&'a H>,
        known: Option<&'a Known<H>>,
        told: &'a [Option<H>],
        is_first: bool,
    ) -> Self {
        let left = known.and_then(|known| known.head.as_ref());
        let expected = match told.last() {
            Some(last) => last.as_ref(),
            None => left,
        };
        // The newest is what we go by, also when it came out of order: then it has to be made good.
        let is_no_news = is_first && told.is_empty() && known.is_none();
        let is_told = expected == now || is_no_news;
        Self { now, expected, is_told, missed: known.and_then(|known| known.missed.as_ref()) }
    }

    fn judged(&self, now: DateTime<Utc>, settle: TimeDelta) -> Judged {
        if self.is_told {
            return Judged::Told;
        }
        let before = self.missed.filter(|missed| missed.head.as_ref() == self.now);
        let since = before.map_or(now, |missed| missed.since);
        if now - since < settle { Judged::Waits(since) } else { Judged::Missed }
    }

    fn settled(&self) -> Known<H> {
        Known { head: self.now.cloned(), missed: None }
    }

    fn waiting(&self, since: DateTime<Utc>) -> Known<H> {
        let missed = Some(Missed { head: self.now.cloned(), since });
        Known { head: self.expected.cloned(), missed }
    }
}

impl Side<'_, CommitId> {
    fn event(&self, repository: &RepositoryName, ref_name: &RefName) -> Option<Event> {
        let (repository, ref_name) = (repository.clone(), ref_name.clone());
        let before = self.expected.cloned();
        match (before, self.now.cloned()) {
            (before, Some(after)) => Some(Event::Push(Push {
                repository,
                ref_name,
                before,
                after,
                forced: false,
                actor: None,
            })),
            (before @ Some(_), None) => {
                Some(Event::BranchDeleted(RefDeleted { repository, ref_name, before, actor: None }))
            }
            (None, None) => None,
        }
    }
}

/// When a repository is looked at again: after the interval, by up to a quarter of it earlier, so
/// that many do not come due in one moment.
#[must_use]
pub fn next_sweep(now: DateTime<Utc>, interval: TimeDelta, seed: u64) -> DateTime<Utc> {
    let spread = (interval.num_seconds() / 4).max(1).unsigned_abs();
    now + interval - TimeDelta::seconds((seed % spread).cast_signed())
}

#[cfg(test)]
mod tests;
