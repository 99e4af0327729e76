//! An image on its way to its registry: layers while the build goes on, the manifest last.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;
use workflows::image::{Digest, Reference};

use super::BuiltImage;
use crate::error::BuildError;
use crate::registry::{Pusher, Registries, RegistryError, StreamEnd};
use crate::stage::Origin;
use crate::store::Store;

/// What is on its way to the registry.
#[derive(Debug)]
pub(crate) struct Pushing {
    pub(crate) pusher: Pusher,
    way: Mutex<Way>,
}

#[derive(Debug, Default)]
struct Way {
    uploads: JoinSet<Result<Digest, RegistryError>>,
    /// Blobs that were begun.
    begun: BTreeSet<Digest>,
    /// Blobs that the registry has.
    there: BTreeSet<Digest>,
}

impl Pushing {
    pub(super) fn new(registries: &Registries, target: &Reference) -> Self {
        Self { pusher: Pusher::new(registries, target), way: Mutex::default() }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        // Sets of digests are whole after any panic.
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a layer while the next steps run, or ends its stream.
    pub(crate) fn layer(
        &self,
        handle: &tokio::runtime::Handle,
        store: &Store,
        digest: &Digest,
        stream: Option<StreamEnd>,
    ) {
        let (digest, path) = (digest.clone(), store.blob_path(digest));
        let mut way = self.way();
        if !way.begun.insert(digest.clone()) {
            return;
        }
        let pusher = self.pusher.clone();
        let upload = async move {
            match stream {
                Some(stream) => pusher.finish_stream(stream, &digest, &path).await?,
                None => pusher.file(&digest, &path).await?,
            }
            Ok(digest)
        };
        way.uploads.spawn_on(upload, handle);
    }

    /// Sends what is not sent yet, the manifest last: an image is never there in part. What an
    /// earlier try sent is not sent again.
    pub(crate) async fn finish(
        &self,
        target: &Reference,
        image: &BuiltImage,
        registries: &Registries,
        store: &Store,
    ) -> Result<(), BuildError> {
        let pusher = &self.pusher;
        let uploads = std::mem::take(&mut self.way().uploads);
        let own = self.own_layers(uploads, image, store);
        let parents = image.layers.iter().map(|layer| async move {
            let Some(parent) = layer.origin.repository() else { return Ok::<(), BuildError>(()) };
            let digest = &layer.blob.digest;
            let same_registry = parent.registry == target.registry;
            if self.way().there.contains(digest)
                || (same_registry && parent.repository == target.repository)
            {
                return Ok(());
            }
            if !same_registry || !pusher.mount(digest, &parent.repository).await? {
                layer.fetch(registries, store).await?;
                pusher.file(digest, &store.blob_path(digest)).await?;
            }
            self.way().there.insert(digest.clone());
            Ok(())
        });
        let config =
            async { Ok::<(), BuildError>(pusher.bytes(&image.id, image.config.clone()).await?) };
        let parents = futures_util::future::try_join_all(parents);
        futures_util::future::try_join3(parents, config, own).await?;
        Ok(pusher.manifest(&image.digest, image.manifest.clone()).await?)
    }

    /// Waits for the uploads of the build and sends what these did not bring there.
    async fn own_layers(
        &self,
        mut uploads: JoinSet<Result<Digest, RegistryError>>,
        image: &BuiltImage,
        store: &Store,
    ) -> Result<(), BuildError> {
        while let Some(done) = uploads.join_next().await {
            match done {
                Ok(Ok(digest)) => drop(self.way().there.insert(digest)),
                Ok(Err(error)) => tracing::warn!(%error, "a layer is sent once more"),
                Err(error) => tracing::warn!(%error, "an upload ended early"),
            }
        }
        for layer in image.layers.iter().filter(|layer| matches!(layer.origin, Origin::Made)) {
            let digest = &layer.blob.digest;
            if !self.way().there.contains(digest) {
                self.pusher.file(digest, &store.blob_path(digest)).await?;
                self.way().there.insert(digest.clone());
            }
        }
        Ok(())
    }
}
