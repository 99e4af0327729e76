//! Which paths differ between two commits.

use std::ops::ControlFlow;

use gix::bstr::{BStr, ByteSlice};
use gix::object::tree::diff::Change;

use crate::{GitError, Mirror, object};

/// Longest changed path, in bytes: no file of a longer one can be made on Linux.
const MAX_PATH_BYTES: usize = 4096;
/// Bytes of all changed paths, those of directories included. Directories share their content: some
/// hundred kilobytes of a pack name gigabytes of paths.
const MAX_CHANGED_PATH_BYTES: usize = 4 * 1024 * 1024;
/// Directories that differ, each of which is read: a tree of them alone needs no file to be endless.
const MAX_CHANGED_DIRECTORIES: usize = 100_000;

impl Mirror {
    /// The paths of files that differ between two commits, both of which must be here. A renamed
    /// file counts with both names.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] when there are more than `max`, or more than 100 000 directories of
    /// them, for a path of more than 4096 bytes and for more than 4 MiB of paths;
    /// [`GitError::NotFound`] when a commit was not fetched.
    pub fn changed_paths(
        &self,
        before: &str,
        after: &str,
        max: usize,
    ) -> Result<Vec<String>, GitError> {
        let repository = self.repository()?;
        let old = object::root_of(&repository, before)?;
        let new = object::root_of(&repository, after)?;
        let unreadable = |e| GitError::of_objects("difference of two commits", &e);
        let mut changed = Changed { max, ..Changed::default() };
        let mut too_large = None;
        let outcome = old
            .changes()
            .map_err(unreadable)?
            .options(|options| {
                options.track_path().track_rewrites(None);
            })
            .for_each_to_obtain_tree(&new, |change| {
                let (location, mode) = match &change {
                    Change::Addition { location, entry_mode, .. }
                    | Change::Deletion { location, entry_mode, .. }
                    | Change::Modification { location, entry_mode, .. }
                    | Change::Rewrite { location, entry_mode, .. } => (location, entry_mode),
                };
                too_large = changed.note(location, mode.is_tree()).err();
                Ok(match too_large {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                })
            });
        // Stopping early is an error to the library, too.
        if let Some(why) = too_large {
            return Err(GitError::TooLarge(why));
        }
        outcome.map_err(unreadable)?;
        changed.files.sort_unstable();
        changed.files.dedup();
        Ok(changed.files)
    }
}

/// What was found so far.
#[derive(Default)]
struct Changed {
    max: usize,
    files: Vec<String>,
    directories: usize,
    bytes: usize,
}

impl Changed {
    /// Takes note of one that differs; in words, which bound it passes.
    fn note(&mut self, location: &BStr, is_directory: bool) -> Result<(), String> {
        if location.len() > MAX_PATH_BYTES {
            return Err(format!("a changed path has more than {MAX_PATH_BYTES} bytes"));
        }
        self.bytes += location.len();
        if self.bytes > MAX_CHANGED_PATH_BYTES {
            return Err(format!("the changed paths have more than {MAX_CHANGED_PATH_BYTES} bytes"));
        }
        let max = self.max;
        if is_directory {
            self.directories += 1;
            if self.directories > MAX_CHANGED_DIRECTORIES {
                return Err(format!("more than {MAX_CHANGED_DIRECTORIES} directories changed"));
            }
            return Ok(());
        }
        if self.files.len() == max {
            return Err(format!("more than {max} files changed"));
        }
        self.files.push(location.to_str_lossy().into_owned());
        Ok(())
    }
}
