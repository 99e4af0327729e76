//! An image on its way to its registry: layers while the build goes on, the manifest last.

use std::collections::BTreeSet;

use tokio::task::JoinSet;
use workflows::image::{Digest, Reference};

use super::BuiltImage;
use crate::error::BuildError;
use crate::layer::PackedLayer;
use crate::registry::{Pusher, Registries, RegistryError, StreamEnd};
use crate::stage::Origin;
use crate::store::Store;

/// What is on its way to the registry.
pub(crate) struct Pushing {
    pub(crate) pusher: Pusher,
    uploads: JoinSet<Result<(), RegistryError>>,
    seen: BTreeSet<Digest>,
}

impl Pushing {
    pub(super) fn new(registries: &Registries, target: &Reference) -> Self {
        let pusher = Pusher::new(registries, target);
        Self { pusher, uploads: JoinSet::new(), seen: BTreeSet::new() }
    }

    /// Sends a layer while the next steps run, or ends its stream.
    pub(crate) fn layer(
        &mut self,
        handle: &tokio::runtime::Handle,
        store: &Store,
        layer: &PackedLayer,
        stream: Option<StreamEnd>,
    ) {
        let (digest, path) = (layer.digest.clone(), store.blob_path(&layer.digest));
        if !self.seen.insert(digest.clone()) {
            return;
        }
        let pusher = self.pusher.clone();
        let upload = async move {
            match stream {
                Some(stream) => pusher.finish_stream(stream, &digest, &path).await,
                None => pusher.file(&digest, &path).await,
            }
        };
        self.uploads.spawn_on(upload, handle);
    }

    /// Sends what is not sent yet, the manifest last: an image is never there in part.
    pub(crate) async fn finish(
        mut self,
        target: &Reference,
        image: &BuiltImage,
        registries: &Registries,
        store: &Store,
    ) -> Result<(), BuildError> {
        let pusher = &self.pusher;
        let own = async {
            while let Some(done) = self.uploads.join_next().await {
                let ended = |_| BuildError::Sandbox("an upload ended early".to_owned());
                done.map_err(ended)??;
            }
            Ok::<(), BuildError>(())
        };
        let parents = image.layers.iter().map(|layer| async move {
            let Origin::Parent(parent) = &layer.origin else { return Ok::<(), BuildError>(()) };
            let digest = &layer.blob.digest;
            let same_registry = parent.registry == target.registry;
            if same_registry && parent.repository == target.repository {
                return Ok(());
            }
            if same_registry && pusher.mount(digest, &parent.repository).await? {
                return Ok(());
            }
            layer.fetch(registries, store).await?;
            Ok(pusher.file(digest, &store.blob_path(digest)).await?)
        });
        let config =
            async { Ok::<(), BuildError>(pusher.bytes(&image.id, image.config.clone()).await?) };
        let parents = futures_util::future::try_join_all(parents);
        futures_util::future::try_join3(parents, config, own).await?;
        Ok(pusher.manifest(&image.digest, image.manifest.clone()).await?)
    }
}
