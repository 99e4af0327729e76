//! One append-only byte log for each attempt: masked, bounded, on disk first, then shipped.
//!
//! The spool on disk is the truth until the bridge has it, so that a bridge that is away costs
//! nothing but time, and a killed runner's log is shipped by the next start.

mod mask;
mod ship;
mod stream;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub(crate) use mask::Masker;
pub(crate) use ship::{Shipped, ship};
pub(crate) use stream::{LogStream, Printed, stream_of};

/// Only the runner's own user reads a spool.
const MODE: u32 = 0o600;
/// What a directory of spools is called below the state directory.
const DIRECTORY: &str = "spool";

/// The log of one attempt; clones write to the same.
#[derive(Clone)]
pub(crate) struct AttemptLog {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    writer: Mutex<Writer>,
    /// How far the log goes and whether more may come.
    extent: watch::Sender<Extent>,
}

struct Writer {
    file: File,
    masker: Masker,
    bound: Bound,
    /// How many streams there were.
    streams: u64,
    /// Whose line the log ends in, where its last line has no end yet.
    open: Option<u64>,
}

/// How far a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Whether nothing more will come.
    pub(crate) closed: bool,
}

impl AttemptLog {
    /// Begins the log of an attempt; `key` names it in the spool directory.
    pub(crate) fn create(
        state_dir: &Path,
        key: &str,
        limit_bytes: u64,
        masker: Masker,
    ) -> io::Result<Self> {
        let directory = directory(state_dir);
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(key);
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&path)?;
        let bound = Bound::new(limit_bytes);
        let writer = Mutex::new(Writer { file, masker, bound, streams: 0, open: None });
        let extent = watch::Sender::new(Extent { bytes: 0, closed: false });
        Ok(Self { shared: Arc::new(Shared { path, writer, extent }) })
    }

    /// Begins a stream of output, which is masked by itself.
    pub(crate) fn stream(&self) -> LogStream {
        let mut writer = self.writer();
        writer.streams += 1;
        LogStream::new(self.clone(), writer.streams)
    }

    /// From here on this text is masked, and its other forms. The answer is false when the job
    /// has added too many of them.
    pub(crate) fn add_mask(&self, secret: &str) -> bool {
        self.writer().masker.add(secret).is_ok()
    }

    /// Whether a text shows a secret.
    pub(crate) fn shows_a_secret(&self, text: &str) -> bool {
        self.writer().masker.finds_in(text)
    }

    /// A text that goes elsewhere than into the log, with its secrets masked.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.writer().masker.masked(text)
    }

    /// Appends a line of ours.
    pub(crate) fn line(&self, text: &str) {
        let mut writer = self.writer();
        let line = writer.masker.masked(text) + "\n";
        self.append(&mut writer, None, line.into_bytes());
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&self) {
        self.shared.extent.send_modify(|extent| extent.closed = true);
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.extent.borrow().bytes
    }

    /// Removes the spool from disk; the bridge has the log or must not get it.
    pub(crate) fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.shared.path) {
            tracing::warn!(%error, path = %self.shared.path.display(), "cannot remove a log spool");
        }
    }

    /// What the shipper reads.
    pub(crate) fn reader(&self) -> io::Result<SpoolReader> {
        Ok(SpoolReader {
            file: File::open(&self.shared.path)?,
            extent: self.shared.extent.subscribe(),
        })
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic between two appends leaves the file as it was; the log goes on.
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what a stream says, or we ourselves; never to a line that another began.
    fn append(&self, writer: &mut Writer, stream: Option<u64>, mut bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if writer.open.is_some() && writer.open != stream {
            bytes.insert(0, b'\n');
        }
        writer.open = stream.filter(|_| !bytes.ends_with(b"\n"));
        let kept = writer.bound.admit(&bytes);
        if kept.is_empty() {
            return;
        }
        match writer.file.write_all(&kept) {
            Ok(()) => {
                let added = kept.len() as u64;
                self.shared.extent.send_modify(|extent| extent.bytes += added);
            }
            Err(error) => {
                // A torn append would shift every later offset; the log ends here.
                writer.bound.exhaust();
                tracing::error!(%error, path = %self.shared.path.display(), "log spool ends");
            }
        }
    }
}

/// Reads a spool while it grows, or one that a killed runner left.
pub(crate) struct SpoolReader {
    file: File,
    extent: watch::Receiver<Extent>,
}

impl SpoolReader {
    /// The spool of an attempt that ended with its runner.
    pub(crate) fn of_leftover(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let (_, extent) = watch::channel(Extent { bytes, closed: true });
        Ok(Self { file, extent })
    }

    /// How far the log goes now.
    pub(crate) fn extent(&self) -> Extent {
        *self.extent.borrow()
    }

    /// Waits until the log goes beyond `offset` or is closed.
    pub(crate) async fn beyond(&mut self, offset: u64) -> Extent {
        let ready = |extent: &Extent| extent.closed || extent.bytes > offset;
        let waited = self.extent.wait_for(ready).await.map(|extent| *extent);
        // An error means that the writer is gone, so nothing more will come.
        waited.unwrap_or_else(|_| Extent { closed: true, ..*self.extent.borrow() })
    }

    /// Waits until the log is closed.
    pub(crate) async fn closed(&mut self) {
        // An error means that the writer is gone, which is an end too.
        let _ = self.extent.wait_for(|extent| extent.closed).await;
    }

    /// At most `max` bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let end = self.extent.borrow().bytes;
        let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(max).min(max);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// The directory of spools.
pub(crate) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join(DIRECTORY)
}

/// What a log may still take; the line that says "dropped" counts too.
struct Bound {
    left: u64,
    marker: Option<Vec<u8>>,
}

impl Bound {
    fn new(limit_bytes: u64) -> Self {
        let marker = format!("\n[log ends here: the job may write {limit_bytes} bytes]\n");
        let marker = marker.into_bytes();
        Self { left: limit_bytes.saturating_sub(marker.len() as u64), marker: Some(marker) }
    }

    /// The part of `bytes` that is kept, with the marker behind it where it is cut.
    fn admit(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.marker.is_none() {
            return Vec::new();
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            self.left -= bytes.len() as u64;
            return bytes.to_vec();
        }
        let mut kept = bytes[..room].to_vec();
        kept.extend(self.marker.take().unwrap_or_default());
        kept
    }

    fn exhaust(&mut self) {
        self.marker = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &Path, limit: u64) -> AttemptLog {
        AttemptLog::create(dir, "1.1", limit, Masker::new(["hunter2".to_owned()])).unwrap()
    }

    fn all(log: &AttemptLog) -> String {
        let reader = log.reader().unwrap();
        String::from_utf8(reader.read(0, usize::MAX).unwrap()).unwrap()
    }

    #[test]
    fn secrets_are_masked_across_writes() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 1_000);
        let mut stream = log.stream();
        stream.push(b"password is hun");
        stream.push(b"ter2 and hun");
        stream.finish();
        log.close();
        assert_eq!(all(&log), "password is *** and hun");
    }

    #[test]
    fn what_is_too_much_is_dropped_and_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 200);
        for _ in 0..100 {
            log.line("twenty characters!!");
        }
        log.close();
        let text = all(&log);
        assert!(text.ends_with("\n[log ends here: the job may write 200 bytes]\n"), "{text}");
        assert!(text.len() <= 200 && text.len() as u64 == log.bytes());
    }

    #[tokio::test]
    async fn a_reader_learns_that_nothing_more_comes() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 1_000);
        let mut reader = log.reader().unwrap();
        log.line("x");
        assert_eq!(reader.beyond(0).await, Extent { bytes: 2, closed: false });
        log.close();
        assert_eq!(reader.beyond(2).await, Extent { bytes: 2, closed: true });
    }
}
