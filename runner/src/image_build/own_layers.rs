//! The layers that a build added to its parent: taken out of the engine and cleaned.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use workflows::lookaside::{Checksum, HashType};

use super::clean::Cleaner;
use super::pipe::{self, PipeReader};
use super::repositories::Injected;
use super::stage::BuiltStage;
use super::{Build, blocking};
use crate::stop::Stop;

/// How archives of engines before version 25 name a layer.
const LAYER_FILE: &str = "/layer.tar";
/// Where later ones keep all that is named by its digest.
const BLOBS: &str = "blobs/sha256/";
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// A layer as it will be in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CleanLayer {
    /// Digest of its archive.
    pub(super) diff_id: String,
    /// The archive.
    pub(super) path: PathBuf,
}

impl Build<'_> {
    /// Cleans the layers of a stage that are not its parent's; `None` for one of which nothing
    /// is left.
    pub(super) async fn cleaned(
        &self,
        stage: &BuiltStage,
    ) -> Result<Vec<Option<CleanLayer>>, Stop> {
        let own: Vec<(String, Injected)> = stage.own().map(|(id, put)| (id, put.clone())).collect();
        if own.is_empty() {
            return Ok(Vec::new());
        }
        let directory = self.execution.workspace.layers().await?;
        let spooled = self.spooled(&stage.image, &own, directory.clone()).await?;
        let everywhere = self.injected.lock().await.files.clone();
        let epoch = self.epoch();
        blocking(move || {
            let failed = |error| Stop::sandbox(format!("cannot rewrite a layer: {error}"));
            let mut cleaner = Cleaner::new(epoch, everywhere);
            let mut clean = Vec::with_capacity(own.len());
            for (number, (diff_id, injected)) in own.iter().enumerate() {
                let raw = spooled.get(diff_id).ok_or_else(|| {
                    Stop::sandbox(format!("the engine's archive has no layer {diff_id}"))
                })?;
                let path = directory.join(format!("clean-{number}"));
                let made = &injected.directories;
                clean.push(rewrite(&mut cleaner, raw, made, path).map_err(failed)?);
            }
            for raw in spooled.values() {
                std::fs::remove_file(raw).map_err(failed)?;
            }
            Ok(clean)
        })
        .await
    }

    /// Writes the layers of these digests to files.
    async fn spooled(
        &self,
        image: &str,
        own: &[(String, Injected)],
        directory: PathBuf,
    ) -> Result<BTreeMap<String, PathBuf>, Stop> {
        let wanted: BTreeSet<String> = own.iter().map(|(diff_id, _)| diff_id.clone()).collect();
        let (feed, reader) = pipe::reader();
        let spooled = tokio::task::spawn_blocking(move || spool(reader, wanted, &directory));
        let archive = self.execution.engine.export_image(image);
        let (fed, spooled) = tokio::join!(pipe::feed(archive, image, feed), spooled);
        let spooled = spooled.map_err(|error| Stop::bug(format!("file work broke: {error}")))?;
        fed?;
        spooled.map_err(|error| Stop::sandbox(format!("cannot take layers out: {error}")))
    }
}

/// Reads an image's archive and keeps the layers that are wanted. The order of the archive tells
/// nothing, and older engines do not name layers by their digests: these are hashed to be known.
fn spool(
    archive: PipeReader,
    mut wanted: BTreeSet<String>,
    directory: &Path,
) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut kept = BTreeMap::new();
    for (number, entry) in tar::Archive::new(archive).entries()?.enumerate() {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let blob = name.strip_prefix(BLOBS).map(|hex| format!("sha256:{hex}"));
        let is_layer = blob.is_some_and(|digest| wanted.contains(&digest))
            || (name.ends_with(LAYER_FILE) && entry.header().entry_type().is_file());
        if !is_layer {
            continue;
        }
        let path = directory.join(format!("raw-{number}"));
        let diff_id = copy(&mut entry, &path)?;
        if wanted.remove(&diff_id) {
            kept.insert(diff_id, path);
        } else {
            std::fs::remove_file(&path)?;
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(kept)
}

/// Copies a layer to a file; the answer is its digest.
fn copy(from: &mut impl Read, to: &Path) -> io::Result<String> {
    let checksum = Checksum::new(HashType::Sha256);
    let mut checksum = checksum.ok_or_else(|| io::Error::other("SHA-256 is not known"))?;
    let mut to = File::create(to)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(format!("sha256:{}", checksum.finish())),
            length => {
                checksum.update(&chunk[..length]);
                io::Write::write_all(&mut to, &chunk[..length])?;
            }
        }
    }
}

fn rewrite(
    cleaner: &mut Cleaner,
    raw: &Path,
    made: &BTreeSet<String>,
    path: PathBuf,
) -> io::Result<Option<CleanLayer>> {
    let raw = BufReader::with_capacity(CHUNK_BYTES, File::open(raw)?);
    let out = BufWriter::with_capacity(CHUNK_BYTES, File::create(&path)?);
    let diff_id = cleaner.layer(raw, made, out)?;
    Ok(diff_id.map(|diff_id| CleanLayer { diff_id, path }))
}
