//! Joins blocking readers and writers of tar to the engine's async streams, in bounded memory.

use std::io::{self, Read, Write};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::engine::words_of;
use crate::stop::Stop;

/// Bytes that are gathered before they are sent on.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that wait at most; a writer that is faster than the engine then waits too.
const CHUNKS_WAITING: usize = 4;

/// The blocking end that writes.
pub(crate) struct PipeWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
    finished: bool,
}

/// The blocking end that reads.
pub(crate) struct PipeReader {
    receiver: mpsc::Receiver<Result<Bytes, String>>,
    rest: Bytes,
}

/// A writer and the stream of what it writes.
pub(crate) fn writer() -> (PipeWriter, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    (PipeWriter { sender, gathered: Vec::with_capacity(CHUNK_BYTES), finished: false }, stream)
}

/// A reader and the way to feed it; dropping the sender is the end of the stream.
pub(crate) fn reader() -> (mpsc::Sender<Result<Bytes, String>>, PipeReader) {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    (sender, PipeReader { receiver, rest: Bytes::new() })
}

/// Feeds an archive of the engine's to a blocking reader; `what` it is of, for messages.
pub(crate) async fn feed(
    archive: impl Stream<Item = Result<Bytes, bollard::errors::Error>>,
    what: &str,
    feed: mpsc::Sender<Result<Bytes, String>>,
) -> Result<(), Stop> {
    let mut archive = std::pin::pin!(archive);
    while let Some(piece) = archive.next().await {
        let failed = piece.as_ref().err().map(words_of);
        if feed.send(piece.map_err(|error| words_of(&error))).await.is_err() {
            // The reader stopped, and says why itself.
            return Ok(());
        }
        if let Some(why) = failed {
            return Err(Stop::sandbox(format!("cannot read {what} from the engine: {why}")));
        }
    }
    Ok(())
}

impl PipeWriter {
    /// Ends the stream well. One that is dropped without this ends in an error, so that half an
    /// archive is never taken for a whole one.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.finished = true;
        Ok(())
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.gathered, Vec::with_capacity(CHUNK_BYTES));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(chunk.into())).map_err(gone)
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        if !self.finished {
            let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the archive was not finished");
            // Nobody listens when the engine gave up first.
            let _ = self.sender.blocking_send(Err(cut));
        }
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(why)) => return Err(io::Error::other(why)),
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_an_archive_ends_in_an_error() {
        let (mut pipe, stream) = writer();
        let written = tokio::task::spawn_blocking(move || pipe.write_all(b"half"));
        let pieces: Vec<_> = stream.collect().await;
        assert!(written.await.unwrap().is_ok());
        assert!(pieces.last().unwrap().is_err());
    }

    #[tokio::test]
    async fn a_whole_one_arrives_whole() {
        let (mut pipe, stream) = writer();
        let sent = vec![7; 3 * CHUNK_BYTES + 1];
        let copy = sent.clone();
        let written = tokio::task::spawn_blocking(move || {
            pipe.write_all(&copy)?;
            pipe.finish()
        });
        let pieces: Vec<_> = stream.map(|piece| piece.unwrap().to_vec()).collect().await;
        written.await.unwrap().unwrap();
        assert_eq!(pieces.concat(), sent);
    }
}
