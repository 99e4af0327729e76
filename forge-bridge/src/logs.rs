//! Job logs on disk: one file an attempt, appended by the runner's calls, read by people.
//!
//! The files are all the state there is: the length of a file says what is stored, so a
//! restarted bridge knows as much as before. A follower is woken by a broadcast and then looks
//! at the file; a lost wake-up only makes it look later.
//!
//! Durability: `append` returns after `fdatasync`, since the runner may forget what the bridge
//! says it has; a new file's directory is synced too. Runners send chunks, not lines, so a busy
//! job costs about one sync a second.

mod clean;
mod follow;
mod seal;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use workflows::ids::JobId;
use workflows::protocol::MAX_LOG_CHUNK_BYTES;

pub use clean::{clean, clean_line};
pub(crate) use follow::{FollowError, Follower, News, Tail, tail};

/// Most bytes of one attempt's log. The runner keeps to the job's own, smaller bound and marks
/// the cut; this one holds against a runner that does not.
pub const MAX_LOG_BYTES: u64 = 256 << 20;
/// Most bytes of one read, so that a page or an answer stays small whatever a job wrote.
pub const MAX_READ_BYTES: u64 = 256 << 10;
/// Wake-ups that a slow follower may miss before it is told that it missed some.
const WAKE_QUEUE: usize = 256;
/// Locks that appends share by job: two calls for one job take turns, most others do not.
const APPEND_LOCKS: usize = 16;

/// Why a log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The attempt has written [`MAX_LOG_BYTES`].
    #[error("the log is full: an attempt may write {MAX_LOG_BYTES} bytes")]
    Full,
    /// More than one call may carry.
    #[error("the chunk has {0} bytes; one call carries at most {MAX_LOG_CHUNK_BYTES}")]
    ChunkTooLarge(usize),
    /// The disk.
    #[error("log {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// A part of a log as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBytes {
    /// The bytes, none past the end.
    pub bytes: Vec<u8>,
    /// Bytes stored in all.
    pub stored_bytes: u64,
}

/// The logs of all jobs.
#[derive(Debug, Clone)]
pub struct Logs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    locks: [Mutex<()>; APPEND_LOCKS],
    wakes: broadcast::Sender<JobId>,
}

impl Logs {
    /// Opens the logs below the bridge's state directory and makes their directory.
    ///
    /// # Errors
    /// [`LogError::Io`] when the directory can be neither found nor made.
    pub fn open(state_dir: &Path) -> Result<Self, LogError> {
        let directory = state_dir.join("logs");
        make_directory(&directory).map_err(at(&directory))?;
        let (wakes, _) = broadcast::channel(WAKE_QUEUE);
        let locks = std::array::from_fn(|_| Mutex::new(()));
        Ok(Self { inner: Arc::new(Inner { directory, locks, wakes }) })
    }

    /// Stores what is new of `bytes`, which begin at `offset` of the attempt's log, and answers
    /// how many bytes are stored. Sending the same bytes again changes nothing; bytes that would
    /// leave a gap are refused by the answer, which is then less than `offset`.
    ///
    /// # Errors
    /// [`LogError`] when the log is full, the chunk too large or the disk fails.
    pub async fn append(
        &self,
        job: JobId,
        attempt: u32,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, LogError> {
        if bytes.len() > MAX_LOG_CHUNK_BYTES {
            return Err(LogError::ChunkTooLarge(bytes.len()));
        }
        let inner = Arc::clone(&self.inner);
        let path = inner.path(job, attempt);
        let stored = blocking(path, move |path| {
            // A poisoned lock guards nothing but the turn; the file's length is the truth.
            let lock = &inner.locks[job.0.unsigned_abs() as usize % APPEND_LOCKS];
            let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
            append_to(path, offset, &bytes)
        })
        .await?;
        self.wake(job);
        Ok(stored)
    }

    /// Reads from `from` on, at most `max` and [`MAX_READ_BYTES`] bytes. A log that does not
    /// exist yet is empty.
    ///
    /// # Errors
    /// [`LogError::Io`] when the disk fails.
    pub async fn read(
        &self,
        job: JobId,
        attempt: u32,
        from: u64,
        max: u64,
    ) -> Result<LogBytes, LogError> {
        let path = self.inner.path(job, attempt);
        blocking(path, move |path| read_from(path, from, max.min(MAX_READ_BYTES)).map_err(at(path)))
            .await
    }

    /// Tells followers to look again: the job's log or its state changed.
    pub fn wake(&self, job: JobId) {
        // Nobody may be listening, and that is no error.
        let _ = self.inner.wakes.send(job);
    }

    fn listen(&self) -> broadcast::Receiver<JobId> {
        self.inner.wakes.subscribe()
    }
}

impl Inner {
    fn path(&self, job: JobId, attempt: u32) -> PathBuf {
        self.directory.join(job.to_string()).join(format!("{attempt}.log"))
    }
}

/// Runs a file operation where it may wait for the disk.
async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&Path) -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let shown = path.clone();
    tokio::task::spawn_blocking(move || work(&path))
        .await
        .unwrap_or_else(|error| Err(LogError::Io { path: shown, source: io::Error::other(error) }))
}

fn at(path: &Path) -> impl Fn(io::Error) -> LogError {
    move |source| LogError::Io { path: path.to_owned(), source }
}

fn append_to(path: &Path, offset: u64, bytes: &[u8]) -> Result<u64, LogError> {
    let file = open_to_append(path).map_err(at(path))?;
    let stored = file.metadata().map_err(at(path))?.len();
    let known = stored.checked_sub(offset).and_then(|known| usize::try_from(known).ok());
    let new = known.and_then(|known| bytes.get(known..)).unwrap_or_default();
    if new.is_empty() {
        // Whoever wrote them may not have come to flush them.
        file.sync_data().map_err(at(path))?;
        return Ok(stored);
    }
    let length = stored + new.len() as u64;
    if length > MAX_LOG_BYTES {
        return Err(LogError::Full);
    }
    file.write_all_at(new, stored).and_then(|()| file.sync_data()).map_err(at(path))?;
    Ok(length)
}

fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o640);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path);
            make_directory(directory)?;
            let file = options.create(true).open(path)?;
            // The names of file and directory must survive a loss of power like the bytes.
            File::open(directory)?.sync_all()?;
            if let Some(parent) = directory.parent() {
                File::open(parent)?.sync_all()?;
            }
            Ok(file)
        }
        opened => opened,
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}

fn read_from(path: &Path, from: u64, max: u64) -> io::Result<LogBytes> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(LogBytes { bytes: Vec::new(), stored_bytes: 0 });
        }
        Err(error) => return Err(error),
    };
    let stored_bytes = file.metadata()?.len();
    let wanted = stored_bytes.saturating_sub(from).min(max);
    let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(LogBytes { bytes, stored_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(7);

    async fn append(logs: &Logs, offset: u64, text: &'static str) -> u64 {
        logs.append(JOB, 1, offset, Bytes::from_static(text.as_bytes())).await.unwrap()
    }

    async fn all(logs: &Logs) -> String {
        String::from_utf8(logs.read(JOB, 1, 0, u64::MAX).await.unwrap().bytes).unwrap()
    }

    #[tokio::test]
    async fn bytes_that_come_again_are_stored_once_and_a_gap_is_answered_with_the_length() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path()).unwrap();
        assert_eq!(append(&logs, 0, "hello ").await, 6);
        assert_eq!(append(&logs, 0, "hello ").await, 6);
        assert_eq!(append(&logs, 2, "llo world").await, 11);
        assert_eq!(append(&logs, 50, "lost").await, 11);
        assert_eq!(all(&logs).await, "hello world");
        let reopened = Logs::open(directory.path()).unwrap();
        assert_eq!(append(&reopened, 11, "!").await, 12);
    }

    #[tokio::test]
    async fn a_torn_write_is_completed_by_the_runner() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path()).unwrap();
        append(&logs, 0, "hello world").await;
        let file = OpenOptions::new().write(true).open(logs.inner.path(JOB, 1)).unwrap();
        file.set_len(4).unwrap();
        assert_eq!(append(&logs, 11, " again").await, 4);
        assert_eq!(append(&logs, 4, "o world again").await, 17);
        assert_eq!(all(&logs).await, "hello world again");
    }

    #[tokio::test]
    async fn nothing_is_answered_as_stored_that_the_disk_did_not_take() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path()).unwrap();
        let path = logs.inner.path(JOB, 1);
        make_directory(path.parent().unwrap()).unwrap();
        // Takes every byte and refuses to flush.
        std::os::unix::fs::symlink("/dev/null", path).unwrap();
        for text in ["x", ""] {
            let told = logs.append(JOB, 1, 0, Bytes::from_static(text.as_bytes())).await;
            assert!(matches!(told, Err(LogError::Io { .. })), "{text:?}: {told:?}");
        }
    }

    #[tokio::test]
    async fn bounds_hold_against_a_runner_that_keeps_to_none() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path()).unwrap();
        let huge = Bytes::from(vec![b'x'; MAX_LOG_CHUNK_BYTES + 1]);
        let refused = logs.append(JOB, 1, 0, huge).await;
        assert!(matches!(refused, Err(LogError::ChunkTooLarge(_))));
        append(&logs, 0, "x").await;
        let file = OpenOptions::new().write(true).open(logs.inner.path(JOB, 1)).unwrap();
        file.set_len(MAX_LOG_BYTES).unwrap();
        let refused = logs.append(JOB, 1, MAX_LOG_BYTES, Bytes::from_static(b"y")).await;
        assert!(matches!(refused, Err(LogError::Full)));
        let part = logs.read(JOB, 1, 0, u64::MAX).await.unwrap();
        assert_eq!(part.bytes.len() as u64, MAX_READ_BYTES);
        assert_eq!(part.stored_bytes, MAX_LOG_BYTES);
    }

    #[tokio::test]
    async fn a_log_that_is_not_there_or_is_shorter_reads_as_empty() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path()).unwrap();
        assert!(logs.read(JOB, 1, 5, 10).await.unwrap().bytes.is_empty());
        append(&logs, 0, "abc").await;
        assert!(logs.read(JOB, 1, 9, 10).await.unwrap().bytes.is_empty());
    }
}
