//! How many comments a forge gets: GitHub takes eighty posts that others see in a minute and five
//! hundred in an hour, statuses among them, and stops everything after that.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Most comments to one forge in each time.
const PACES: [(TimeDelta, usize); 2] = [(TimeDelta::minutes(1), 20), (TimeDelta::hours(1), 200)];

/// The comments of the last hour, by forge.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<String, VecDeque<DateTime<Utc>>>>);

impl Pace {
    fn posts(&self) -> MutexGuard<'_, HashMap<String, VecDeque<DateTime<Utc>>>> {
        // Lists of times are whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a comment to a forge. When there were enough of them, the time of the next one.
    pub(super) fn take(&self, forge: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut posts = self.posts();
        let posts = posts.entry(forge.to_owned()).or_default();
        while posts.front().is_some_and(|post| *post + PACES[1].0 <= now) {
            posts.pop_front();
        }
        let next = PACES.into_iter().filter_map(|(time, count)| {
            let begin = posts.len().checked_sub(count)?;
            Some(posts[begin] + time).filter(|next| *next > now)
        });
        let next = next.max();
        if next.is_none() {
            posts.push_back(now);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_gets_no_more_comments_than_it_bears() {
        let (pace, begin) = (Pace::default(), Utc::now());
        let mut now = begin;
        let (mut taken, mut waits) = (0, 0);
        while now < begin + TimeDelta::minutes(59) {
            match pace.take("hub", now) {
                None => taken += 1,
                Some(next) => {
                    assert!(next > now);
                    waits += 1;
                    now = next;
                    if waits == 1 {
                        assert_eq!((taken, now), (20, begin + TimeDelta::minutes(1)));
                    }
                }
            }
        }
        assert_eq!(taken, 200);
        assert_eq!(pace.take("lab", begin), None, "another forge");
    }
}
