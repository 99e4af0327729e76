//! The engine's archive of an image, read as it streams by: its layers, one after the other.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

use crate::engine::words_of;
use crate::execute::Execution;
use crate::stop::Stop;

/// Names the layers of an archive, in order.
const MANIFEST_FILE: &str = "manifest.json";
/// Largest such file that is read, in bytes; it names one image of at most 128 layers.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Most entries of the archive itself; an image of 128 layers has some 400.
const MAX_ENTRIES: usize = 4_096;

/// What an image's archive holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exported {
    /// From the lowest to the highest.
    pub(super) layers: Vec<LayerContent>,
}

/// What one layer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerContent {
    /// Size of its tar archive.
    pub(super) unpacked_bytes: u64,
}

/// Reads an image of the engine.
pub(super) async fn read(execution: &Execution<'_>, image: &str) -> Result<Exported, Stop> {
    let fault = |why: String| Stop::sandbox(format!("cannot read the layers of {image}: {why}"));
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
        read_archive(SyncIoBridge::new_with_handle(StreamReader::new(archive), runtime))
    });
    let read = reading.await.map_err(|error| Stop::bug(format!("reading broke: {error}")))?;
    drop(guard);
    read.map_err(|error| fault(error.to_string()))
}

/// One image of an archive's manifest.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

fn read_archive(reader: impl Read) -> io::Result<Exported> {
    let mut contents = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut named = None;
    for (count, entry) in tar::Archive::new(reader).entries()?.enumerate() {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if count >= MAX_ENTRIES {
            return Err(odd(format!("its archive has more than {MAX_ENTRIES} entries")));
        }
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name()?.unwrap_or_default();
            let base = if kind.is_symlink() { Path::new(&path).parent() } else { None };
            links.insert(path.clone(), joined(base, &target));
        } else if path == MANIFEST_FILE {
            let mut text = String::new();
            (&mut entry).take(MAX_MANIFEST_BYTES).read_to_string(&mut text)?;
            let images: Vec<Named> = serde_json::from_str(&text)?;
            named = images.into_iter().next();
        } else if kind.is_file() {
            contents.insert(path, LayerContent { unpacked_bytes: entry.size() });
        }
    }
    let named = named.ok_or_else(|| odd(format!("its archive has no {MANIFEST_FILE}")))?;
    // Two layers of the same content are one file and a link to it.
    let content = |path: &String| contents.get(path).or_else(|| contents.get(links.get(path)?));
    let layers = named.layers.iter().map(|path| {
        content(path).cloned().ok_or_else(|| odd(format!("its archive does not have {path}")))
    });
    Ok(Exported { layers: layers.collect::<Result<_, _>>()? })
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
