//! Which repositories there are: found by pattern, and again after they were renamed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use workflows::names::RepositoryName;

use super::Sweeper;
use crate::config::ForgeConfig;
use crate::forge::{Forge, Found};
use crate::store::StoreError;
use crate::store::sweep::WatchedRepository;

/// A repository that is younger than this when it is met first is new: what it has was pushed just
/// now, and whoever was told of it did not know it yet. The branches of an older one are no news.
const NEW_AGE: TimeDelta = TimeDelta::days(1);
/// Between two questions whose a name is that is known.
const IDENTITY_INTERVAL: TimeDelta = TimeDelta::days(1);
/// Most repositories of one forge that are watched by its patterns.
const MAX_DISCOVERED: usize = 10_000;

impl Sweeper {
    /// Lists the repositories of each forge that has patterns, at the start and now and then.
    pub(crate) async fn discover(self: Arc<Self>, shutdown: CancellationToken) {
        let pause = self.config.sweep.discovery_interval().to_std();
        let pause = pause.unwrap_or(Duration::from_secs(60 * 60));
        while !shutdown.is_cancelled() {
            for forge in &self.config.forges {
                if let Err(error) = self.discover_on(forge, Utc::now()).await {
                    tracing::error!(%error, "sweeper: cannot write what was discovered: {error}");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One forge. What it does not say now it says the next time.
    pub(super) async fn discover_on(
        &self,
        forge: &ForgeConfig,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let Some(client) = self.forges.get(&forge.name) else { return Ok(0) };
        if forge.repositories.is_empty() || client.quiet_until(now).is_some() {
            return Ok(0);
        }
        let named = forge.repositories.iter().filter_map(|name| RepositoryName::parse(name).ok());
        let mut found: Vec<Found> =
            named.map(|name| Found { name, id: None, created_at: None }).collect();
        match client.repositories(&forge.repositories).await {
            Ok(listed) => found.extend(listed.into_iter().filter(|one| forge.watches(&one.name))),
            Err(error) => {
                let _named = client.heard(&error, now);
                tracing::warn!(
                    forge.name = forge.name,
                    "sweeper: cannot list repositories: {error}"
                );
            }
        }
        found.truncate(MAX_DISCOVERED);
        for one in &found {
            self.meet(&forge.name, one, now).await?;
        }
        self.wakes.sweeper.notify_one();
        Ok(found.len())
    }

    /// The client of a repository's forge, which has not asked for a pause.
    pub(super) fn may_ask(&self, swept: &WatchedRepository, now: DateTime<Utc>) -> Option<&Forge> {
        let client = self.forges.get(&swept.forge)?;
        client.quiet_for(&swept.repository, now).is_none().then_some(client)
    }

    async fn meet(&self, forge: &str, found: &Found, now: DateTime<Utc>) -> Result<(), StoreError> {
        let id = found.id.as_deref();
        let old = self.store.meet_repository(&self.vault, forge, &found.name, id, now).await?;
        if found.created_at.is_some_and(|at| now - at < NEW_AGE) {
            self.store.welcome_repository(forge, &found.name).await?;
        }
        if let Some(old) = old {
            tracing::info!(
                forge.name = forge, repo.name = %found.name,
                "sweeper: {old} is {} now and keeps its history", found.name
            );
        }
        Ok(())
    }

    /// A repository that is not there under its name may have another one.
    pub(super) async fn follow(
        &self,
        swept: &WatchedRepository,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(id) = &swept.forge_id else { return Ok(()) };
        let Some(client) = self.may_ask(swept, now) else { return Ok(()) };
        match client.by_id(id, &swept.repository).await {
            Ok(Some(found)) => self.meet(&swept.forge, &found, now).await,
            Ok(None) => Ok(()),
            Err(error) => {
                let _named = client.heard(&error, now);
                tracing::warn!(repo.name = %swept.repository, "sweeper: where it went: {error}");
                Ok(())
            }
        }
    }

    /// Asks a repository's id of its forge: the first time, once a day, and when a delivery names
    /// another one. A name may be given up and taken by somebody else.
    pub(super) async fn identify(
        &self,
        swept: &WatchedRepository,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let client = self.may_ask(swept, now).filter(|client| !matches!(client, Forge::Git(_)));
        let is_known = swept.forge_id.is_some() && !swept.is_doubtful;
        let is_due = !is_known || swept.identified_at <= now - IDENTITY_INTERVAL;
        let Some(client) = client.filter(|_| is_due) else { return Ok(()) };
        match client.identify(&swept.repository).await {
            Ok(Some(found)) => self.meet(&swept.forge, &found, now).await,
            Ok(None) => Ok(()),
            Err(error) => {
                let _named = client.heard(&error, now);
                tracing::debug!(repo.name = %swept.repository, "sweeper: its id: {error}");
                Ok(())
            }
        }
    }
}
