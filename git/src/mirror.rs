//! A bare repository on this machine that holds the commits somebody asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lock::Lock;
use crate::{Deadline, GitError, Remote, fetch, object};

/// Packs after which a mirror starts anew: each fetched commit is one pack, and reading slows
/// down with their number.
const MAX_PACKS: usize = 256;

/// Bytes of packs after which a mirror starts anew: commits that nobody builds any more go with it.
const MAX_MIRROR_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Largest object that a fetch or a checkout unpacks into memory, in bytes; GitHub takes no larger
/// file, and a pack of some kilobytes can hold one. What is read has smaller bounds.
const MAX_OBJECT_BYTES: u64 = 100 * 1024 * 1024;

/// The repository inside a mirror's directory.
const REPOSITORY: &str = "repository.git";
/// Held shared while a mirror is in use, alone while it is set up.
const USE_LOCK: &str = "use.lock";
/// Held by the one who fetches.
const FETCH_LOCK: &str = "fetch.lock";
/// Left by the one who found an object that cannot be unpacked, for the next who opens the mirror.
const DAMAGED: &str = "damaged";

/// A bare repository that holds single commits, without their history.
///
/// A mirror is a cache: whatever is wrong with it, it starts anew. Open one for each piece of
/// work; several may be open at once, in this process or in others.
#[derive(Debug, Clone)]
pub struct Mirror {
    directory: PathBuf,
    _in_use: Arc<Lock>,
}

impl Mirror {
    /// Opens the mirror in `directory`, which is made when absent. What a killed process left
    /// half done is put right.
    ///
    /// # Errors
    /// [`GitError::Local`] when the directory cannot be written.
    pub fn open(directory: &Path) -> Result<Self, GitError> {
        std::fs::create_dir_all(directory).map_err(|e| GitError::local(directory, &e))?;
        let use_lock = directory.join(USE_LOCK);
        let repository = directory.join(REPOSITORY);
        if let Some(_alone) = Lock::try_alone(&use_lock)?
            && (is_marked(directory)
                || open_repository(&repository).is_err()
                || is_full(&repository))
        {
            start_anew(&repository)?;
            let _absent_unless_damaged = std::fs::remove_file(directory.join(DAMAGED));
        }
        let mirror =
            Self { directory: directory.to_owned(), _in_use: Arc::new(Lock::shared(&use_lock)?) };
        mirror.repository()?;
        Ok(mirror)
    }

    /// Whether this commit and its files are here, so that [`Mirror::fetch_commit`] asks nobody.
    ///
    /// # Errors
    /// [`GitError::Invalid`] for what is no commit's id; else see [`GitError`].
    pub fn has_commit(&self, commit: &str, deadline: &Deadline) -> Result<bool, GitError> {
        self.holds(fetch::object_id(commit)?, commit, deadline)
    }

    /// Makes sure that exactly this commit and its files are here, without history. The network
    /// is not asked when they are.
    ///
    /// The commit is asked for by id. A server that refuses this is asked for `ref_name`, which
    /// must then lead to the commit.
    ///
    /// # Errors
    /// [`GitError::CommitGone`] when the server has not got the commit any more,
    /// [`GitError::Local`] when the mirror is damaged, which starts anew at the next
    /// [`Mirror::open`]; else see [`GitError`].
    pub fn fetch_commit(
        &self,
        remote: &Remote,
        commit: &str,
        ref_name: Option<&str>,
        deadline: &Deadline,
    ) -> Result<(), GitError> {
        let id = fetch::object_id(commit)?;
        if self.holds(id, commit, deadline)? {
            return Ok(());
        }
        let _one_at_a_time = Lock::alone(&self.directory.join(FETCH_LOCK), deadline)?;
        if self.holds(id, commit, deadline)? {
            return Ok(());
        }
        remove_leftovers(&self.directory.join(REPOSITORY));
        let repository = self.repository()?;
        fetch::commit(&repository, remote, id, ref_name, deadline)?;
        if self.holds(id, commit, deadline)? {
            return Ok(());
        }
        // The server has sent all of it, and what was here before stands in front of that.
        mark_damaged(&repository);
        Err(GitError::Local(format!(
            "{commit} was fetched and is not in the mirror, which is damaged"
        )))
    }

    /// The repository, opened afresh so that packs of others are seen and no limit of open packs
    /// is met.
    pub(crate) fn repository(&self) -> Result<gix::Repository, GitError> {
        let path = self.directory.join(REPOSITORY);
        open_repository(&path)
            .map_err(|error| GitError::of_objects(&path.display().to_string(), &error))
    }

    /// Whether the commit is here together with all of its trees and files.
    fn holds(
        &self,
        id: gix::ObjectId,
        commit: &str,
        deadline: &Deadline,
    ) -> Result<bool, GitError> {
        let repository = self.repository()?;
        let Some(found) = object::try_commit(&repository, id, commit)? else { return Ok(false) };
        let root = found.tree_id().map_err(|e| GitError::of_objects(commit, &e))?;
        let mut pending = vec![root.detach()];
        let mut seen = std::collections::HashSet::new();
        while let Some(id) = pending.pop() {
            deadline.check()?;
            let Some(tree) = object::try_tree(&repository, id, commit)? else { return Ok(false) };
            for entry in tree.iter() {
                let entry = entry.map_err(|e| GitError::of_objects("tree", &e))?;
                let id = entry.object_id();
                if entry.mode().is_commit() || !seen.insert(id) {
                    continue;
                }
                if entry.mode().is_tree() {
                    pending.push(id);
                } else if !repository.has_object(id) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// An error of unpacking an object that is there: no server sent it so, for what comes is checked.
/// The mirror is marked, and starts anew at the next opening.
pub(crate) fn damaged(repository: &gix::Repository, what: &str, error: &gix::Error) -> GitError {
    let told = GitError::of_objects(what, error);
    if matches!(told, GitError::TooLarge(_) | GitError::NotFound(_)) || is_of_the_system(error) {
        return told;
    }
    mark_damaged(repository);
    GitError::Local(format!("the mirror is damaged: {told}"))
}

/// Whether the system refused something, as it does when too many files are open: that says nothing
/// of what is in them.
fn is_of_the_system(error: &gix::Error) -> bool {
    let is_refused = |level: &std::io::Error| level.raw_os_error().is_some();
    error.iter_errors().any(|level| level.downcast_ref().is_some_and(is_refused))
}

fn mark_damaged(repository: &gix::Repository) {
    let Some(directory) = repository.git_dir().parent() else { return };
    let mark = directory.join(DAMAGED);
    match std::fs::write(&mark, "") {
        Ok(()) => tracing::warn!(mirror = %directory.display(), "mirror is damaged"),
        Err(error) => {
            tracing::warn!(path = %mark.display(), %error, "cannot mark a damaged mirror");
        }
    }
}

fn is_marked(directory: &Path) -> bool {
    directory.join(DAMAGED).exists()
}

/// Opens without any configuration but the repository's own, which this crate wrote.
fn open_repository(path: &Path) -> gix::Result<gix::Repository> {
    let options = gix::open::Options::isolated().open_path_as_is(true).config_overrides([
        format!("gitoxide.objects.allocLimit={MAX_OBJECT_BYTES}"),
        "gitoxide.userAgent=strata".to_owned(),
        "pack.threads=2".to_owned(),
    ]);
    Ok(options.open(path)?.to_thread_local())
}

fn start_anew(path: &Path) -> Result<(), GitError> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => tracing::info!(mirror = %path.display(), "mirror starts anew"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(GitError::local(path, &error)),
    }
    gix::ThreadSafeRepository::init_opts(
        path,
        gix::create::Kind::Bare,
        gix::create::Options::default(),
        gix::open::Options::isolated(),
    )
    .map_err(|error| GitError::of_objects(&path.display().to_string(), &error))?;
    Ok(())
}

/// Whether it holds more packs, or bytes of them, than a mirror is worth.
fn is_full(repository: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(repository.join("objects/pack")) else { return false };
    let (mut packs, mut bytes) = (0, 0_u64);
    for entry in entries.flatten() {
        packs += usize::from(entry.path().extension().is_some_and(|e| e == "idx"));
        bytes = bytes.saturating_add(entry.metadata().map_or(0, |meta| meta.len()));
    }
    packs > MAX_PACKS || bytes > MAX_MIRROR_BYTES
}

/// Removes what a killed fetch left. Only for the holder of the fetch lock, because of whom no
/// file of these kinds can be in use.
fn remove_leftovers(repository: &Path) {
    let _absent_unless_killed = std::fs::remove_file(repository.join("shallow.lock"));
    let Ok(entries) = std::fs::read_dir(repository.join("objects/pack")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A `.keep` file guards against a garbage collection that never runs here.
        if name.starts_with(".tmp") || name.starts_with("tmp_") || name.ends_with(".keep") {
            let path = entry.path();
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a leftover");
            }
        }
    }
}
