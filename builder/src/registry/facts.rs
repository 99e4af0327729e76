//! What a build on an image inherits, without its layers.

use std::collections::BTreeMap;

use workflows::image::{Digest, Reference};

use super::{Registries, RegistryError};
use crate::image;

/// An image as a build on it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Of the index when there is one, else of the manifest.
    pub digest: Digest,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Instructions that it keeps for those that stand on it (ONBUILD).
    pub on_build: Vec<String>,
}

impl Registries {
    /// What the reference names now, with what a build on it inherits.
    ///
    /// # Errors
    /// [`RegistryError`] says whether there is no such image or no answer.
    pub async fn facts(&self, reference: &Reference) -> Result<ImageFacts, RegistryError> {
        let pulled = self.image(reference, None).await?;
        let malformed = |why: String| RegistryError::Malformed {
            host: reference.registry.clone(),
            what: reference.to_string(),
            why,
        };
        let config = image::read(&pulled.config).map_err(malformed)?.config;
        // A reference that was resolved always has its digest.
        let digest = pulled.reference.digest.clone();
        let digest = digest.ok_or_else(|| malformed("it has no digest".to_owned()))?;
        Ok(ImageFacts {
            digest,
            env: config.env.into_iter().collect(),
            labels: config.labels.into_iter().collect(),
            on_build: config.on_build,
        })
    }
}
