//! The look at registries by itself, for measuring it.

use std::sync::Arc;

use anyhow::Context;
use chrono::Utc;
use workflows::image::Reference;

use crate::config::{Config, RegistryConfig};
use crate::level::Turn;
use crate::rebuilds::watch::{self, Watch, ask_all};
use crate::registry::Registries;
use crate::store::Store;
use crate::store::watched::{Answer, Said, Watched};
use crate::wakes::Wakes;

/// Questions under way at the same time.
pub const MAX_AT_ONCE: usize = watch::MAX_AT_ONCE;

/// Asks registries what references name, as the bridge does in a check.
pub struct Observer {
    watch: Arc<Watch>,
}

impl Observer {
    /// For these registries and no others, with a store of its own in the state directory of this
    /// configuration.
    ///
    /// # Errors
    /// A password file or the store that cannot be opened.
    pub async fn open(mut config: Config, registries: &[RegistryConfig]) -> anyhow::Result<Self> {
        config.registries = registries.to_vec();
        let store = Store::open(&config.state_dir.join("strata.db")).await.context("no store")?;
        let registries = Arc::new(Registries::new(&config.registries)?);
        let (config, wakes) = (Arc::new(config), Wakes::default());
        Ok(Self { watch: Arc::new(Watch { config, store, registries, wakes }) })
    }

    /// Asks for all of them once and writes nothing; the answer is how many name something.
    pub async fn ask(&self, references: Vec<Reference>) -> usize {
        let watched = |reference| Watched {
            reference,
            releases: Vec::new(),
            known: None,
            etag: None,
            answer: Answer::Unasked,
            asked_at: None,
            tries: 0,
            hints: 0,
        };
        let due = references.into_iter().map(watched).collect();
        let answers = ask_all(&self.watch.registries, due).await;
        answers.iter().filter(|(_, said)| matches!(said, Said::Names(..))).count()
    }

    /// Follows these references from now on.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn follow(&self, references: &[Reference]) -> anyhow::Result<()> {
        let wanted: Vec<_> = references.iter().map(|one| (one.clone(), Vec::new())).collect();
        Ok(self.watch.store.watch(&wanted, &[]).await?)
    }

    /// A whole check of what is followed: every reference is due, is asked for, and what was said
    /// is on disk at the end. The answer is how many name something.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn check(&self) -> anyhow::Result<usize> {
        self.watch.store.hint_all(Utc::now()).await?;
        while Arc::clone(&self.watch).turn().await? == Turn::Busy {}
        let watched = self.watch.store.watched().await?;
        Ok(watched.iter().filter(|one| one.answer == Answer::Found).count())
    }
}
