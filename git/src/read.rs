//! Reading what a mirror holds: files, directories, differences, commits.

use gix::bstr::ByteSlice;
use gix::object::tree::EntryKind as GitKind;
use gix::object::tree::diff::Change;

use crate::{GitError, Mirror, fetch};

/// Longest directory that is listed, in entries.
const MAX_ENTRIES: usize = 20_000;
/// Longest commit message that is returned, in bytes; the rest is cut.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Longest author that is returned, in bytes; the rest is cut.
const MAX_AUTHOR_BYTES: usize = 512;

/// What stands at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAt {
    /// A file.
    Blob {
        /// The blob's id, in hexadecimal digits.
        id: String,
        /// The content.
        bytes: Vec<u8>,
    },
    /// A symbolic link, which is not followed.
    Symlink,
    /// A directory.
    Directory,
    /// Another repository's commit.
    Submodule,
    /// Nothing.
    Missing,
    /// A file above the caller's bound.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
}

/// Kinds of directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A file with the executable bit.
    Executable,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// Another repository's commit.
    Submodule,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// The object's id, in hexadecimal digits.
    pub id: String,
}

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// When it was committed, in seconds since the epoch.
    pub time: i64,
    /// `Name <address>`.
    pub author: String,
    /// The whole message, at most 64 KiB.
    pub message: String,
}

impl Mirror {
    /// Reads one file at a commit, if it has at most `max_bytes`.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when the commit was not fetched, [`GitError::Invalid`] for a path
    /// that is not relative and plain.
    pub fn read_file(&self, commit: &str, path: &str, max_bytes: u64) -> Result<FileAt, GitError> {
        let repository = self.repository()?;
        let tree = tree_of(&repository, commit)?;
        let parts = parts_of(path)?;
        let unreadable = |e| GitError::of_objects(path, &e);
        let Some(entry) = tree.lookup_entry(parts).map_err(unreadable)? else {
            return Ok(FileAt::Missing);
        };
        match entry.mode().kind() {
            GitKind::Tree => return Ok(FileAt::Directory),
            GitKind::Link => return Ok(FileAt::Symlink),
            GitKind::Commit => return Ok(FileAt::Submodule),
            GitKind::Blob | GitKind::BlobExecutable => {}
        }
        let id = entry.object_id();
        let bytes = repository.find_header(id).map_err(unreadable)?.size();
        if bytes > max_bytes {
            return Ok(FileAt::TooLarge { bytes });
        }
        let mut blob = repository.find_blob(id).map_err(unreadable)?;
        Ok(FileAt::Blob { id: id.to_string(), bytes: blob.take_data() })
    }

    /// Lists a directory at a commit; `""` is the root. Empty when there is no such directory.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when the commit was not fetched, [`GitError::TooLarge`] for more
    /// than 20 000 entries.
    pub fn list(&self, commit: &str, directory: &str) -> Result<Vec<Entry>, GitError> {
        let repository = self.repository()?;
        let mut tree = tree_of(&repository, commit)?;
        let unreadable = |e| GitError::of_objects(directory, &e);
        if !directory.is_empty() {
            let parts = parts_of(directory)?;
            let found = tree.lookup_entry(parts).map_err(unreadable)?;
            let Some(entry) = found.filter(|entry| entry.mode().is_tree()) else {
                return Ok(Vec::new());
            };
            tree = repository.find_tree(entry.object_id()).map_err(unreadable)?;
        }
        let mut entries = Vec::new();
        for entry in tree.iter() {
            if entries.len() == MAX_ENTRIES {
                return Err(GitError::TooLarge(format!(
                    "directory `{directory}` has more than {MAX_ENTRIES} entries"
                )));
            }
            let entry = entry.map_err(unreadable)?;
            entries.push(Entry {
                name: entry.filename().to_str_lossy().into_owned(),
                kind: kind_of(entry.mode().kind()),
                id: entry.object_id().to_string(),
            });
        }
        Ok(entries)
    }

    /// The paths of files that differ between two commits, both of which must be here. A renamed
    /// file counts with both names.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] when there are more than `max`, [`GitError::NotFound`] when a
    /// commit was not fetched.
    pub fn changed_paths(
        &self,
        before: &str,
        after: &str,
        max: usize,
    ) -> Result<Vec<String>, GitError> {
        let repository = self.repository()?;
        let old = tree_of(&repository, before)?;
        let new = tree_of(&repository, after)?;
        let unreadable = |e| GitError::of_objects("difference of two commits", &e);
        let mut paths = Vec::new();
        let mut too_many = false;
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
                if mode.is_tree() {
                    return Ok(std::ops::ControlFlow::Continue(()));
                }
                too_many = paths.len() == max;
                if too_many {
                    return Ok(std::ops::ControlFlow::Break(()));
                }
                paths.push(location.to_str_lossy().into_owned());
                Ok(std::ops::ControlFlow::Continue(()))
            });
        // Stopping early is an error to the library, too.
        if too_many {
            return Err(GitError::TooLarge(format!("more than {max} files changed")));
        }
        outcome.map_err(unreadable)?;
        paths.sort_unstable();
        paths.dedup();
        Ok(paths)
    }

    /// The parents of a commit, the first one first; they need not have been fetched.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when it was not fetched, [`GitError::Invalid`] when it is malformed.
    pub fn parents_of(&self, commit: &str) -> Result<Vec<String>, GitError> {
        let repository = self.repository()?;
        let unreadable = |e| GitError::of_objects(commit, &e);
        let object = repository.find_object(fetch::object_id(commit)?).map_err(unreadable)?;
        let found = object.peel_to_commit().map_err(unreadable)?;
        let decoded = found.decode().map_err(unreadable)?;
        Ok(decoded.parents().map(|id| id.to_string()).collect())
    }

    /// Time, author and message of a commit.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when it was not fetched, [`GitError::Invalid`] when it is malformed.
    pub fn commit_facts(&self, commit: &str) -> Result<CommitFacts, GitError> {
        let repository = self.repository()?;
        let unreadable = |e| GitError::of_objects(commit, &e);
        let id = fetch::object_id(commit)?;
        let object = repository.find_object(id).map_err(unreadable)?;
        let commit = object.peel_to_commit().map_err(unreadable)?;
        let author = commit.author().map_err(unreadable)?;
        let author = format!("{} <{}>", author.name.to_str_lossy(), author.email.to_str_lossy());
        let message = commit.message_raw().map_err(unreadable)?;
        Ok(CommitFacts {
            time: commit.time().map_err(unreadable)?.seconds,
            author: cut(author.as_bytes(), MAX_AUTHOR_BYTES),
            message: cut(message, MAX_MESSAGE_BYTES),
        })
    }
}

/// The id that git gives to a file of this content, in hexadecimal digits. Empty for content that
/// was crafted to share its SHA-1 with another.
#[must_use]
pub fn blob_id(content: &[u8]) -> String {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, content)
        .map(|id| id.to_string())
        .unwrap_or_default()
}

/// The root tree of a commit or of an annotated tag.
pub(crate) fn tree_of<'r>(
    repository: &'r gix::Repository,
    commit: &str,
) -> Result<gix::Tree<'r>, GitError> {
    let id = fetch::object_id(commit)?;
    let unreadable = |e| GitError::of_objects(commit, &e);
    repository.find_object(id).map_err(unreadable)?.peel_to_tree().map_err(unreadable)
}

fn parts_of(path: &str) -> Result<Vec<&[u8]>, GitError> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if path.split('/').all(plain) {
        return Ok(path.split('/').map(str::as_bytes).collect());
    }
    let shown: String = path.chars().take(80).flat_map(char::escape_debug).collect();
    Err(GitError::Invalid(format!("path `{shown}` must be relative, without `.` and `..`")))
}

fn kind_of(kind: GitKind) -> EntryKind {
    match kind {
        GitKind::Blob => EntryKind::File,
        GitKind::BlobExecutable => EntryKind::Executable,
        GitKind::Link => EntryKind::Symlink,
        GitKind::Tree => EntryKind::Directory,
        GitKind::Commit => EntryKind::Submodule,
    }
}

fn cut(bytes: &[u8], max: usize) -> String {
    bytes[..bytes.len().min(max)].to_str_lossy().into_owned()
}
