//! Fires the schedules of every release branch.
//!
//! A time that was missed while the service was down runs once and says how late it is.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use workflows::event::{Event, ScheduleDue};
use workflows::schedule::Schedule;

use crate::intake::Planner;
use crate::level::{Turn, UnderWay, retry_at};
use crate::store::schedules::{DueSchedule, ScheduleKey};
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

/// Schedules that one turn begins to fire.
const BATCH: u32 = 32;
/// Lateness that is not worth telling: two looks of an idle loop and a slow forge.
const PUNCTUAL: TimeDelta = TimeDelta::seconds(60);

pub(crate) struct Scheduler {
    pub(crate) store: Store,
    pub(crate) planner: Planner,
    pub(crate) wakes: Wakes,
    pub(crate) under_way: Arc<UnderWay<ScheduleKey>>,
}

impl Scheduler {
    /// Begins to fire every schedule that is due, each on its own: one whose forge hangs holds up
    /// none of the others. What a stop cuts short stays due.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let limit = self.under_way.limit(BATCH);
        let due = self.store.schedules_due(Utc::now(), limit, &self.under_way.full()).await?;
        let mut turn = Turn::Idle;
        for schedule in due {
            let Some(claim) = self.under_way.begin(&schedule.forge, schedule.key()) else {
                continue;
            };
            turn = Turn::Busy;
            let scheduler = Arc::clone(&self);
            tokio::spawn(async move {
                let fired = scheduler.fire(&schedule).await;
                drop(claim);
                match fired {
                    Ok(()) => scheduler.wakes.scheduler.notify_one(),
                    Err(error) => tracing::error!(
                        repo.name = %schedule.repository, %error,
                        "schedule of {} {}: {error}", schedule.repository, schedule.ref_name
                    ),
                }
            });
        }
        Ok(turn)
    }

    async fn fire(&self, due: &DueSchedule) -> Result<(), StoreError> {
        let now = Utc::now();
        let head = self.planner.sources.head_of(&due.forge, &due.repository, &due.ref_name).await;
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => {
                tracing::info!(repo.name = %due.repository, "{} is gone: its schedules too", due.ref_name);
                return self
                    .store
                    .forget_schedules(&due.forge, &due.repository, &due.ref_name, now)
                    .await;
            }
            Err(error) => return self.defer(due, &error, now).await,
        };
        let event = ScheduleDue {
            repository: due.repository.clone(),
            ref_name: due.ref_name.clone(),
            head,
            workflow: due.entry.path.clone(),
            origin: due.entry.origin,
            cron: due.entry.cron.clone(),
            due_at: due.entry.next_at,
            late_by_seconds: lateness(due.entry.next_at, now),
        };
        let decided = self.planner.decide(&due.forge, &Event::Schedule(event.clone()), now).await;
        let decision = match decided {
            Ok(decision) => decision,
            Err(error) => return self.defer(due, &error, now).await,
        };
        // Counted from now, not from the missed time: what was missed runs once.
        let next_at = Schedule::parse(&due.entry.cron, &due.entry.timezone)
            .ok()
            .and_then(|schedule| schedule.next_after(now));
        self.store.record_schedule(due, &event, &decision, next_at, now).await?;
        self.wakes.after_plan();
        Ok(())
    }

    async fn defer(
        &self,
        due: &DueSchedule,
        error: &crate::sources::SourceError,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        tracing::warn!(
            repo.name = %due.repository, %error,
            "schedule of {} {}: {error}", due.repository, due.ref_name
        );
        let until = retry_at(now, due.tries, i64::from(due.tries));
        self.store.defer_schedule(due, until).await
    }
}

/// Seconds of lateness that are worth telling.
fn lateness(due_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<u64> {
    let late = now - due_at;
    (late > PUNCTUAL).then(|| u64::try_from(late.num_seconds()).unwrap_or_default())
}
