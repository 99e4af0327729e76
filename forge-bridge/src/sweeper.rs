//! Looks for what no forge delivered.
//!
//! The branches, the open pull requests and the comments on them of each watched repository are
//! listed now and then and compared with what was told of them. What was missed becomes a delivery
//! of our own making, and goes the way of all deliveries: its event has the identity that the
//! forge's own would have, so that one which comes late after all changes nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use workflows::event::Event;
use workflows::release::release_of;
use workflows::sweep::{Look, compare, next_sweep};

use crate::config::Config;
use crate::forge::{Forge, ForgeError};
use crate::key_keeper::KeyKeeper;
use crate::level::{self, Turn, retry_at};
use crate::sources::{MAX_SWEEPS, SourceError, Sources};
use crate::store::sweep::WatchedRepository;
use crate::store::{Store, StoreError};
use crate::vault::Vault;
use crate::wakes::Wakes;
use away::{Answer, Away};
use schedules::LastDefaults;

pub(crate) mod away;
mod comments;
mod discovery;
mod pulls;
pub(crate) mod schedules;

/// Repositories of one turn.
const BATCH: u32 = 64;
/// After a start every repository is looked at within this time, spread, in seconds.
const START_SPREAD_SECONDS: i64 = 120;
/// Between two questions which deliveries of a repository failed.
const REDELIVERY_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// Compares what is with what was told.
pub(crate) struct Sweeper {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) sources: Arc<Sources>,
    pub(crate) forges: Arc<HashMap<String, Forge>>,
    pub(crate) keys: Arc<KeyKeeper>,
    /// Seals the secrets of a repository anew that gets another name.
    pub(crate) vault: Arc<Vault>,
    pub(crate) wakes: Wakes,
    /// Forges that do not answer.
    pub(crate) away: Away,
    /// What the operator says of schedules.
    pub(crate) defaults: LastDefaults,
}

impl Sweeper {
    /// Sweeps until shutdown.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        if let Err(error) = self.store.sweep_soon(Utc::now(), START_SPREAD_SECONDS).await {
            tracing::error!(%error, "sweeper: cannot make repositories due: {error}");
        }
        let bell = Arc::clone(&self.wakes.sweeper);
        let turn = || Arc::clone(&self).turn(Utc::now());
        tokio::select! {
            () = level::run("sweeper", &bell, &shutdown, turn) => {}
            () = self.keep_defaults() => {}
        }
    }

    /// Looks at every repository that is due, a few at a time.
    pub(crate) async fn turn(self: Arc<Self>, now: DateTime<Utc>) -> Result<Turn, StoreError> {
        let names = self.config.forges.iter().map(|forge| &forge.name);
        let there = names.filter(|forge| self.away.may_ask(forge, now));
        let forges: Vec<String> = there.cloned().collect();
        let mut due = self.store.sweeps_due(&forges, now, BATCH).await?;
        self.away.thin_out(&mut due);
        if due.is_empty() {
            return Ok(Turn::Idle);
        }
        let looks = due.into_iter().map(|swept| {
            let agent = Arc::clone(&self);
            async move { agent.look(&swept, now).await.map(|answer| (swept.forge, answer)) }
        });
        let looks: Vec<_> =
            futures_util::stream::iter(looks).buffer_unordered(MAX_SWEEPS).collect().await;
        let answers = looks.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.away.note(&answers, now);
        Ok(Turn::Busy)
    }

    /// One repository; what goes wrong at the forge is kept beside it and tried again.
    async fn look(
        &self,
        swept: &WatchedRepository,
        now: DateTime<Utc>,
    ) -> Result<Answer, StoreError> {
        self.keys.look_after(&swept.forge, &swept.repository, now).await;
        let outcome = self.sources.heads(&swept.forge, &swept.repository).await;
        let mut heads = match outcome {
            Ok(heads) => heads,
            Err(error) => return self.put_off(swept, &error, now).await,
        };
        crate::metrics::swept("read");
        // Other branches are never built, and may be many.
        heads.retain(|name, _| release_of(&self.config.releases, name).is_ok());
        let remembered = self.store.remembered(&swept.forge, &swept.repository).await?;
        let Some(remembered) = remembered else { return Ok(Answer::Some) };
        let mut told = remembered.told;
        told.retain(|name, _| release_of(&self.config.releases, name).is_ok());
        let found = compare(&Look {
            repository: &swept.repository,
            known: &remembered.known,
            told: &told,
            heads: &heads,
            is_first: remembered.is_first,
            now,
            settle: self.config.sweep.settle(),
        });
        tell_missed(swept, &found.events);
        let is_unfinished = self.set_schedules(swept, &heads, &found, now).await?;
        let due_at = if found.waits() || is_unfinished {
            now + self.config.sweep.settle()
        } else {
            next_sweep(now, self.config.sweep.interval(), seed(swept))
        };
        let up_to = remembered.events_up_to;
        self.store.record_sweep(swept, &found, up_to, due_at, now).await?;
        if !found.events.is_empty() {
            self.wakes.decoder.notify_one();
        }
        self.look_at_pulls(swept, now).await?;
        self.identify(swept, now).await?;
        self.redeliver(swept, now).await?;
        Ok(Answer::Some)
    }

    async fn put_off(
        &self,
        swept: &WatchedRepository,
        error: &SourceError,
        now: DateTime<Utc>,
    ) -> Result<Answer, StoreError> {
        tracing::warn!(
            forge.name = swept.forge, repo.name = %swept.repository,
            "sweeper: cannot list the branches of {}: {error}", swept.repository
        );
        crate::metrics::swept("failed");
        let due_at = if error.is_transient() {
            retry_at(now, swept.tries, seed(swept).cast_signed())
        } else {
            next_sweep(now, self.config.sweep.interval(), seed(swept))
        };
        self.store.defer_sweep(swept, &error.to_string(), due_at).await?;
        if error.is_transient() {
            return Ok(Answer::None);
        }
        self.follow(swept, now).await?;
        Ok(Answer::Some)
    }

    /// Asks the forge, once in a while, to send again what it could not deliver.
    async fn redeliver(
        &self,
        swept: &WatchedRepository,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(forge @ Forge::Github(_)) = self.forges.get(&swept.forge) else { return Ok(()) };
        // The list of an App is of all its repositories.
        let is_of_all = forge.is_app();
        let quiet = if is_of_all {
            forge.quiet_until(now)
        } else {
            forge.quiet_for(&swept.repository, now)
        };
        let before = now - REDELIVERY_INTERVAL;
        if swept.redelivered_at > before
            || quiet.is_some()
            || !self.store.claim_redelivery(swept, is_of_all, before, now).await?
        {
            return Ok(());
        }
        let public_url = self.config.public_url.trim_end_matches('/');
        let hook_url = format!("{public_url}/hooks/{}", swept.forge);
        let name = &swept.repository;
        match forge.redeliver(name, &hook_url).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(repo.name = %name, "sweeper: {count} deliveries sent again")
            }
            // The token may well lack the right; the sweep itself does not need it.
            Err(ForgeError::Denied { why } | ForgeError::Refused { why }) => {
                tracing::debug!(repo.name = %name, "sweeper: no list of failed deliveries: {why}");
            }
            Err(error @ ForgeError::Retry { .. }) => {
                let _named = forge.heard(&error, now);
                tracing::warn!(repo.name = %name, "sweeper: cannot ask for failed deliveries: {error}");
            }
        }
        Ok(())
    }
}

/// What no forge delivered is a fault somewhere, of which an operator should hear.
fn tell_missed(swept: &WatchedRepository, events: &[Event]) {
    for event in events {
        tracing::warn!(
            forge.name = swept.forge, repo.name = %swept.repository, event.kind = event.kind(),
            "sweeper: nobody delivered a {} of {}", event.kind(), swept.repository
        );
        crate::metrics::missed();
    }
}

/// Spreads repositories, the same way each time.
fn seed(swept: &WatchedRepository) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&swept.forge, &swept.repository).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
pub(crate) mod tests;
