//! Blobs and unpacked layers on disk, by digest, shared by all builds of a machine.
//!
//! ```text
//! blobs/sha256/<hex>    as registries keep them, verified
//! layers/<hex>/         unpacked, by the digest of the uncompressed layer; owners are shifted
//! sizes/<hex>           the length of that layer's tar in bytes, as digits; its last use is its time
//! steps/<hex>/<hex>     what steps of earlier builds made, by whose they are and by their inputs
//! locks/<hex>           held while a layer is unpacked
//! caches/<hex>/         what `RUN --mount=type=cache` keeps, by scope and id
//! unsettled/<boot>/     a mark for each blob and layer that may not be on the disk yet
//! users/<name>          one file for each who uses the store, locked as long as it does
//! work/<name>/          one directory a build; its lock is held as long as the build lives
//! ```
//! Everything is made under `work/` and moved into place whole, so that a build that is killed
//! leaves nothing but its directory, which the next [`Store::open`] takes away. What nobody used
//! for long goes by [`Store::prune`].

mod hold;
mod prune;
mod settle;
mod steps;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{FlockOperation, IFlags, Mode, OFlags};
use tempfile::{NamedTempFile, TempDir};
use workflows::image::Digest;

use crate::error::{BuildError, Doing};

pub(crate) use hold::Hold;
pub use prune::{DEFAULT_STORE_AGE, DEFAULT_STORE_BYTES, Pruned, StoreBounds};
use settle::Marked;

/// How long nobody writes to a half-made blob before it is taken for abandoned; far longer
/// than a registry may stay silent.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// The directory of blobs and layers.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// The name of this start of the machine.
    boot: String,
    /// Since when this process has kept things that it has not asked the disk for.
    unsettled_since: Arc<Mutex<Option<Instant>>>,
}

/// A build's own directory; gone when dropped, or when the next store is opened.
#[derive(Debug)]
pub(crate) struct Work {
    dir: TempDir,
    _lock: File,
}

impl Work {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Asks the file system to place the directories in this one far from each other. ext4 does; there
/// a new file steps over each one near it that was deleted within the last minutes, which costs a
/// build of many small steps more than the steps. Others need not know of it.
fn spread(directory: &Path) {
    let spread = || -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        let known = rustix::fs::ioctl_getflags(&directory)?;
        rustix::fs::ioctl_setflags(&directory, known | IFlags::TOPDIR)
    };
    if let Err(error) = spread() {
        tracing::debug!(directory = %directory.display(), %error, "directories are not spread");
    }
}

impl Store {
    /// Opens the store in a directory that belongs to it alone, and takes away what killed
    /// builds left there, and what may have been damaged when the machine stopped.
    ///
    /// # Errors
    /// [`BuildError::Io`] when the directory cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, BuildError> {
        let (boot, unsettled_since) = (settle::boot(), Arc::default());
        let store = Self { root: root.to_owned(), boot, unsettled_since };
        // Users of images pass through on their way to a root file system; they list nothing.
        for name in
            ["", "blobs/sha256", "layers", "sizes", "steps", "locks", "unsettled", "users", "work"]
        {
            let path = root.join(name);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(&path)
                .and_then(|()| open_to_pass(&path))
                .doing(|| format!("cannot make {}", path.display()))?;
        }
        store.sweep().doing(|| format!("cannot clean {}", root.join("work").display()))?;
        store.begin_settled().doing(|| format!("cannot clean {}", root.display()))?;
        spread(&root.join("work"));
        Ok(store)
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(hex_of(digest))
    }

    /// Where a blob is, when [`Self::has_blob`] says so.
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blob(digest)
    }

    /// Whether a blob is here. It then counts as used now, and stays as long as a [`Hold`] that
    /// began before.
    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_length(digest).is_some()
    }

    /// The length of a blob that is here, in bytes; it counts as used, as with [`Self::has_blob`].
    pub(crate) fn blob_length(&self, digest: &Digest) -> Option<u64> {
        let path = self.blob(digest);
        let metadata = self.using(&path, || fs::metadata(&path));
        metadata.ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
    }

    /// A file that is to become a blob.
    pub(crate) fn new_file(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(self.root.join("work"))
    }

    /// Moves a file into place; the caller has verified it.
    pub(crate) fn keep_blob(&self, file: NamedTempFile, digest: &Digest) -> io::Result<()> {
        self.mark_unsettled(Marked::Blob, digest)?;
        file.persist(self.blob(digest)).map(drop).map_err(|error| error.error)
    }

    /// A blob of at most `max` bytes that is here and whole; it counts as used, as with
    /// [`Self::has_blob`].
    pub(crate) fn small_blob(&self, digest: &Digest, max: usize) -> Option<Bytes> {
        let length = self.blob_length(digest)?;
        let bytes = (length <= max as u64).then(|| fs::read(self.blob(digest)).ok())??;
        // A machine that lost its power may have kept less of it.
        (crate::digest::of(&bytes) == *digest).then(|| bytes.into())
    }

    /// Keeps a blob that is in memory, for whom to have it here is of use and not of need.
    pub(crate) fn keep_small_blob(&self, bytes: &[u8], digest: &Digest) {
        let keep = || {
            let mut file = self.new_file()?;
            io::Write::write_all(&mut file, bytes)?;
            self.keep_blob(file, digest)
        };
        if let Err(error) = keep() {
            tracing::warn!(blob.digest = %digest, %error, "the store does not keep a blob");
        }
    }

    /// Where a layer is unpacked, or will be.
    pub(crate) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(hex_of(diff_id))
    }

    /// Whether a layer is unpacked here; it counts as used, as with [`Self::has_blob`].
    pub(crate) fn has_layer(&self, diff_id: &Digest) -> bool {
        self.using(&self.size_path(diff_id), || self.layer_path(diff_id).is_dir())
    }

    /// The length of a layer's tar, where the layer is or was unpacked here.
    pub(crate) fn layer_size(&self, diff_id: &Digest) -> Option<u64> {
        fs::read_to_string(self.size_path(diff_id)).ok()?.parse().ok()
    }

    fn size_path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("sizes").join(hex_of(diff_id))
    }

    /// Moves an unpacked layer into place. Another build may have been faster; both are the same.
    pub(crate) fn keep_layer(
        &self,
        dir: &Path,
        diff_id: &Digest,
        plain_size: u64,
    ) -> io::Result<()> {
        self.mark_unsettled(Marked::Layer, diff_id)?;
        let mut size = self.new_file()?;
        io::Write::write_all(&mut size, plain_size.to_string().as_bytes())?;
        size.persist(self.size_path(diff_id)).map_err(|error| error.error)?;
        match fs::rename(dir, self.layer_path(diff_id)) {
            Err(_) if self.has_layer(diff_id) => Ok(()),
            moved => moved,
        }
    }

    /// Where commands keep caches from build to build; made when it is needed.
    pub(crate) fn caches(&self) -> PathBuf {
        self.root.join("caches")
    }

    /// Marks the cache whose lock that is as used now.
    pub(crate) fn use_cache(&self, lock: &Path) {
        self.using(lock, || ());
    }

    /// Waits until no other build unpacks this layer.
    pub(crate) fn lock_layer(&self, diff_id: &Digest) -> io::Result<File> {
        let lock = lock_file(&self.root.join("locks").join(hex_of(diff_id)))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        Ok(lock)
    }

    /// A new directory for a build.
    pub(crate) fn new_work(&self) -> io::Result<Work> {
        let dir = tempfile::Builder::new()
            .prefix("b")
            .permissions(fs::Permissions::from_mode(0o711))
            .tempdir_in(self.root.join("work"))?;
        let lock = lock_file(&dir.path().join("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Work { dir, _lock: lock })
    }

    /// Takes away the directories of builds that live no more. A build that is about to take its
    /// lock has an empty directory, which is left alone.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("work"))? {
            let path = entry?.path();
            if path.is_file() && age(&path)? > ABANDONED_AFTER {
                fs::remove_file(&path)?;
            }
            let Ok(lock) = File::open(path.join("lock")) else { continue };
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            tracing::info!(work = %path.display(), "taking away what a killed build left");
            if crate::confine::kill_leftovers(&path) {
                fs::remove_dir_all(&path)?;
            } else {
                tracing::warn!(work = %path.display(), "a command of a killed build lives on");
            }
        }
        Ok(())
    }
}

/// Lets everybody pass through a directory, whatever the mask that it was made under.
fn open_to_pass(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    match mode & 0o111 {
        0o111 => Ok(()),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777 | 0o111)),
    }
}

/// How long ago a file was written to; nothing when the clock went back.
fn age(path: &Path) -> io::Result<Duration> {
    Ok(fs::metadata(path)?.modified()?.elapsed().unwrap_or_default())
}

fn lock_file(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

fn hex_of(digest: &Digest) -> &str {
    digest.as_str().split_once(':').map_or(digest.as_str(), |(_, hex)| hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_a_dead_build_left_is_taken_away_and_a_living_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let living = store.new_work().unwrap();
        let dead = dir.path().join("work/dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("lock"), "").unwrap();
        Store::open(dir.path()).unwrap();
        assert!(living.path().is_dir());
        assert!(!dead.exists());
    }

    #[test]
    fn a_blob_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = crate::digest::of(b"x");
        let mut file = store.new_file().unwrap();
        file.write_all(b"x").unwrap();
        assert!(!store.has_blob(&digest));
        store.keep_blob(file, &digest).unwrap();
        assert_eq!(fs::read(store.blob_path(&digest)).unwrap(), b"x");
    }

    #[test]
    fn a_small_blob_is_given_when_it_is_whole_and_small() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = crate::digest::of(b"config");
        assert_eq!(store.small_blob(&digest, 6), None);
        store.keep_small_blob(b"config", &digest);
        assert_eq!(store.small_blob(&digest, 6).as_deref(), Some(&b"config"[..]));
        assert_eq!(store.small_blob(&digest, 5), None);
        fs::write(store.blob_path(&digest), "").unwrap();
        assert_eq!(store.small_blob(&digest, 6), None, "lost with the machine's power");
    }
}
