//! What goes from the store when it is too old or there is too much of it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::steps::MAX_ENTRY_BYTES;
use super::{Store, Work, lock_file};
use crate::cache::Entry;
use crate::error::{BuildError, Doing};

/// Most bytes that a store keeps unless it is told otherwise.
pub const DEFAULT_STORE_BYTES: u64 = 20 << 30;
/// How long a store keeps what nobody uses unless it is told otherwise.
pub const DEFAULT_STORE_AGE: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often [`Store::prune_when_due`] looks.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Directories of one cache that are followed downwards when it is measured.
const MAX_DEPTH: usize = 128;

/// How much a store keeps when nobody uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreBounds {
    /// Blobs, unpacked layers and caches of commands together, in bytes.
    pub bytes: u64,
    /// How long something stays that is not used.
    pub age: Duration,
}

impl Default for StoreBounds {
    fn default() -> Self {
        Self { bytes: DEFAULT_STORE_BYTES, age: DEFAULT_STORE_AGE }
    }
}

/// What was taken away, and what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Blobs that went.
    pub blobs: usize,
    /// Unpacked layers that went.
    pub layers: usize,
    /// Caches of commands that went.
    pub caches: usize,
    /// Steps that are not known any more.
    pub steps: usize,
    /// Bytes that went.
    pub bytes: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// Something that may go.
struct Thing {
    kind: Kind,
    path: PathBuf,
    /// The file whose time tells of its last use.
    mark: PathBuf,
    used: SystemTime,
    bytes: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Blob,
    Layer,
    Cache,
}

impl Store {
    /// Takes away what is older than the bounds allow, then what was not used for longest until
    /// the rest is within them. What a build uses stays, whatever the bounds; builds may begin
    /// meanwhile. Where another process is at it already, nothing is done.
    ///
    /// # Errors
    /// [`BuildError::Io`] when the store cannot be read or something not be taken away.
    pub fn prune(&self, bounds: StoreBounds) -> Result<Pruned, BuildError> {
        self.try_prune(bounds).doing(|| format!("cannot clean up {}", self.root.display()))
    }

    /// As [`Self::prune`], unless that was done not long ago.
    ///
    /// # Errors
    /// [`BuildError::Io`], as of [`Self::prune`].
    pub fn prune_when_due(&self, bounds: StoreBounds) -> Result<Option<Pruned>, BuildError> {
        let last = fs::metadata(self.prune_mark()).and_then(|metadata| metadata.modified());
        let is_due = last.map_or(true, |last| older_than(last, PRUNE_EVERY));
        is_due.then(|| self.prune(bounds)).transpose()
    }

    fn prune_mark(&self) -> PathBuf {
        self.root.join("locks/prune")
    }

    fn try_prune(&self, bounds: StoreBounds) -> io::Result<Pruned> {
        let alone = lock_file(&self.prune_mark())?;
        if rustix::fs::flock(&alone, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(Pruned::default());
        }
        alone.set_modified(SystemTime::now())?;
        self.settle()?;
        let in_use_since = {
            let _guard = self.guard(FlockOperation::LockExclusive)?;
            self.in_use_since()?
        };
        let mut things = self.things()?;
        things.sort_by_key(|thing| thing.used);
        let mut pruned =
            Pruned { left: things.iter().map(|thing| thing.bytes).sum(), ..Pruned::default() };
        let trash = self.new_work()?;
        for thing in &things {
            let is_used = in_use_since.is_some_and(|since| thing.used >= since);
            let may_stay = pruned.left <= bounds.bytes && !older_than(thing.used, bounds.age);
            // All that follow were used later still.
            if is_used || may_stay {
                break;
            }
            if self.take_away(thing, &trash)? {
                pruned.left -= thing.bytes;
                pruned.bytes += thing.bytes;
                *match thing.kind {
                    Kind::Blob => &mut pruned.blobs,
                    Kind::Layer => &mut pruned.layers,
                    Kind::Cache => &mut pruned.caches,
                } += 1;
            }
        }
        pruned.steps = self.forget_steps(bounds.age)?;
        self.remove_old_locks(bounds.age)?;
        Ok(pruned)
    }

    /// Everything that takes room.
    fn things(&self) -> io::Result<Vec<Thing>> {
        let mut things = Vec::new();
        for path in paths_in(&self.root.join("blobs/sha256"))? {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let (used, bytes) = (metadata.modified()?, metadata.len());
            things.push(Thing { kind: Kind::Blob, mark: path.clone(), path, used, bytes });
        }
        for path in paths_in(&self.root.join("layers"))? {
            let mark = self.root.join("sizes").join(path.file_name().unwrap_or_default());
            let bytes = fs::read_to_string(&mark).ok().and_then(|text| text.parse().ok());
            things.push(Thing {
                kind: Kind::Layer,
                used: last_use(&mark),
                bytes: bytes.unwrap_or(0),
                path,
                mark,
            });
        }
        for path in paths_in(&self.caches())? {
            // Beside each cache is its lock.
            if path.extension().is_some() {
                continue;
            }
            let mark = path.with_extension("lock");
            let bytes = size_of(&path, 0);
            things.push(Thing { kind: Kind::Cache, used: last_use(&mark), bytes, path, mark });
        }
        Ok(things)
    }

    /// Moves a thing out of reach and removes it, unless somebody has used it since it was looked
    /// at.
    fn take_away(&self, thing: &Thing, trash: &Work) -> io::Result<bool> {
        let to = trash.path().join("gone");
        {
            let _guard = self.guard(FlockOperation::LockExclusive)?;
            if last_use(&thing.mark) != thing.used || !thing.path.exists() {
                return Ok(false);
            }
            fs::rename(&thing.path, &to)?;
            // A blob is its own mark and is gone with it; a cache's lock may be held.
            if matches!(thing.kind, Kind::Layer) {
                remove_if_there(&thing.mark)?;
            }
        }
        match thing.kind {
            Kind::Blob => fs::remove_file(&to)?,
            Kind::Layer | Kind::Cache => fs::remove_dir_all(&to)?,
        }
        Ok(true)
    }

    /// Forgets steps that nobody asked for in that time, and those whose layer is gone.
    fn forget_steps(&self, age: Duration) -> io::Result<usize> {
        let mut forgotten = 0;
        for domain in paths_in(&self.root.join("steps"))? {
            for path in paths_in(&domain)? {
                if older_than(last_use(&path), age) || !self.is_whole(&path) {
                    remove_if_there(&path)?;
                    forgotten += 1;
                }
            }
            // One that is not empty stays, and one that somebody fills just now is made again.
            let _ = fs::remove_dir(&domain);
        }
        Ok(forgotten)
    }

    fn is_whole(&self, step: &Path) -> bool {
        let mut text = Vec::new();
        let read = File::open(step)
            .and_then(|file| file.take(MAX_ENTRY_BYTES).read_to_end(&mut text).map(drop));
        let entry: Option<Entry> = read.ok().and_then(|()| serde_json::from_slice(&text).ok());
        entry.is_some_and(|entry| {
            entry.layer.is_none_or(|layer| self.blob(&layer.blob.digest).is_file())
        })
    }

    /// Whoever holds the lock of a layer that is taken away here works on; two who unpack the same
    /// layer at once make the same.
    fn remove_old_locks(&self, age: Duration) -> io::Result<()> {
        for path in paths_in(&self.root.join("locks"))? {
            let is_layers = path.file_name().is_some_and(|name| name.len() == LAYER_NAME_LENGTH);
            if is_layers && older_than(last_use(&path), age) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }
}

/// Length of the names of layers: the digits of a SHA-256.
const LAYER_NAME_LENGTH: usize = 64;

/// What is in a directory; nothing when there is none.
pub(super) fn paths_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// When a thing was used last; long ago when nothing tells.
fn last_use(mark: &Path) -> SystemTime {
    fs::metadata(mark).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Whether a time lies that far back; not when the clock went back.
pub(super) fn older_than(time: SystemTime, age: Duration) -> bool {
    time.elapsed().is_ok_and(|elapsed| elapsed > age)
}

/// Bytes of the files below a directory; what cannot be read is not counted.
fn size_of(dir: &Path, depth: usize) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => size_of(&entry.path(), depth + 1),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use workflows::image::Digest;

    /// A blob that was used that long ago.
    fn blob(store: &Store, content: &[u8], ago: Duration) -> Digest {
        let digest = crate::digest::of(content);
        let mut file = store.new_file().unwrap();
        file.write_all(content).unwrap();
        store.keep_blob(file, &digest).unwrap();
        let file = File::open(store.blob_path(&digest)).unwrap();
        file.set_modified(SystemTime::now() - ago).unwrap();
        digest
    }

    fn bounds(bytes: u64, seconds: u64) -> StoreBounds {
        StoreBounds { bytes, age: Duration::from_secs(seconds) }
    }

    fn is_there(store: &Store, digest: &Digest) -> bool {
        store.blob_path(digest).is_file()
    }

    #[test]
    fn what_is_old_goes_and_then_what_was_not_used_for_longest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let ago = |seconds| Duration::from_secs(seconds);
        let old = blob(&store, b"old", ago(1000));
        let middle = blob(&store, b"middle", ago(20));
        let new = blob(&store, b"new", ago(10));
        let pruned = store.prune(bounds(1000, 500)).unwrap();
        assert_eq!((pruned.blobs, pruned.bytes, pruned.left), (1, 3, 9));
        assert!(!is_there(&store, &old));
        let pruned = store.prune(bounds(5, 500)).unwrap();
        assert_eq!((pruned.blobs, pruned.left), (1, 3));
        assert!(!is_there(&store, &middle) && is_there(&store, &new));
        // Whoever asks for it uses it.
        assert_eq!(store.blob_length(&new), Some(3));
        assert!(store.prune(bounds(5, 5)).unwrap().blobs == 0);
    }

    #[test]
    fn what_a_living_build_used_stays_and_what_it_did_not_use_goes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let day = Duration::from_secs(86_400);
        let (used, unused) = (blob(&store, b"used", day), blob(&store, b"unused", day));
        let hold = store.hold().unwrap();
        assert!(store.has_blob(&used));
        assert_eq!(store.prune(bounds(0, 0)).unwrap().blobs, 1);
        assert!(is_there(&store, &used) && !is_there(&store, &unused));
        drop(hold);
        assert_eq!(store.prune(bounds(0, 0)).unwrap().blobs, 1);
        assert!(!is_there(&store, &used));
    }

    #[test]
    fn the_hold_of_a_killed_build_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        fs::write(dir.path().join("users/killed"), "").unwrap();
        let digest = blob(&store, b"left", Duration::ZERO);
        assert_eq!(store.prune(bounds(0, 1000)).unwrap().blobs, 1);
        assert!(!is_there(&store, &digest) && !dir.path().join("users/killed").exists());
    }

    #[test]
    fn a_step_is_forgotten_with_its_layer() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = blob(&store, b"layer", Duration::ZERO);
        let layer = crate::cache::KeptLayer {
            diff_id: digest.clone(),
            blob: crate::registry::Descriptor {
                media_type: String::new(),
                digest: digest.clone(),
                size: 5,
                urls: Vec::new(),
            },
            plain_size: 5,
        };
        let (whole, empty) = (crate::digest::of(b"1"), crate::digest::of(b"2"));
        store.keep_step("d", &whole, &Entry { made: 1, layer: Some(layer) }).unwrap();
        store.keep_step("d", &empty, &Entry { made: 1, layer: None }).unwrap();
        assert!(store.step("d", &whole).is_some() && store.step("other", &whole).is_none());
        let pruned = store.prune(bounds(0, 1000)).unwrap();
        assert_eq!((pruned.blobs, pruned.steps), (1, 1));
        assert_eq!(store.step("d", &whole), None);
        assert!(store.step("d", &empty).is_some());
    }

    #[test]
    fn one_cleans_up_at_a_time_and_seldom() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = blob(&store, b"x", Duration::from_secs(100));
        let other = lock_file(&store.prune_mark()).unwrap();
        rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
        assert_eq!(store.prune(bounds(0, 0)).unwrap(), Pruned::default());
        drop(other);
        assert_eq!(store.prune_when_due(bounds(0, 0)).unwrap(), None, "the mark is new");
        let long_ago = SystemTime::now() - 2 * PRUNE_EVERY;
        lock_file(&store.prune_mark()).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(store.prune_when_due(bounds(0, 0)).unwrap().map(|pruned| pruned.blobs), Some(1));
        assert!(!is_there(&store, &digest));
    }
}
