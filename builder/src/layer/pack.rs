//! The one pass: entries become tar, tar is digested and compressed, what comes out is digested,
//! written to the store and, when it is long, sent to the registry at the same time.

use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use workflows::image::Digest;

use super::Compression;
use super::compress::{self, BlockWriter};
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
pub(crate) type LayerTar = TarWriter<HashingWriter<BlockWriter>>;

/// Where the blob goes besides the store.
pub(crate) type Target<'a> = Option<(&'a Pusher, &'a tokio::runtime::Handle)>;

/// Makes a layer of what `fill` writes.
pub(crate) fn pack(
    store: &Store,
    target: Target<'_>,
    compression: Compression,
    fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
) -> Result<(PackedLayer, Option<StreamEnd>), BuildError> {
    let file = store.new_file().doing(|| "cannot make a layer".to_owned())?;
    let handle = file.as_file().try_clone().doing(|| "cannot make a layer".to_owned())?;
    let sink = HashingWriter::new(Tee { file: handle, target, held: Vec::new(), stream: None });
    let (plain, sink) = std::thread::scope(|scope| {
        let (writer, collector) = compress::start(scope, compression, sink);
        let plain = write_plain(writer, fill);
        let sink = collector.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended")));
        // When the collector failed, the writer only saw that nobody listens.
        match (sink, plain) {
            (Ok(sink), Ok(plain)) => Ok((plain, sink)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    })
    .doing(|| "cannot make a layer".to_owned())?;
    let (tee, digest, size) = sink.finish();
    let (diff_id, plain_size) = plain;
    store.keep_blob(file, &digest).doing(|| format!("cannot keep the layer {digest}"))?;
    let layer = PackedLayer { diff_id, digest, size, plain_size };
    Ok((layer, tee.stream.map(Stream::end)))
}

fn write_plain(
    writer: BlockWriter,
    fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let mut tar = TarWriter::new(HashingWriter::new(writer));
    fill(&mut tar)?;
    let (writer, diff_id, plain_size) = tar.finish()?.finish();
    writer.finish(plain_size == 0)?;
    Ok((diff_id, plain_size))
}

struct Tee<'a> {
    file: File,
    target: Target<'a>,
    /// Blocks that were written before it was clear whether the layer is long.
    held: Vec<Bytes>,
    stream: Option<Stream>,
}

impl Tee<'_> {
    fn send(&mut self, block: Bytes) {
        let Some((pusher, runtime)) = self.target else { return };
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

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.send(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
