//! What a look at a repository's open pull requests says that no delivery said.
//!
//! A pull request is to its list what a branch is to the list of branches: it has a head, for a
//! branch, while it is open, and none when it is over. That it is over says nothing of how, so that its forge is
//! asked for each one whose end nobody told.

use std::collections::{BTreeMap, BTreeSet};

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Judged, Known, Missed, Side};
use crate::names::{CommitId, NameError, RefName};

/// Most pull requests outside of a cut list whose forge is asked in one look whether they are over.
const MAX_UNLISTED: usize = 5;

/// Where an open pull request is: written and kept as [`Landing`](crate::event::Landing) has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Place {
    /// Its head.
    pub head: CommitId,
    /// The branch that it would go into: another one is as good as another head.
    pub base: RefName,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.head, self.base)
    }
}

impl FromStr for Place {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (head, base) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self { head: CommitId::parse(head)?, base: RefName::parse(base)? })
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

/// What the events since the last look say of a pull request, oldest first: where it is each
/// time, `None` for its end.
pub type Told = BTreeMap<u64, Vec<Option<Place>>>;

/// A look at the open pull requests of a repository.
#[derive(Debug, Clone)]
pub struct Look<'a> {
    /// Pull requests as the last look left them.
    pub known: &'a BTreeMap<u64, Known<Place>>,
    /// What was told since; of the first look, ever.
    pub told: &'a Told,
    /// Where those are that are open.
    pub listed: &'a BTreeMap<u64, Place>,
    /// Whether the list has all of them; of a cut one, what is not in it is as it was told, and a
    /// few are asked for, others in each look.
    pub is_whole: bool,
    /// Whether nobody looked here before: those that nobody spoke of are then no news.
    pub is_first: bool,
    /// When they were listed.
    pub now: DateTime<Utc>,
    /// How long a change may be untold before it counts as missed.
    pub settle: TimeDelta,
}

/// What a look gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Pull requests as this look leaves them, as far as they are open or wait.
    pub known: BTreeMap<u64, Known<Place>>,
    /// Those with a head, or for a branch, that no forge delivered, and whether they were known to be open.
    pub heads: BTreeMap<u64, bool>,
    /// Those that ended, or may have, and no forge delivered it; each as it has to stay known until
    /// its forge has said how it ended.
    pub ends: BTreeMap<u64, Known<Place>>,
}

impl Found {
    /// Whether a change waits to be told or to count as missed.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.known.values().any(|known| known.missed.is_some())
    }
}

/// Compares.
#[must_use]
pub fn compare(look: &Look<'_>) -> Found {
    let numbers: BTreeSet<u64> =
        look.known.keys().chain(look.told.keys()).chain(look.listed.keys()).copied().collect();
    let mut found = Found::default();
    let mut unlisted = Vec::new();
    for number in numbers {
        let told = look.told.get(&number).map(Vec::as_slice).unwrap_or_default();
        let known = look.known.get(&number);
        let mut pull = Side::of(look.listed.get(&number), known, told, look.is_first);
        if pull.now.is_none() && !look.is_whole {
            pull = Side { now: pull.expected, is_told: true, ..pull };
            unlisted.extend(pull.now.map(|_| number));
        }
        let left = found.judge(number, &pull, look);
        if left.head.is_some() || left.missed.is_some() {
            found.known.insert(number, left);
        }
    }
    for number in turn(&unlisted, look.now) {
        let known = found.known.get(&number).cloned();
        found.ends.extend(known.map(|known| (number, known)));
    }
    found
}

/// The few of them whose turn it is. Any two looks begin at places that have nothing to do with
/// each other, so that all have their turn, and nothing has to be remembered.
fn turn(numbers: &[u64], now: DateTime<Utc>) -> impl Iterator<Item = u64> {
    let length = numbers.len().max(1);
    let place = Sha256::digest(now.timestamp().to_be_bytes());
    let first = place.iter().fold(0, |sum, byte| (sum * 256 + usize::from(*byte)) % length);
    let few = numbers.len().min(MAX_UNLISTED);
    numbers.iter().cycle().skip(first).take(few).copied()
}

impl Found {
    fn judge(&mut self, number: u64, pull: &Side<'_, Place>, look: &Look<'_>) -> Known<Place> {
        match (pull.judged(look.now, look.settle), pull.now) {
            (Judged::Told, _) => return pull.settled(),
            (Judged::Waits(since), _) => return pull.waiting(since),
            (Judged::Missed, Some(_)) => {
                self.heads.insert(number, pull.expected.is_some());
            }
            (Judged::Missed, None) => {
                let since = pull.missed.map_or(look.now, |missed| missed.since);
                let missed = Some(Missed { head: None, since });
                self.ends.insert(number, Known { head: pull.expected.cloned(), missed });
            }
        }
        pull.settled()
    }
}

#[cfg(test)]
mod tests;
