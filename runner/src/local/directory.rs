//! The directory of a run on this machine, and those that runs left which were killed.
//!
//! A run holds a lock on its directory for as long as it lives; the kernel drops it with the
//! process. So whoever gets the lock of another's directory knows that nobody comes back for what
//! that run has made, and finds it by the owner that the directory is named after.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// How the name of such a directory begins; its owner follows.
const PREFIX: &str = "strata-run-";
/// The same, of one that is not locked yet.
const NEW: &str = ".strata-run-new-";

/// A directory that is ours until this is dropped, which removes it.
pub(super) struct RunDirectory {
    path: PathBuf,
    owner: String,
    _lock: File,
}

impl RunDirectory {
    /// Makes one below `parent`, for a new owner.
    pub(super) fn make(parent: &Path) -> io::Result<Self> {
        let owner = Uuid::new_v4().to_string();
        let new = parent.join(format!("{NEW}{owner}"));
        std::fs::create_dir(&new)?;
        // The users of images pass through it.
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o711))?;
        let lock = File::open(&new)?;
        lock.try_lock()?;
        // Under the name that others look for it is never seen without its lock.
        let path = parent.join(format!("{PREFIX}{owner}"));
        std::fs::rename(&new, &path)?;
        Ok(Self { path, owner, _lock: lock })
    }

    /// Those below `parent` whose runs were killed. They are ours now.
    pub(super) fn left(parent: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        entries.filter_map(|entry| Self::taken_over(&entry.path())).collect()
    }

    fn taken_over(path: &Path) -> Option<Self> {
        let owner = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
        let owner = Uuid::parse_str(owner).ok()?.to_string();
        // What others have named so says nothing about what is ours.
        let metadata = std::fs::symlink_metadata(path).ok()?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return None;
        }
        let lock = File::open(path).ok()?;
        lock.try_lock().ok()?;
        Some(Self { path: path.to_owned(), owner, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whose label everything of the run bears.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove a directory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_left() {
        let parent = tempfile::tempdir().unwrap();
        let live = RunDirectory::make(parent.path()).unwrap();
        let dead = Uuid::new_v4().to_string();
        std::fs::create_dir_all(parent.path().join(format!("{PREFIX}{dead}/workspaces"))).unwrap();
        for other in ["strata-run-notes", "strata-tmp", ".strata-run-new-x"] {
            std::fs::create_dir(parent.path().join(other)).unwrap();
        }
        std::os::unix::fs::symlink("/", parent.path().join(format!("{PREFIX}{}", Uuid::nil())))
            .unwrap();

        let left = RunDirectory::left(parent.path());

        let owners: Vec<&str> = left.iter().map(RunDirectory::owner).collect();
        assert_eq!(owners, [dead.as_str()]);
        assert!(RunDirectory::left(parent.path()).is_empty(), "they are taken");
        let (of_live, of_dead) = (live.path().to_owned(), left[0].path().to_owned());
        drop((left, live));
        assert!(!of_live.exists() && !of_dead.exists());
    }
}
