//! Takes away the tags of scratch builds whose time is over: those of pull requests that are
//! closed, and all after a while.
//!
//! The store says which, and what became of each; the registry is asked before anything is taken
//! from it, so that a crash between its answer and our record costs a look.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::level::{Turn, retry_at};
use crate::registry::{Registries, RegistryError, Removed};
use crate::store::removals::{DueRemoval, KeptSince, RemovalEnd, Wanted};
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

/// Tags that one turn takes away.
const BATCH: u32 = 16;
/// How often somebody looks whose time is over; nobody waits for it.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long a tag stays at the least while a build for its place is under way.
const PAUSE: TimeDelta = TimeDelta::minutes(5);
/// Tries before a registry counts as refusing for good; with the pauses between them about a day.
const MAX_TRIES: u32 = 300;

pub(crate) struct Expiry {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) registries: Arc<Registries>,
    pub(crate) wakes: Wakes,
}

impl Expiry {
    /// Looks now and then, until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.turn(Utc::now()).await {
                Ok(Turn::Busy) => continue,
                Ok(Turn::Idle) => {}
                Err(error) => tracing::error!(%error, "expiry: turn failed: {error}"),
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.wakes.expiry.notified() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Marks what is over, and takes away what is due.
    async fn turn(&self, now: DateTime<Utc>) -> Result<Turn, StoreError> {
        let scratch = &self.config.scratch;
        if !scratch.expires {
            return Ok(Turn::Idle);
        }
        let since =
            KeptSince { closed: now - scratch.kept_after_close(), built: now - scratch.kept() };
        let marked = self.store.mark_removals(since, now).await?;
        let due = self.store.removals_due(now, BATCH).await?;
        for removal in &due {
            self.remove(removal, now).await?;
        }
        Ok(if marked == 0 && due.is_empty() { Turn::Idle } else { Turn::Busy })
    }

    async fn remove(&self, removal: &DueRemoval, now: DateTime<Utc>) -> Result<(), StoreError> {
        let DueRemoval { image, tagged, .. } = removal;
        match self.store.wanted(removal).await? {
            Wanted::No => {}
            Wanted::Perhaps => {
                let why = "a build for the same place is under way";
                return self.store.put_removal_off(*image, now + PAUSE, why).await;
            }
            Wanted::Yes => {
                let why = "a build that stays has the same manifest";
                return self.store.end_removal(*image, RemovalEnd::Kept, why, now).await;
            }
        }
        match self.registries.remove(tagged, &removal.digest).await {
            Ok(Removed::Moved) => {
                let why = "the tag names another manifest by now";
                self.store.end_removal(*image, RemovalEnd::Kept, why, now).await
            }
            Ok(Removed::Now | Removed::Before) => {
                tracing::info!(image.reference = %tagged, "expiry: {tagged} is gone");
                self.store.end_removal(*image, RemovalEnd::Done, "", now).await
            }
            Err(error @ RegistryError::Unavailable { .. }) if removal.tries < MAX_TRIES => {
                let until = retry_at(now, removal.tries, image.0);
                self.store.defer_removal(*image, until, &error.to_string()).await
            }
            Err(error) => {
                let why =
                    format!("{error}; allow deleting there, or set [scratch] expires = false");
                tracing::warn!(image.reference = %tagged, "expiry: {tagged} stays: {why}");
                self.store.end_removal(*image, RemovalEnd::Refused, &why, now).await
            }
        }
    }
}
