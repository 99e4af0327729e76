//! When to give up, as a value that the caller keeps a handle on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::GitError;

/// How often a running transfer is compared with its deadline and its bound.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// The time until which work may take, and a switch that ends it earlier.
///
/// Clones share the switch. A transfer notices within a second while bytes arrive; while a server
/// is silent it notices when the read times out.
#[derive(Debug, Clone)]
pub struct Deadline {
    at: Instant,
    interrupted: Arc<AtomicBool>,
}

impl Deadline {
    /// That long from now.
    #[must_use]
    pub fn after(patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            at: now.checked_add(patience).unwrap_or(now),
            interrupted: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Ends the work as soon as it looks.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// Whether the time is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) || Instant::now() >= self.at
    }

    /// For loops over many small pieces of work.
    pub(crate) fn check(&self) -> Result<(), GitError> {
        if self.is_over() { Err(GitError::Interrupted) } else { Ok(()) }
    }
}

/// Runs a transfer that can only be stopped by a flag, and raises the flag when the deadline
/// passes or `directory` has grown by more than `max_bytes`.
///
/// # Errors
/// [`GitError::Interrupted`] or [`GitError::TooLarge`] when the flag was raised and the transfer
/// heeded it; what the transfer did else is the inner result.
pub(crate) fn watched<T, E>(
    deadline: &Deadline,
    directory: &Path,
    max_bytes: u64,
    transfer: impl FnOnce(&AtomicBool) -> Result<T, E>,
) -> Result<Result<T, E>, GitError> {
    let stop = AtomicBool::new(false);
    let done = AtomicBool::new(false);
    let before = bytes_in(directory);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let verdict = if deadline.is_over() {
                    Some(GitError::Interrupted)
                } else if bytes_in(directory).saturating_sub(before) > max_bytes {
                    Some(GitError::TooLarge(format!(
                        "the server sends more than {max_bytes} bytes for one commit"
                    )))
                } else {
                    None
                };
                if verdict.is_some() {
                    stop.store(true, Ordering::Relaxed);
                    return verdict;
                }
                thread::park_timeout(WATCH_INTERVAL);
            }
            None
        });
        let result = transfer(&stop);
        done.store(true, Ordering::Release);
        watcher.thread().unpark();
        match (result, watcher.join()) {
            (Err(_), Ok(Some(verdict))) => Err(verdict),
            (result, _) => Ok(result),
        }
    })
}

/// Sum of the files directly in a directory; files that vanish meanwhile count nothing.
fn bytes_in(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}
