//! Narrows the gap between desired and reported statuses.
//!
//! Each forge has a loop of its own, so that one which does not answer delays no other. Only the
//! newest words of a status are posted, one post at a time for each status, so an older state
//! does not arrive after a newer one. A post that was never answered, as one that a crash or a
//! broken connection cut short, may: then the newest words are told once more minutes later, so
//! that they are what stays.

mod comment;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::forge::{Forge, ForgeError, StatusPlace, StatusPost};
use crate::level::{self, retry_at};
use crate::store::statuses::StatusBehind;
use crate::store::{Store, StoreError};

/// Posts to one forge at once. GitHub asks for far less than a hundred.
const BATCH: u32 = 8;
/// Tries of the same words before a person must look; with the pauses between them about a day. One
/// that the forge put off, because it limits requests, is none.
const MAX_ATTEMPTS: u32 = 300;
/// How old words may be that a forge still puts off.
const PUT_OFF_AGE: TimeDelta = CLOSING_AGE;
/// Doublings of the pause after posts of which nothing got through: a forge that is back is
/// noticed within twenty seconds.
const MAX_OUTAGE_DOUBLINGS: u32 = 4;
/// How old refused statuses may be that a start tries again. Tokens are read at the start, so a
/// person who has put a better one in place has just restarted the bridge.
const RETRY_REFUSED_AGE: TimeDelta = TimeDelta::days(3);
/// How often what is over here and pending there is told again.
const CLOSING_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// How old such a status may be: GitHub itself gives up on what is pending for this long.
const CLOSING_AGE: TimeDelta = TimeDelta::days(14);

/// Tells the forges.
pub(crate) struct Reporter {
    store: Store,
    bell: Arc<Notify>,
    desks: Vec<Arc<Desk>>,
}

/// The reporter's place for one forge.
struct Desk {
    store: Store,
    name: String,
    forge: Forge,
    public_url: String,
    bell: Notify,
    /// Nothing is posted before, in seconds since the epoch, because the forge is away.
    closed_until: AtomicI64,
    /// Times in a row that nothing got through.
    outages: AtomicU32,
}

/// What became of one post.
enum Told {
    Taken,
    /// Not now.
    Later,
    /// Not before the forge's own time, which is kept for the token.
    Paused,
    Refused,
}

impl Reporter {
    /// `public_url` stands before the paths of runs; `bell` wakes the loops.
    pub(crate) fn new(
        store: Store,
        forges: HashMap<String, Forge>,
        public_url: &str,
        bell: Arc<Notify>,
    ) -> Self {
        let desk = |(name, forge)| {
            Arc::new(Desk {
                store: store.clone(),
                name,
                forge,
                public_url: public_url.trim_end_matches('/').to_owned(),
                bell: Notify::new(),
                closed_until: AtomicI64::new(0),
                outages: AtomicU32::new(0),
            })
        };
        let desks = forges.into_iter().map(desk).collect();
        Self { store, bell, desks }
    }

    /// Reports until shutdown; posts that have begun are finished.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        match self.store.retry_refused_statuses(Utc::now() - RETRY_REFUSED_AGE).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "reporter: tries {count} refused statuses again"),
            Err(error) => tracing::error!(%error, "reporter: cannot retry refusals: {error}"),
        }
        let loops = self.desks.iter().map(|desk| {
            level::run("reporter", &desk.bell, &shutdown, async || {
                desk.turn(Utc::now(), &shutdown).await
            })
        });
        tokio::join!(join_all(loops), self.pass_on(&shutdown), self.close_daily(&shutdown));
    }

    /// A status that is pending for ever keeps a pull request from its merge.
    async fn close_daily(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            let now = Utc::now();
            match self.store.close_statuses(now - CLOSING_AGE, now).await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::info!(count, "reporter: tells {count} ends again");
                    self.bell.notify_one();
                }
                Err(error) => tracing::error!(%error, "reporter: cannot close statuses: {error}"),
            }
            // At the start too: a bridge may be started again more often than it has days.
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(CLOSING_INTERVAL) => {}
            }
        }
    }

    /// One ring of the bell wakes one waiter only, and there is a loop for each forge.
    async fn pass_on(&self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.bell.notified() => {
                    self.desks.iter().for_each(|desk| desk.bell.notify_one());
                }
            }
        }
    }
}

impl Desk {
    async fn tell(&self, status: &StatusBehind, now: DateTime<Utc>) -> Result<Told, StoreError> {
        let post = StatusPost {
            context: status.context.clone(),
            state: status.state,
            description: status.description.clone(),
            target_url: format!("{}{}", self.public_url, status.target),
            annotations: status.annotations.clone(),
            place: place(status),
        };
        match self.forge.post_status(&status.repository, &status.commit, &post).await {
            Ok(()) => {
                self.store.status_reported(status, now).await?;
                Ok(Told::Taken)
            }
            Err(ForgeError::Denied { why }) if !status.is_again => {
                self.comment_instead(status, &post, why, now).await
            }
            Err(ForgeError::Denied { why } | ForgeError::Refused { why }) => {
                self.give_up(status, &why).await
            }
            Err(ForgeError::Retry { after: None, why, .. })
                if status.attempts + 1 >= MAX_ATTEMPTS =>
            {
                self.give_up(status, &format!("given up after {MAX_ATTEMPTS} tries: {why}")).await
            }
            Err(ForgeError::Retry { after: Some(_), why, .. })
                if status.changed_at < now - PUT_OFF_AGE =>
            {
                let days = PUT_OFF_AGE.num_days();
                self.give_up(status, &format!("given up after {days} days: {why}")).await
            }
            Err(error @ ForgeError::Retry { .. }) => {
                tracing::warn!(
                    forge.name = self.name, repo.name = %status.repository,
                    "reporter: `{}` on {} must wait: {error}", status.context, status.commit.short()
                );
                let named = self.forge.heard(&error, now);
                let may_be_done = error.may_be_done();
                if let Some(until) = named {
                    self.store.put_status_off(status, until, may_be_done).await?;
                    return Ok(Told::Paused);
                }
                let until = retry_at(now, status.attempts, status.id);
                self.store.defer_status(status, until, may_be_done).await?;
                Ok(Told::Later)
            }
        }
    }

    async fn give_up(&self, status: &StatusBehind, why: &str) -> Result<Told, StoreError> {
        tracing::error!(
            forge.name = self.name, repo.name = %status.repository,
            "reporter: `{}` on {} is refused: {why}", status.context, status.commit.short()
        );
        self.store.refuse_status(status, why).await?;
        Ok(Told::Refused)
    }
}

/// Where the run of a status stands.
fn place(status: &StatusBehind) -> StatusPlace {
    match (status.pull, &status.source) {
        (None, _) => StatusPlace::Ref(status.ref_name.short().to_owned()),
        (Some(number), Some(source)) if source.repository.as_ref() == Some(&status.repository) => {
            StatusPlace::Pull { number, branch: source.branch.clone() }
        }
        (Some(number), Some(_)) => StatusPlace::Fork { number },
        (Some(_), None) => StatusPlace::Unknown,
    }
}
