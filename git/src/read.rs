//! Reading what a mirror holds: files, directories, differences, commits.

use gix::bstr::ByteSlice;
use gix::object::tree::EntryKind as GitKind;

use crate::{GitError, Mirror, object};

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
    /// that is not relative and plain, [`GitError::TooLarge`] for a commit of more than 1 MiB and
    /// a directory of more than 16 MiB.
    pub fn read_file(&self, commit: &str, path: &str, max_bytes: u64) -> Result<FileAt, GitError> {
        let repository = self.repository()?;
        let tree = object::root_of(&repository, commit)?;
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
        Ok(match object::blob(&repository, id, path, max_bytes)? {
            Ok(bytes) => FileAt::Blob { id: id.to_string(), bytes },
            Err(bytes) => FileAt::TooLarge { bytes },
        })
    }

    /// Lists a directory at a commit; `""` is the root. Empty when there is no such directory.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when the commit was not fetched, [`GitError::TooLarge`] for more
    /// than 20 000 entries.
    pub fn list(&self, commit: &str, directory: &str) -> Result<Vec<Entry>, GitError> {
        let repository = self.repository()?;
        let mut tree = object::root_of(&repository, commit)?;
        let unreadable = |e| GitError::of_objects(directory, &e);
        if !directory.is_empty() {
            let parts = parts_of(directory)?;
            let found = tree.lookup_entry(parts).map_err(unreadable)?;
            let Some(entry) = found.filter(|entry| entry.mode().is_tree()) else {
                return Ok(Vec::new());
            };
            tree = object::tree(&repository, entry.object_id(), directory)?;
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

    /// The parents of a commit, the first one first; they need not have been fetched.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when it was not fetched, [`GitError::Invalid`] when it is malformed.
    pub fn parents_of(&self, commit: &str) -> Result<Vec<String>, GitError> {
        let repository = self.repository()?;
        let unreadable = |e| GitError::of_objects(commit, &e);
        let found = object::commit(&repository, commit)?;
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
        let commit = object::commit(&repository, commit)?;
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
