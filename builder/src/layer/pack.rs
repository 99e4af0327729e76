//! The one pass: entries become tar, tar is digested and compressed, what comes out is digested,
//! written to the store and, when it is long, sent to the registry at the same time.

use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use workflows::image::Digest;

use super::Compression;
use super::compress::BlockWriter;
use super::tarball::TarWriter;
use crate::digest::HashingWriter;
use crate::error::{BuildError, Doing};
use crate::registry::{Pusher, Stream, StreamEnd};
use crate::store::Store;

/// Compressed bytes from which a layer is sent while it is made. A shorter one is sent when it
/// is complete, because the registry may have it already.
const STREAM_FROM_BYTES: usize = 1024 * 1024;

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackedLayer {
    /// Digest of the uncompressed tar: the layer's identity in the configuration.
    pub(crate) diff_id: Digest,
    /// Digest of the blob.
    pub(crate) digest: Digest,
    /// The blob's length in bytes.
    pub(crate) size: u64,
    /// The tar's length in bytes.
    pub(crate) plain_size: u64,
}

/// What the entries are written to.
pub(crate) type LayerTar = TarWriter<HashingWriter<BlockWriter<HashingWriter<Tee>>>>;

/// Where the blob goes besides the store.
pub(crate) type Target<'a> = Option<(&'a Pusher, &'a tokio::runtime::Handle)>;

/// Makes a layer of what `fill` writes.
pub(crate) fn pack(
    store: &Store,
    target: Target<'_>,
    compression: Compression,
    fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
) -> Result<(PackedLayer, Option<StreamEnd>), BuildError> {
    let doing = || "cannot make a layer".to_owned();
    let file = store.new_file().doing(doing)?;
    let target = target.map(|(pusher, runtime)| (pusher.clone(), runtime.clone()));
    let handle = file.as_file().try_clone().doing(doing)?;
    let tee = Tee { file: handle, target, held: Vec::new(), stream: None };
    let writer = BlockWriter::new(compression, HashingWriter::new(tee));
    let (sink, diff_id, plain_size) = write_plain(writer, fill).doing(doing)?;
    let (tee, digest, size) = sink.finish();
    store.keep_blob(file, &digest).doing(|| format!("cannot keep the layer {digest}"))?;
    let layer = PackedLayer { diff_id, digest, size, plain_size };
    Ok((layer, tee.stream.map(Stream::end)))
}

fn write_plain(
    writer: BlockWriter<HashingWriter<Tee>>,
    fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
) -> io::Result<(HashingWriter<Tee>, Digest, u64)> {
    let mut tar = TarWriter::new(HashingWriter::new(writer));
    let filled = fill(&mut tar).and_then(|()| tar.end());
    let (writer, diff_id, plain_size) = tar.into_inner().finish();
    // When the sink failed, the writer only saw that nobody listens.
    let sink = writer.finish(plain_size == 0)?;
    filled?;
    Ok((sink, diff_id, plain_size))
}

/// The store's file, and a stream to the registry once the layer is long.
pub(crate) struct Tee {
    file: File,
    target: Option<(Pusher, tokio::runtime::Handle)>,
    /// Blocks that were written before it was clear whether the layer is long.
    held: Vec<Bytes>,
    stream: Option<Stream>,
}

impl Tee {
    fn send(&mut self, block: Bytes) {
        let Some((pusher, runtime)) = &self.target else { return };
        self.held.push(block);
        let held: usize = self.held.iter().map(Bytes::len).sum();
        if self.stream.is_none() && held < STREAM_FROM_BYTES {
            return;
        }
        let stream = self.stream.get_or_insert_with(|| pusher.stream(runtime));
        for block in self.held.drain(..) {
            // A broken upload is told at its end, and the blob sent once more from the store.
            if stream.sender.blocking_send(block).is_err() {
                break;
            }
        }
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.send(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
