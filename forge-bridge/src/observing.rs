//! The look at registries by itself, for measuring it.

use std::sync::Arc;

use workflows::image::Reference;

use crate::config::{ConfigError, RegistryConfig};
use crate::rebuilds::watch::{self, ask_all};
use crate::registry::Registries;
use crate::store::watched::{Answer, Said, Watched};

/// Questions under way at the same time.
pub const MAX_AT_ONCE: usize = watch::MAX_AT_ONCE;

/// Asks registries what references name, as the bridge does in a check.
#[derive(Debug)]
pub struct Observer {
    registries: Arc<Registries>,
}

impl Observer {
    /// For these registries and no others.
    ///
    /// # Errors
    /// [`ConfigError`] names a password file that cannot be read.
    pub fn new(registries: &[RegistryConfig]) -> Result<Self, ConfigError> {
        Ok(Self { registries: Arc::new(Registries::new(registries)?) })
    }

    /// Asks for all of them once; the answer is how many name something.
    pub async fn check(&self, references: Vec<Reference>) -> usize {
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
        let answers = ask_all(&self.registries, due).await;
        answers.iter().filter(|(_, said)| matches!(said, Said::Names(..))).count()
    }
}
