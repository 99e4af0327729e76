//! Locks between the processes and threads that use one mirror.
//!
//! The kernel drops a flock together with its holder. So whoever holds one knows that what a
//! killed predecessor left behind is left behind, and may remove it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{Deadline, GitError};

/// How often a taken lock is tried again. A flock cannot be waited for with a deadline.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A held lock; dropping it releases.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock alone, or `None` when somebody else has it in any way.
    pub(crate) fn try_alone(path: &Path) -> Result<Option<Self>, GitError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(GitError::local(path, &error)),
        }
    }

    /// Takes the lock alone, waiting until the deadline.
    pub(crate) fn alone(path: &Path, deadline: &Deadline) -> Result<Self, GitError> {
        loop {
            deadline.check()?;
            if let Some(lock) = Self::try_alone(path)? {
                return Ok(lock);
            }
            thread::sleep(RETRY_INTERVAL);
        }
    }

    /// Takes the lock together with others of this kind; waits for a holder who is alone, which
    /// nobody is for longer than it takes to set up a directory.
    pub(crate) fn shared(path: &Path) -> Result<Self, GitError> {
        let file = open(path)?;
        file.lock_shared().map_err(|error| GitError::local(path, &error))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file releases too; a child process could have inherited it.
        let _released_by_close_otherwise = self.file.unlock();
    }
}

fn open(path: &Path) -> Result<File, GitError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| GitError::local(path, &error))
}
