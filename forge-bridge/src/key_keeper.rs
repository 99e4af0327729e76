//! Fetches the webhook keys of projects, from a forge that makes one for each.
//!
//! Never while a delivery waits. Each sweep of a repository looks whether its key is here and not
//! old; and a delivery that was refused for its key is a hint to look at once.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use workflows::names::RepositoryName;

use crate::config::{Config, ForgeConfig};
use crate::forge::Forge;
use crate::webhook::keys::ProjectKeys;
use crate::webhook::wanted::Wanted;

/// After this time a key is fetched again: somebody may have made a new one.
const MAX_AGE: TimeDelta = TimeDelta::days(1);
/// Between two tries to fetch the key of a project of which deliveries are refused.
const RETRY_INTERVAL: TimeDelta = TimeDelta::minutes(1);
/// Projects whose last try is remembered; when there are more, all are forgotten.
const MAX_TRIED: usize = 1024;

type Project = (String, RepositoryName);

/// Keeps the keys of all forges whose operator leaves that to us.
pub(crate) struct KeyKeeper {
    config: Arc<Config>,
    forges: Arc<HashMap<String, Forge>>,
    wanted: Arc<Wanted>,
    tried: Mutex<HashMap<Project, DateTime<Utc>>>,
}

impl KeyKeeper {
    pub(crate) fn new(
        config: Arc<Config>,
        forges: Arc<HashMap<String, Forge>>,
        wanted: Arc<Wanted>,
    ) -> Self {
        Self { config, forges, wanted, tried: Mutex::default() }
    }

    /// Fetches what deliveries ask for, until shutdown.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        while let Some(wanted) = shutdown.run_until_cancelled(self.wanted.take()).await {
            for (forge, project) in wanted {
                self.refresh(&forge, &project, TimeDelta::zero(), Utc::now()).await;
            }
        }
    }

    /// Makes sure that the key of a project is here and not old. What goes wrong is logged, and
    /// tried again with the next sweep.
    pub(crate) async fn look_after(
        &self,
        forge: &str,
        project: &RepositoryName,
        now: DateTime<Utc>,
    ) {
        self.refresh(forge, project, MAX_AGE, now).await;
    }

    async fn refresh(
        &self,
        forge: &str,
        project: &RepositoryName,
        max_age: TimeDelta,
        now: DateTime<Utc>,
    ) {
        let config = self.config.forge(forge).filter(|config| config.fetches_keys());
        // Anybody may name a project in a header; the operator says which are ours.
        let Some(config) = config.filter(|config| config.watches(project)) else { return };
        let Some(client) = self.forges.get(forge) else { return };
        let keys = self.keys_of(config);
        let is_young = keys.put_at(project).is_some_and(|at| now - DateTime::from(at) < max_age);
        if is_young
            || client.quiet_for(project, now).is_some()
            || !self.may_try(forge, project, now)
        {
            return;
        }
        match client.webhook_key(project).await {
            Ok(Some(key)) => match put(keys, project.clone(), key).await {
                Ok(()) => {
                    tracing::info!(repo.name = %project, "the webhook key of {project} is here")
                }
                Err(error) => {
                    tracing::error!(%error, "cannot keep the webhook key of {project}: {error}");
                }
            },
            Ok(None) => {}
            Err(error) => {
                let _named = client.heard(&error, now);
                tracing::warn!(
                    forge.name = forge, repo.name = %project,
                    "no webhook key of {project}: {error}"
                );
            }
        }
    }

    /// The keys of a forge, whoever put them there.
    fn keys_of(&self, config: &ForgeConfig) -> ProjectKeys {
        ProjectKeys::new(&self.config.keys_dir(config).unwrap_or_default())
    }

    fn may_try(&self, forge: &str, project: &RepositoryName, now: DateTime<Utc>) -> bool {
        let key = (forge.to_owned(), project.clone());
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.get(&key).is_some_and(|last| now - *last < RETRY_INTERVAL) {
            return false;
        }
        if tried.len() >= MAX_TRIED {
            tried.clear();
        }
        tried.insert(key, now);
        true
    }
}

async fn put(keys: ProjectKeys, project: RepositoryName, key: SecretString) -> io::Result<()> {
    tokio::task::spawn_blocking(move || keys.put(&project, &key)).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
