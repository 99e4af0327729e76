//! The layers of a stage, unpacked when somebody looks into them and not before.

use std::path::PathBuf;

use workflows::image::{Digest, Reference};

use crate::cancel::{Cancel, Urgency};
use crate::error::{BuildError, Doing, is_full};
use crate::layer::{Compression, PackedLayer, unpack_layer};
use crate::registry::{Descriptor, Registries};
use crate::store::Store;

/// A layer of an image.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) diff_id: Digest,
    pub(crate) blob: Descriptor,
    pub(crate) origin: Origin,
    /// The length of its tar in bytes; of a parent's layer the store knows it, once unpacked.
    pub(crate) plain_size: Option<u64>,
}

/// Where a layer comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// From the parent image, whose registry has it.
    Parent(Reference),
    /// From this build, or from an earlier one that did the same; the store has it.
    Made,
    /// From another machine that did the same; the cache at that repository has it.
    Shared(Reference),
}

impl Origin {
    /// The repository that has it, where the store need not.
    pub(crate) fn repository(&self) -> Option<&Reference> {
        match self {
            Self::Parent(repository) | Self::Shared(repository) => Some(repository),
            Self::Made => None,
        }
    }

    /// Whether it is a layer of this build and not of its parent.
    pub(crate) fn is_of_build(&self) -> bool {
        !matches!(self, Self::Parent(_))
    }
}

impl Layer {
    /// A layer that was just made.
    pub(crate) fn made(packed: PackedLayer, compression: Compression) -> Self {
        let PackedLayer { diff_id, digest, size, plain_size } = packed;
        let media_type = compression.media_type().to_owned();
        let blob = Descriptor { media_type, digest, size, urls: Vec::new() };
        Self { diff_id, blob, origin: Origin::Made, plain_size: Some(plain_size) }
    }

    /// Puts the blob into the store unless it is there.
    pub(crate) async fn fetch(
        &self,
        registries: &Registries,
        store: &Store,
    ) -> Result<(), BuildError> {
        match self.origin.repository() {
            None => Ok(()),
            Some(repository) => Ok(registries.fetch_blob(repository, &self.blob, store).await?),
        }
    }

    fn unpack(
        &self,
        store: &Store,
        fetch: impl FnOnce() -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let what = || format!("cannot unpack layer {}", self.blob.digest);
        let _lock = store.lock_layer(&self.diff_id).doing(what)?;
        if store.has_layer(&self.diff_id) {
            return Ok(());
        }
        let Err(error) = self.unpack_blob(store) else { return Ok(()) };
        let is_elsewhere = self.origin.repository().is_some();
        let is_for_room = matches!(&error, BuildError::Io { error, .. } if is_full(error));
        if !is_elsewhere || is_for_room || !store.forget_damaged(&self.blob.digest).doing(what)? {
            return Err(error);
        }
        fetch()?;
        self.unpack_blob(store)
    }

    fn unpack_blob(&self, store: &Store) -> Result<(), BuildError> {
        let what = || format!("cannot unpack layer {}", self.blob.digest);
        let work = store.new_work().doing(what)?;
        let dir = work.path().join("layer");
        std::fs::create_dir(&dir).doing(what)?;
        let blob = std::fs::File::open(store.blob_path(&self.blob.digest)).doing(what)?;
        let (diff_id, plain_size) = unpack_layer(blob, &dir).doing(what)?;
        if diff_id != self.diff_id {
            let wrong = std::io::Error::other(format!("it is {diff_id}, not {}", self.diff_id));
            return Err(wrong).doing(what);
        }
        store.keep_layer(&dir, &self.diff_id, plain_size).doing(what)
    }
}

/// Unpacks layers that are not yet, unless the build is to end; tells where each is, the lowest
/// first.
pub(crate) fn unpacked(
    layers: &[Layer],
    store: &Store,
    registries: &Registries,
    runtime: &tokio::runtime::Handle,
    cancel: &Cancel,
) -> Result<Vec<PathBuf>, BuildError> {
    let missing: Vec<&Layer> =
        layers.iter().filter(|layer| !store.has_layer(&layer.diff_id)).collect();
    let fetches = missing.iter().map(|layer| layer.fetch(registries, store));
    let fetched = cancel.unless_asked(futures_util::future::try_join_all(fetches));
    runtime.block_on(fetched).ok_or(BuildError::Cancelled)??;
    for layer in missing {
        if cancel.urgency() != Urgency::None {
            return Err(BuildError::Cancelled);
        }
        layer.unpack(store, || {
            let fetched = cancel.unless_asked(layer.fetch(registries, store));
            runtime.block_on(fetched).ok_or(BuildError::Cancelled)?
        })?;
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    for layer in layers {
        let path = store.layer_path(&layer.diff_id);
        // The same layer twice changes nothing, and overlayfs refuses it: the upper one stays.
        paths.retain(|known| *known != path);
        paths.push(path);
    }
    Ok(paths)
}
