//! What is in an image that was built: its layers, and its files as a container would see them.
//!
//! Whoever wants to know does not read a layer again: what was made or unpacked is on the disk.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use workflows::image::Digest;

use crate::build::BuiltImage;
use crate::cancel::Cancel;
use crate::confine::Overlay;
use crate::error::{BuildError, Doing};
use crate::registry::Registries;
use crate::root::Root;
use crate::stage::unpacked;
use crate::store::Store;

/// A layer of a built image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// Of the blob.
    pub digest: Digest,
    /// Of its tar.
    pub diff_id: Digest,
    /// The blob's length in bytes.
    pub size: u64,
    /// The tar's length in bytes.
    pub plain_size: u64,
    /// As the manifest names it.
    pub media_type: String,
}

/// The content of a built image, for as long as the value lives.
#[derive(Debug)]
pub struct ImageContent {
    /// From the lowest to the highest.
    pub layers: Vec<LayerInfo>,
    tree: Root,
}

impl BuiltImage {
    /// Lays the layers on each other; those of the parent that are not here yet are fetched.
    ///
    /// # Errors
    /// [`BuildError`] when a layer cannot be fetched or unpacked.
    pub async fn content(
        &self,
        store: &Arc<Store>,
        registries: &Arc<Registries>,
    ) -> Result<ImageContent, BuildError> {
        let (store, registries) = (Arc::clone(store), Arc::clone(registries));
        let (layers, handle) = (self.layers.clone(), tokio::runtime::Handle::current());
        let opened = tokio::task::spawn_blocking(move || {
            // Nobody calls it off: the image is built.
            let cancel = Cancel::default();
            let paths = unpacked(&layers, &store, &registries, &handle, &cancel)?;
            let work = store.new_work().doing(|| "cannot make a directory".to_owned())?;
            let empty = work.path().join("empty");
            let what = || "cannot look into the image".to_owned();
            crate::confine::make_empty(&empty).doing(what)?;
            let overlay = Overlay::read_only(&paths, &empty).doing(what)?;
            let tree = Root::of_fd(overlay.fd().doing(what)?);
            let infos = layers.iter().map(|layer| {
                let plain_size = layer.plain_size.or_else(|| store.layer_size(&layer.diff_id));
                let unknown = || io::Error::other("the store does not know its length");
                Ok(LayerInfo {
                    digest: layer.blob.digest.clone(),
                    diff_id: layer.diff_id.clone(),
                    size: layer.blob.size,
                    plain_size: plain_size
                        .ok_or_else(unknown)
                        .doing(|| format!("layer {}", layer.diff_id))?,
                    media_type: layer.blob.media_type.clone(),
                })
            });
            let layers = infos.collect::<Result<_, BuildError>>()?;
            Ok(ImageContent { layers, tree })
        });
        opened.await.map_err(|error| BuildError::Sandbox(format!("looking broke: {error}")))?
    }

    /// The system and the architecture that the image is for, as its configuration names them.
    #[must_use]
    pub fn platform(&self) -> (&'static str, &'static str) {
        ("linux", crate::registry::architecture())
    }

    /// The media type of its manifest.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        crate::registry::MANIFEST_TYPE
    }
}

impl ImageContent {
    /// The names in a directory, sorted; none when it is no directory or a link leads there.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn names(&self, directory: &str) -> io::Result<Vec<String>> {
        let directory = Path::new(directory);
        if self.plain_kind(directory)? != Some(FileType::Directory) {
            return Ok(Vec::new());
        }
        let names = self.tree.names(directory)?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// A plain file; `None` when there is none, or a link on the way.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn open(&self, path: &str) -> io::Result<Option<File>> {
        let path = Path::new(path);
        if self.plain_kind(path)? != Some(FileType::RegularFile) {
            return Ok(None);
        }
        self.tree.open_plain(path).map(Some)
    }

    fn plain_kind(&self, path: &Path) -> io::Result<Option<FileType>> {
        self.tree.kind_without_links(path)
    }
}
