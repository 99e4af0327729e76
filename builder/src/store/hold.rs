//! Who uses the store, so that nothing goes that somebody uses.
//!
//! Whoever uses a blob or a layer marks it with the time of the use, and holds a file under
//! `users/` from before the first use to after the last. What was used since the oldest of them
//! began is never taken away. Marking and taking away exclude each other by a lock, which is held
//! for one thing at a time.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use tempfile::NamedTempFile;

use super::prune::remove_if_there;
use super::{Store, lock_file};

/// Says that somebody uses the store, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Hold {
    /// Locked, and gone with the value; the lock is gone with the process in any case.
    _file: NamedTempFile,
}

impl Store {
    /// Begins to use the store: what is marked as used from here on stays.
    pub(crate) fn hold(&self) -> io::Result<Hold> {
        let _shared = self.guard(FlockOperation::LockShared)?;
        let file = NamedTempFile::new_in(self.root.join("users"))?;
        rustix::fs::flock(file.as_file(), FlockOperation::NonBlockingLockExclusive)?;
        Ok(Hold { _file: file })
    }

    /// Since when the store has been in use without a break; `None` when nobody uses it. What
    /// killed builds left is taken away. The caller has the guard for itself alone.
    pub(super) fn in_use_since(&self) -> io::Result<Option<SystemTime>> {
        let mut since: Option<SystemTime> = None;
        for entry in fs::read_dir(self.root.join("users"))? {
            let path = entry?.path();
            let Ok(file) = File::open(&path) else { continue };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Its owner may be the one who takes it away just now.
                Ok(()) => remove_if_there(&path)?,
                Err(_) => {
                    let began = file.metadata()?.modified()?;
                    since = Some(since.map_or(began, |since| since.min(began)));
                }
            }
        }
        Ok(since)
    }

    /// Keeps others from taking away (shared), or from using what is about to go (exclusive).
    pub(super) fn guard(&self, how: FlockOperation) -> io::Result<File> {
        let lock = lock_file(&self.root.join("locks/guard"))?;
        rustix::fs::flock(&lock, how)?;
        Ok(lock)
    }

    /// Marks a thing as used now and then looks whether it is there: from then on it stays.
    pub(super) fn using<T>(&self, mark: &Path, look: impl FnOnce() -> T) -> T {
        let guard = self.guard(FlockOperation::LockShared);
        if let Err(error) = &guard {
            // Nothing of this store can be written either, which is told where it is tried.
            tracing::debug!(%error, "the store's guard cannot be had");
        }
        mark_used(mark);
        look()
    }
}

/// Marks a thing as used now. One that is not there needs no mark.
pub(super) fn mark_used(mark: &Path) {
    let _ = File::open(mark).and_then(|file| file.set_modified(SystemTime::now()));
}
