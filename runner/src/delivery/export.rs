//! The engine's archive of an image, read as it streams by: its layers, one after the other.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;
use workflows::packages::LayerChanges;

use super::collect::{Collector, Unreadable};
use crate::engine::words_of;
use crate::execute::Execution;
use crate::stop::Stop;

/// Names the layers of an archive, in order.
const MANIFEST_FILE: &str = "manifest.json";
/// Largest such file that is read, in bytes; it names one image of at most 128 layers.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Most entries of the archive itself; an image of 128 layers has some 400.
const MAX_ENTRIES: usize = 4_096;

/// What a layer's file is called.
const LAYER_FILE: &str = "/layer.tar";
/// Where all content is in archives of the OCI form.
const BLOBS: &str = "blobs/";
/// What a tar archive is made of.
const BLOCK_BYTES: usize = 512;
/// What a header of such an archive has, and where.
const MAGIC: &[u8] = b"ustar";
const MAGIC_AT: usize = 257;

/// What an image's archive holds.
#[derive(Debug)]
pub(super) struct Exported {
    /// From the lowest to the highest.
    pub(super) layers: Vec<LayerContent>,
}

/// What one layer holds.
#[derive(Debug, Clone)]
pub(super) struct LayerContent {
    /// Size of its tar archive.
    pub(super) unpacked_bytes: u64,
    /// What it does to databases of packages; the content is in files.
    pub(super) databases: LayerChanges<PathBuf>,
}

/// Reads an image of the engine; databases of packages go into an empty directory.
pub(super) async fn read(
    execution: &Execution<'_>,
    image: &str,
    directory: PathBuf,
) -> Result<Exported, Stop> {
    let engine = execution.engine.clone();
    let name = image.to_owned();
    // The thread that reads must not outlive the wait for it.
    let abandoned = CancellationToken::new();
    let guard = abandoned.clone().drop_guard();
    let runtime = tokio::runtime::Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        let archive = engine
            .export_image(&name)
            .map_err(|error| io::Error::other(words_of(&error)))
            .take_until(abandoned.cancelled_owned())
            .boxed();
        let reader = SyncIoBridge::new_with_handle(StreamReader::new(archive), runtime);
        read_archive(reader, Collector::new(directory))
    });
    let read = reading.await.map_err(|error| Stop::bug(format!("reading broke: {error}")))?;
    drop(guard);
    read.map_err(|error| error.stop(image))
}

/// One image of an archive's manifest.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

fn read_archive(reader: impl Read, mut collector: Collector) -> Result<Exported, Unreadable> {
    let mut contents = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut named = None;
    for (count, entry) in tar::Archive::new(reader).entries()?.enumerate() {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if count >= MAX_ENTRIES {
            return Err(odd(format!("its archive has more than {MAX_ENTRIES} entries")).into());
        }
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name()?.unwrap_or_default();
            let base = if kind.is_symlink() { Path::new(&path).parent() } else { None };
            links.insert(path.clone(), joined(base, &target));
        } else if path == MANIFEST_FILE {
            let mut text = String::new();
            (&mut entry).take(MAX_MANIFEST_BYTES).read_to_string(&mut text)?;
            let images: Vec<Named> = serde_json::from_str(&text).map_err(io::Error::from)?;
            named = images.into_iter().next();
        } else if kind.is_file() {
            let unpacked_bytes = entry.size();
            if let Some(layer) = layer(&path, entry)? {
                let databases = collector.layer(layer)?;
                contents.insert(path, LayerContent { unpacked_bytes, databases });
            }
        }
    }
    let named = named.ok_or_else(|| odd(format!("its archive has no {MANIFEST_FILE}")))?;
    // Two layers of the same content are one file and a link to it.
    let content = |path: &String| contents.get(path).or_else(|| contents.get(links.get(path)?));
    let layers = named.layers.iter().map(|path| {
        content(path).cloned().ok_or_else(|| odd(format!("its archive does not have {path}")))
    });
    Ok(Exported { layers: layers.collect::<io::Result<_>>()? })
}

/// The entry again when it is a layer. Engines of before 2024 name layers as such; later ones
/// keep all content in one place, where the rest is JSON.
fn layer<R: Read>(path: &str, mut entry: R) -> io::Result<Option<impl Read + use<R>>> {
    let mut beginning = Vec::with_capacity(BLOCK_BYTES);
    let is_layer = if path.starts_with(BLOBS) {
        (&mut entry).take(BLOCK_BYTES as u64).read_to_end(&mut beginning)?;
        let is_archive = beginning.get(MAGIC_AT..).is_some_and(|rest| rest.starts_with(MAGIC));
        is_archive || beginning.first() != Some(&b'{')
    } else {
        path.ends_with(LAYER_FILE)
    };
    Ok(is_layer.then(|| io::Cursor::new(beginning).chain(entry)))
}

/// A link's target as the archive names it.
fn joined(base: Option<&Path>, target: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in base.unwrap_or(Path::new("")).join(target).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    parts.join("/")
}

fn odd(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
