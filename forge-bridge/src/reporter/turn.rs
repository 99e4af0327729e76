//! One turn at a forge: a few posts at once, each of which makes room for the next.
//!
//! A repository that answers slowly holds the places that one repository may have, and nobody else's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workflows::names::RepositoryName;

use super::{BATCH, Desk, MAX_OUTAGE_DOUBLINGS, Told};
use crate::level::{IDLE_INTERVAL, Turn, retry_at};
use crate::store::StoreError;

/// Posts about one repository at once.
pub(super) const OF_REPOSITORY: usize = 3;

/// The posts that are under way. Each is a task: one that waits for the store must go on while the
/// next ones are looked for there.
#[derive(Default)]
struct UnderWay {
    posts: JoinSet<Result<Told, StoreError>>,
    of: HashMap<Id, (i64, RepositoryName)>,
}

impl UnderWay {
    fn room(&self) -> u32 {
        BATCH.saturating_sub(u32::try_from(self.of.len()).unwrap_or(BATCH))
    }

    fn of_each(&self) -> BTreeMap<RepositoryName, usize> {
        let mut counts = BTreeMap::new();
        for (_, repository) in self.of.values() {
            *counts.entry(repository.clone()).or_default() += 1;
        }
        counts
    }

    /// Repositories of which no more are begun now.
    fn full(&self) -> Vec<RepositoryName> {
        let counts = self.of_each().into_iter();
        counts.filter(|(_, count)| *count >= OF_REPOSITORY).map(|(one, _)| one).collect()
    }

    fn ids(&self) -> Vec<i64> {
        self.of.values().map(|(id, _)| *id).collect()
    }

    /// Takes one out that has ended.
    fn end(
        &mut self,
        ended: Result<(Id, Result<Told, StoreError>), JoinError>,
    ) -> Result<Told, StoreError> {
        match ended {
            Ok((task, told)) => {
                self.of.remove(&task);
                told
            }
            // Nobody aborts one while the turn lives.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// How a turn goes.
struct Course {
    has_begun: bool,
    /// Posts in a row that did not get through.
    later: u32,
    /// Whether none got through.
    is_all_later: bool,
}

impl Desk {
    /// Posts what is due, as long as the forge may be asked, and what becomes due meanwhile.
    pub(super) async fn turn(
        self: &Arc<Self>,
        begin: DateTime<Utc>,
        shutdown: &CancellationToken,
    ) -> Result<Turn, StoreError> {
        let clock = Instant::now();
        let now = || begin + TimeDelta::from_std(clock.elapsed()).unwrap_or_default();
        let mut under_way = UnderWay::default();
        let mut course = Course { has_begun: false, later: 0, is_all_later: true };
        let mut failed = None;
        let mut may_begin = true;
        loop {
            if may_begin && failed.is_none() && !shutdown.is_cancelled() {
                match self.begin(&mut under_way, now()).await {
                    Ok(begun) => course.has_begun |= begun,
                    Err(error) => failed = Some(error),
                }
            }
            if under_way.of.is_empty() {
                break;
            }
            // One that gets through, or a moment in which nothing comes back, makes room.
            may_begin = tokio::select! {
                Some(ended) = under_way.posts.join_next_with_id() => {
                    match under_way.end(ended) {
                        Ok(told) => self.note(&mut course, &told, now()),
                        Err(error) => failed = Some(error),
                    }
                    course.later == 0
                }
                () = self.bell.notified() => course.later == 0,
                () = tokio::time::sleep(IDLE_INTERVAL) => true,
            };
        }
        if course.has_begun && course.is_all_later && course.later < BATCH {
            self.leave_alone(now());
        }
        match failed {
            Some(error) => Err(error),
            None if course.has_begun => Ok(Turn::Busy),
            None => Ok(Turn::Idle),
        }
    }

    /// Begins as many posts as there is room for; whether any.
    async fn begin(
        self: &Arc<Self>,
        under_way: &mut UnderWay,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut has_begun = false;
        while under_way.room() > 0 {
            let is_away = now.timestamp() < self.closed_until.load(Ordering::Relaxed);
            if is_away || self.forge.quiet_until(now).is_some() {
                break;
            }
            let quiet = self.forge.quiet_owners(now);
            let without = (&*quiet, &*under_way.full(), &*under_way.ids());
            let room = under_way.room();
            let mut behind = self.store.statuses_behind(&self.name, without, now, room).await?;
            let found = behind.len();
            let mut counts = under_way.of_each();
            behind.retain(|status| {
                let count = counts.entry(status.repository.clone()).or_default();
                *count += 1;
                *count <= OF_REPOSITORY
            });
            if behind.is_empty() {
                break;
            }
            let is_all = found == behind.len();
            self.store.statuses_begun(&behind).await?;
            has_begun = true;
            for status in behind {
                let (desk, of) = (Arc::clone(self), (status.id, status.repository.clone()));
                let task = under_way.posts.spawn(async move { desk.tell(&status, now).await });
                under_way.of.insert(task.id(), of);
            }
            if is_all {
                break;
            }
        }
        Ok(has_begun)
    }

    /// A forge that answers nobody is left alone for a moment.
    fn note(&self, course: &mut Course, told: &Told, now: DateTime<Utc>) {
        if matches!(told, Told::Later) {
            course.later += 1;
            if course.later == BATCH {
                self.leave_alone(now);
            }
        } else {
            course.later = 0;
            course.is_all_later = false;
            self.outages.store(0, Ordering::Relaxed);
        }
    }

    fn leave_alone(&self, now: DateTime<Utc>) {
        let outages = self.outages.fetch_add(1, Ordering::Relaxed);
        let moment = retry_at(now, outages.min(MAX_OUTAGE_DOUBLINGS), now.timestamp());
        self.closed_until.store(moment.timestamp(), Ordering::Relaxed);
    }
}
