//! Of which pull requests a look has to read the comments.
//!
//! A list of pull requests tells when something happened to each of them last, and a comment is
//! something. All times of pull requests are the forge's: what was read before is known by its own
//! clock.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// How far a forge's clock may be behind ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// What a look knows before it reads any comment.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// When something happened last to each pull request that is open.
    pub updated: &'a BTreeMap<u64, DateTime<Utc>>,
    /// Up to when the comments of each were read.
    pub read: &'a BTreeMap<u64, DateTime<Utc>>,
    /// When pull requests were looked at the last time, by our clock; `None` the first time: whatever
    /// was said before is then no news.
    pub last_look: Option<DateTime<Utc>>,
}

/// A pull request to which something has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its number.
    pub number: u64,
    /// Comments that were written later are not read yet.
    pub since: DateTime<Utc>,
    /// When something happened to it last.
    pub updated_at: DateTime<Utc>,
}

impl Due {
    /// Up to when its comments are read, once they are: all of them, unless the last happening is so
    /// new that another comment may have come within the same second, or that its delivery may be on
    /// the way.
    #[must_use]
    pub fn read_up_to(&self, now: DateTime<Utc>, settle: TimeDelta) -> DateTime<Utc> {
        if self.updated_at + settle <= now { self.updated_at } else { self.since }
    }
}

/// The pull requests whose comments are to be read, those that wait longest first. Of one that no
/// look has seen, what was said before the last look is no news: either it was told, or it belongs to a
/// list that was cut.
#[must_use]
pub fn due(look: &Look<'_>) -> Vec<Due> {
    let Some(last_look) = look.last_look else { return Vec::new() };
    let unseen = last_look - CLOCK_SKEW;
    let of = |(&number, &updated_at): (&u64, &DateTime<Utc>)| {
        let since = look.read.get(&number).copied().unwrap_or(unseen);
        (updated_at > since).then_some(Due { number, since, updated_at })
    };
    let mut due: Vec<Due> = look.updated.iter().filter_map(of).collect();
    due.sort_by_key(|due| due.updated_at);
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minute * 60, 0).unwrap()
    }

    #[test]
    fn what_happened_since_the_comments_were_read_makes_them_due() {
        let updated =
            BTreeMap::from([(1, at(100)), (2, at(90)), (3, at(50)), (4, at(95)), (5, at(9))]);
        let read = BTreeMap::from([(1, at(80)), (2, at(90)), (3, at(40))]);
        let look = |last_look| Look { updated: &updated, read: &read, last_look };
        let numbers = |last_look| due(&look(last_look)).iter().map(|due| due.number).collect();
        let found: Vec<u64> = numbers(Some(at(99)));
        assert_eq!(
            found,
            [3, 4, 1],
            "2 was read to its end, and 5 was there before anybody looked"
        );
        let found: Vec<u64> = numbers(None);
        assert_eq!(found, [0; 0], "what was said before the first look is no news");
        let unseen = due(&look(Some(at(99))))[1];
        assert_eq!(unseen.since, at(99) - CLOCK_SKEW);
    }

    #[test]
    fn a_pull_request_that_is_being_talked_about_is_read_once_more() {
        let due = Due { number: 1, since: at(10), updated_at: at(20) };
        let settle = TimeDelta::minutes(1);
        assert_eq!(due.read_up_to(at(21), settle), at(20));
        assert_eq!(due.read_up_to(at(20), settle), at(10));
    }
}
