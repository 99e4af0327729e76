//! The one pass: entries become tar, tar is digested and compressed, what comes out is digested,
//! written to the store and, when it is long, sent to the registry at the same time.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::error::SendTimeoutError;
use workflows::image::Digest;

use super::Compression;
use super::compress::BlockWriter;
use super::tarball::TarWriter;
use crate::cancel::{Cancel, Watching};
use crate::digest::HashingWriter;
use crate::error::{BuildError, Doing};
use crate::registry::{Pusher, Stream, StreamEnd};
use crate::store::Store;

/// Compressed bytes from which a layer is sent while it is made. A shorter one is sent when it
/// is complete, because the registry may have it already.
const STREAM_FROM_BYTES: usize = 1024 * 1024;
/// How often somebody who waits for the registry looks whether the build is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

/// What the entries are written to; each piece of a file hears whether the build goes on.
pub(crate) type LayerTar = TarWriter<Watching<HashingWriter<BlockWriter<HashingWriter<Tee>>>>>;

/// Where the blob goes besides the store.
pub(crate) type Target<'a> = Option<(&'a Pusher, &'a tokio::runtime::Handle)>;

/// Makes a layer of what `fill` writes, unless the build is to end.
pub(crate) fn pack(
    store: &Store,
    target: Target<'_>,
    compression: Compression,
    cancel: &Cancel,
    fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
) -> Result<(PackedLayer, Option<StreamEnd>), BuildError> {
    let doing = || "cannot make a layer".to_owned();
    let file = store.new_file().doing(doing)?;
    let target = target.map(|(pusher, runtime)| (pusher.clone(), runtime.clone()));
    let handle = file.as_file().try_clone().doing(doing)?;
    let tee = Tee { file: handle, target, cancel: cancel.clone(), held: Vec::new(), stream: None };
    let writer = BlockWriter::new(compression, HashingWriter::new(tee));
    let (sink, diff_id, plain_size) = write_plain(writer, cancel, fill).doing(doing)?;
    let (tee, digest, size) = sink.finish();
    store.keep_blob(file, &digest).doing(|| format!("cannot keep the layer {digest}"))?;
    let layer = PackedLayer { diff_id, digest, size, plain_size };
    Ok((layer, tee.stream.map(Stream::end)))
}

fn write_plain(
    writer: BlockWriter<HashingWriter<Tee>>,
    cancel: &Cancel,
    fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
) -> io::Result<(HashingWriter<Tee>, Digest, u64)> {
    let mut tar = TarWriter::new(cancel.watching(HashingWriter::new(writer)));
    let filled = fill(&mut tar).and_then(|()| tar.end());
    let (writer, diff_id, plain_size) = tar.into_inner().into_inner().finish();
    // When the sink failed, the writer only saw that nobody listens.
    let sink = writer.finish(plain_size == 0)?;
    filled?;
    Ok((sink, diff_id, plain_size))
}

/// The store's file, and a stream to the registry once the layer is long.
pub(crate) struct Tee {
    file: File,
    target: Option<(Pusher, tokio::runtime::Handle)>,
    cancel: Cancel,
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
            if !taken(stream, block, runtime, &self.cancel) {
                break;
            }
        }
    }
}

/// Hands a block to the upload as soon as that has room; whether it did, and the build goes on.
fn taken(
    stream: &Stream,
    mut block: Bytes,
    runtime: &tokio::runtime::Handle,
    cancel: &Cancel,
) -> bool {
    while cancel.heard().is_ok() {
        // The timer is of the runtime, hence the future is made there.
        let sent = runtime.block_on(async { stream.sender.send_timeout(block, LOOK_EVERY).await });
        match sent {
            Ok(()) => return true,
            Err(SendTimeoutError::Timeout(back)) => block = back,
            Err(SendTimeoutError::Closed(_)) => return false,
        }
    }
    false
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cancel.heard()?;
        self.file.write_all(bytes)?;
        self.send(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Content, Entry, FileSource};

    /// Files that are packed at most: their bytes would take far longer than a person waits.
    const MOST: usize = 100_000;
    /// What of a layer may be on its way when somebody ends the build, in files of [`FILE`] bytes.
    const ON_ITS_WAY: usize = 2;
    const FILE: usize = 256 * 1024;

    fn file(number: usize) -> Entry {
        let source = FileSource::Inline(vec![b'x'; FILE].into());
        let content = Content::File { size: FILE as u64, source };
        Entry { mode: 0o644, content, ..Entry::directory(format!("f{number}").as_ref(), 0) }
    }

    #[test]
    fn a_layer_that_nobody_wants_any_more_is_left_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for before in [0, 1, 30] {
            let (cancel, mut packed) = (Cancel::default(), 0);
            let fill = |tar: &mut LayerTar| {
                for number in 0..MOST {
                    if number == before {
                        cancel.ask();
                    }
                    tar.append(&file(number))?;
                    packed += 1;
                }
                Ok(())
            };
            let made = pack(&store, None, Compression::default(), &cancel, fill);
            assert!(matches!(made, Err(BuildError::Cancelled)), "{made:?}");
            assert!(packed < before + ON_ITS_WAY, "{packed} of {before}");
        }
    }

    #[test]
    fn a_wish_that_comes_behind_the_last_byte_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let (store, cancel) = (Store::open(dir.path()).unwrap(), Cancel::default());
        let fill = |tar: &mut LayerTar| {
            tar.append(&file(0))?;
            cancel.kill();
            Ok(())
        };
        let made = pack(&store, None, Compression::default(), &cancel, fill);
        assert!(matches!(made, Err(BuildError::Cancelled)), "{made:?}");
    }
}
