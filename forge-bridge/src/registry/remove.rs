//! Taking a tag away.
//!
//! Registries differ: some take a tag away alone, others only a manifest with all its tags. What
//! else has the manifest is the caller's to know.

use reqwest::Method;
use serde::Deserialize;
use workflows::image::{Digest, Reference};

use super::host::Access;
use super::referrers::fallback_tag;
use super::{Registries, RegistryError, manifest_path};

/// Most documents beside an image that go with it.
const MAX_DOCUMENTS: usize = 32;

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is gone now.
    Now,
    /// It was gone already.
    Before,
    /// It names another manifest by now, which is nobody's to take away.
    Moved,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
}

impl Registries {
    /// Takes a tag away that names this manifest: the tag alone where the registry can, else the
    /// manifest. The documents beside it go too.
    ///
    /// # Errors
    /// [`RegistryError::Malformed`] when the registry lets nobody remove anything.
    pub(crate) async fn remove(
        &self,
        tagged: &Reference,
        digest: &Digest,
    ) -> Result<Removed, RegistryError> {
        match self.digest_of(tagged).await {
            Ok(found) if found == *digest => {}
            Ok(_) => return Ok(Removed::Moved),
            Err(RegistryError::Unknown { .. }) => return Ok(Removed::Before),
            Err(error) => return Err(error),
        }
        let path = manifest_path(tagged);
        let untagged = self.ask(tagged, Method::DELETE, &path, Access::Delete, None).await;
        match untagged {
            Ok(_) | Err(RegistryError::Unknown { .. }) => {}
            Err(RegistryError::Malformed { .. }) => self.delete(&tagged.at(digest)).await?,
            Err(error) => return Err(error),
        }
        // Found again with no name, they would only fill the registry.
        if let Err(error) = self.remove_documents(tagged, digest).await {
            tracing::debug!(%error, "documents of {tagged} stay: {error}");
        }
        Ok(Removed::Now)
    }

    async fn delete(&self, by_digest: &Reference) -> Result<(), RegistryError> {
        let path = manifest_path(by_digest);
        match self.ask(by_digest, Method::DELETE, &path, Access::Delete, None).await {
            Ok(_) | Err(RegistryError::Unknown { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Those that the fallback tag of the image lists.
    async fn remove_documents(
        &self,
        tagged: &Reference,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let list = tagged.tagged(&fallback_tag(digest));
        let found = match self.manifest(&list).await {
            Ok(found) => found,
            Err(RegistryError::Unknown { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let index: Index = serde_json::from_slice(&found.bytes)
            .map_err(|error| super::malformed(&list, error.to_string()))?;
        self.delete(&list.at(&found.digest)).await?;
        for entry in index.manifests.iter().take(MAX_DOCUMENTS) {
            if let Ok(document) = Digest::parse(&entry.digest) {
                self.delete(&list.at(&document)).await?;
            }
        }
        Ok(())
    }
}
