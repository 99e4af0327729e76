//! The files of one commit in a directory, and nothing else.
//!
//! Every directory is made here and every file must be new, so that no entry of a hostile tree
//! can be written through a link that another entry of it made. Files are written as they were
//! committed: no attribute, filter or line ending rule applies.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gix::bstr::BStr;
use gix::object::tree::{EntryKind as GitKind, EntryMode};
use gix::validate::path::component;

use crate::{Deadline, GitError, Mirror, Remote, object};

/// Deepest directory that is written; deeper ones only serve to exhaust a stack or a path.
const MAX_DEPTH: usize = 64;
/// Longest target of a symbolic link, in bytes; Linux stops there too.
const MAX_LINK_BYTES: u64 = 4095;
/// Mode of a directory and of an executable file, whatever the umask is.
const MODE_EXECUTABLE: u32 = 0o755;
/// Mode of every other file, whatever the umask is.
const MODE_FILE: u32 = 0o644;

/// What a checkout may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckoutBounds {
    /// Files, links and directories together.
    pub max_entries: u64,
    /// Sum of the files' sizes, in bytes.
    pub max_bytes: u64,
}

impl Default for CheckoutBounds {
    /// 100 000 entries and 2 GiB: far above any dist-git repository, far below a full disk.
    fn default() -> Self {
        Self { max_entries: 100_000, max_bytes: 2 * 1024 * 1024 * 1024 }
    }
}

/// What a checkout wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checkout {
    /// Files, links and directories together.
    pub entries: u64,
    /// Sum of the files' sizes, in bytes.
    pub bytes: u64,
}

/// Fetches one commit and writes its files into `directory`, which must be empty or absent. The
/// objects are held in a temporary mirror beside it, which is gone afterwards.
///
/// # Errors
/// As [`Mirror::fetch_commit`] and [`Mirror::checkout`].
pub fn checkout(
    remote: &Remote,
    commit: &str,
    ref_name: Option<&str>,
    directory: &Path,
    bounds: CheckoutBounds,
    deadline: &Deadline,
) -> Result<Checkout, GitError> {
    let parent = directory.parent().unwrap_or(Path::new("/"));
    let scratch = tempfile::Builder::new()
        .prefix(".mirror-")
        .tempdir_in(parent)
        .map_err(|error| GitError::local(parent, &error))?;
    let mirror = Mirror::open(scratch.path())?;
    mirror.fetch_commit(remote, commit, ref_name, deadline)?;
    mirror.checkout(commit, directory, bounds, deadline)
}

impl Mirror {
    /// Writes the files of a commit that is here into `directory`, which must be empty or absent.
    /// A submodule becomes an empty directory. After an error the directory holds a part.
    ///
    /// # Errors
    /// [`GitError::Invalid`] for a tree with names that no checkout may have or a directory that
    /// is not empty, [`GitError::TooLarge`] above a bound, [`GitError::NotFound`] when the commit
    /// was not fetched.
    pub fn checkout(
        &self,
        commit: &str,
        directory: &Path,
        bounds: CheckoutBounds,
        deadline: &Deadline,
    ) -> Result<Checkout, GitError> {
        let repository = self.repository()?;
        let root = object::root_of(&repository, commit)?;
        fs::create_dir_all(directory).map_err(|error| GitError::local(directory, &error))?;
        let mut present =
            fs::read_dir(directory).map_err(|error| GitError::local(directory, &error))?;
        if present.next().is_some() {
            return Err(GitError::Invalid(format!("{} is not empty", directory.display())));
        }
        let mut writer =
            Writer { repository: &repository, bounds, deadline, written: Checkout::default() };
        let mut pending = vec![(root.id, directory.to_owned(), 0)];
        while let Some((tree, path, depth)) = pending.pop() {
            if depth > MAX_DEPTH {
                return Err(GitError::TooLarge(format!("directories deeper than {MAX_DEPTH}")));
            }
            let below = writer.write_tree(tree, &path)?;
            pending.extend(below.into_iter().map(|(tree, path)| (tree, path, depth + 1)));
        }
        Ok(writer.written)
    }
}

struct Writer<'a> {
    repository: &'a gix::Repository,
    bounds: CheckoutBounds,
    deadline: &'a Deadline,
    written: Checkout,
}

impl Writer<'_> {
    /// Writes one directory's entries and returns the directories among them, made but empty.
    fn write_tree(
        &mut self,
        tree: gix::ObjectId,
        directory: &Path,
    ) -> Result<Vec<(gix::ObjectId, PathBuf)>, GitError> {
        let shown = directory.display().to_string();
        let unreadable = |e| GitError::of_objects(&shown, &e);
        let tree = object::tree(self.repository, tree, &shown)?;
        let mut below = Vec::new();
        for entry in tree.iter() {
            self.deadline.check()?;
            let entry = entry.map_err(unreadable)?;
            check_name(entry.filename(), entry.mode())?;
            self.count_entry()?;
            let path = directory.join(std::ffi::OsStr::from_bytes(entry.filename()));
            let id = entry.object_id();
            match entry.mode().kind() {
                GitKind::Tree => {
                    make_directory(&path)?;
                    below.push((id, path));
                }
                GitKind::Commit => make_directory(&path)?,
                GitKind::Link => self.write_link(id, &path)?,
                GitKind::Blob => self.write_file(id, &path, MODE_FILE)?,
                GitKind::BlobExecutable => self.write_file(id, &path, MODE_EXECUTABLE)?,
            }
        }
        Ok(below)
    }

    fn write_file(&mut self, id: gix::ObjectId, path: &Path, mode: u32) -> Result<(), GitError> {
        let content = self.blob(id, path, self.bounds.max_bytes - self.written.bytes)?;
        self.written.bytes += content.len() as u64;
        let failed = |error| GitError::local(path, &error);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .map_err(|error| taken_or_failed(path, &error))?;
        file.write_all(&content).map_err(failed)?;
        file.set_permissions(Permissions::from_mode(mode)).map_err(failed)
    }

    fn write_link(&mut self, id: gix::ObjectId, path: &Path) -> Result<(), GitError> {
        let target = self.blob(id, path, MAX_LINK_BYTES)?;
        if target.is_empty() || target.contains(&0) {
            return Err(GitError::Invalid(format!("{} links nowhere", path.display())));
        }
        symlink(std::ffi::OsStr::from_bytes(&target), path)
            .map_err(|error| taken_or_failed(path, &error))
    }

    fn blob(&self, id: gix::ObjectId, path: &Path, max: u64) -> Result<Vec<u8>, GitError> {
        let shown = path.display().to_string();
        object::blob(self.repository, id, &shown, max)?.map_err(|bytes| {
            GitError::TooLarge(format!("{shown} has {bytes} bytes where {max} are left"))
        })
    }

    fn count_entry(&mut self) -> Result<(), GitError> {
        self.written.entries += 1;
        if self.written.entries > self.bounds.max_entries {
            return Err(GitError::TooLarge(format!(
                "the commit has more than {} files",
                self.bounds.max_entries
            )));
        }
        Ok(())
    }
}

/// Refuses names that leave the directory or that git would take for its own.
fn check_name(name: &BStr, mode: EntryMode) -> Result<(), GitError> {
    let link = mode.is_link().then_some(component::Mode::Symlink);
    // Windows' devices and trailing dots are harmless here, and some repositories have them.
    let options =
        component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    match gix::validate::path::component(name, link, options) {
        Ok(_) => Ok(()),
        Err(error) => Err(GitError::Invalid(format!(
            "the commit holds an entry named `{}`: {error}",
            name.to_string().chars().take(80).flat_map(char::escape_debug).collect::<String>()
        ))),
    }
}

fn make_directory(path: &Path) -> Result<(), GitError> {
    fs::create_dir(path).map_err(|error| taken_or_failed(path, &error))?;
    fs::set_permissions(path, Permissions::from_mode(MODE_EXECUTABLE))
        .map_err(|error| GitError::local(path, &error))
}

/// A name that exists already means that the tree names it twice.
fn taken_or_failed(path: &Path, error: &std::io::Error) -> GitError {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            GitError::Invalid(format!("the commit holds {} twice", path.display()))
        }
        _ => GitError::local(path, error),
    }
}
