//! An image on its way to its registry: layers while the build goes on, the manifest last.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;
use workflows::image::{Digest, Reference};

use super::BuiltImage;
use crate::error::BuildError;
use crate::registry::{Pusher, Registries, RegistryError, StreamEnd};
use crate::stage::{Layer, Origin};
use crate::store::Store;

/// What is on its way to the registry.
#[derive(Debug)]
pub(crate) struct Pushing {
    pub(crate) pusher: Pusher,
    /// The repository that has the image already, where that is pushed once more.
    known_at: Option<Reference>,
    way: Mutex<Way>,
}

#[derive(Debug, Default)]
struct Way {
    uploads: JoinSet<Result<Digest, RegistryError>>,
    /// Layers that are taken over from the parent's repository.
    mounts: JoinSet<Result<Option<Digest>, RegistryError>>,
    /// Blobs that were begun.
    begun: BTreeSet<Digest>,
    /// Blobs that the registry has.
    there: BTreeSet<Digest>,
}

impl Pushing {
    pub(super) fn new(registries: &Registries, target: &Reference) -> Self {
        let pusher = Pusher::new(registries, target);
        Self { pusher, known_at: None, way: Mutex::default() }
    }

    /// For an image that another repository has.
    pub(super) fn again(
        registries: &Registries,
        target: &Reference,
        known_at: Option<&Reference>,
    ) -> Self {
        Self { known_at: known_at.cloned(), ..Self::new(registries, target) }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        // Sets of digests are whole after any panic.
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to take over what another repository of the same registry has.
    pub(crate) fn mount(&self, handle: &tokio::runtime::Handle, layers: &[Layer]) {
        let mut way = self.way();
        for layer in layers {
            let Some(parent) = layer.origin.repository() else { continue };
            let digest = layer.blob.digest.clone();
            if !self.pusher.is_beside(parent) || !way.begun.insert(digest.clone()) {
                continue;
            }
            let (pusher, repository) = (self.pusher.clone(), parent.repository.clone());
            let mount = async move {
                let is_there = pusher.mount(&digest, &repository).await?;
                Ok(is_there.then_some(digest))
            };
            way.mounts.spawn_on(mount, handle);
        }
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
        image: &BuiltImage,
        registries: &Registries,
        store: &Store,
    ) -> Result<(), BuildError> {
        self.bring_parts(image, registries, store).await?;
        match self.manifest(image).await {
            // What a registry took over a moment ago it does not always find (seen when two push
            // the same parent's layers to a new repository at once).
            Err(RegistryError::Incomplete { why, .. }) => {
                tracing::warn!(why, "all parts are brought once more");
                self.way().there.clear();
                self.bring_parts(image, registries, store).await?;
                Ok(self.manifest(image).await?)
            }
            put => Ok(put?),
        }
    }

    async fn manifest(&self, image: &BuiltImage) -> Result<(), RegistryError> {
        self.pusher.manifest(&image.digest, image.manifest.clone()).await
    }

    /// Brings layers and configuration there, unless they are.
    async fn bring_parts(
        &self,
        image: &BuiltImage,
        registries: &Registries,
        store: &Store,
    ) -> Result<(), BuildError> {
        let own = self.own_layers(image, store);
        let parents = self.parents_layers(image, registries, store);
        let config = async {
            let sent = self.pusher.new_bytes(&image.id, image.config.clone()).await;
            Ok::<(), BuildError>(sent?)
        };
        futures_util::future::try_join3(parents, config, own).await.map(drop)
    }

    /// Waits for what is taken over, and brings the other layers of the parent there.
    async fn parents_layers(
        &self,
        image: &BuiltImage,
        registries: &Registries,
        store: &Store,
    ) -> Result<(), BuildError> {
        let mut mounts = std::mem::take(&mut self.way().mounts);
        while let Some(done) = mounts.join_next().await {
            match done {
                Ok(Ok(digest)) => self.way().there.extend(digest),
                Ok(Err(error)) => tracing::warn!(%error, "a layer is taken over once more"),
                Err(error) => tracing::warn!(%error, "a layer's taking over ended early"),
            }
        }
        let parents = image.layers.iter().map(|layer| async move {
            let Some(parent) = layer.origin.repository() else { return Ok::<(), BuildError>(()) };
            let digest = &layer.blob.digest;
            if self.pusher.is_at(parent) || self.way().there.contains(digest) {
                return Ok(());
            }
            if !self.take_over(digest, Some(parent)).await? {
                layer.fetch(registries, store).await?;
                self.pusher.file(digest, &store.blob_path(digest)).await?;
            }
            self.way().there.insert(digest.clone());
            Ok(())
        });
        futures_util::future::try_join_all(parents).await.map(drop)
    }

    /// Waits for the uploads of the build and sends what these did not bring there.
    async fn own_layers(&self, image: &BuiltImage, store: &Store) -> Result<(), BuildError> {
        let mut uploads = std::mem::take(&mut self.way().uploads);
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
                if !self.take_over(digest, self.known_at.as_ref()).await? {
                    self.pusher.file(digest, &store.blob_path(digest)).await?;
                }
                self.way().there.insert(digest.clone());
            }
        }
        Ok(())
    }

    /// Takes a layer over from another repository of the same registry; whether it is there now.
    async fn take_over(
        &self,
        digest: &Digest,
        from: Option<&Reference>,
    ) -> Result<bool, RegistryError> {
        match from.filter(|from| self.pusher.is_beside(from)) {
            Some(from) => self.pusher.mount(digest, &from.repository).await,
            None => Ok(false),
        }
    }
}
