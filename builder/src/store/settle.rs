//! What of the store is on the disk for certain.
//!
//! A file system may remember a name before the content behind it: after a loss of power a layer
//! could be there with empty files, and every build upon it would take them. Waiting for the disk
//! would cost a small build more than all that it does. So a blob or layer gets a mark before it
//! gets its name, below the name of this start of the machine (`unsettled/<boot>/`), and the marks
//! go once all that was there with them is on the disk. What an earlier start left marked may be
//! damaged: the next [`Store::open`] takes it away, and it is fetched or made again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::FlockOperation;
use workflows::image::Digest;

use super::prune::{older_than, paths_in, remove_if_there};
use super::{Store, hex_of};

/// How long things stay marked before somebody asks the disk for them; by then the system has
/// written most of them by itself.
const SETTLE_AFTER: Duration = Duration::from_secs(30);
/// Where Linux names this start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is marked, by the directory of the store that has it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Marked {
    Blob,
    Layer,
}

impl Marked {
    const ALL: [Self; 2] = [Self::Blob, Self::Layer];

    fn word(self) -> &'static str {
        match self {
            Self::Blob => "blob-",
            Self::Layer => "layer-",
        }
    }
}

/// The name of this start of the machine; one for all where nothing tells it.
pub(super) fn boot() -> String {
    let id = fs::read_to_string(BOOT_ID).unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    if id.is_empty() { "unknown".to_owned() } else { id }
}

impl Store {
    fn marks(&self) -> PathBuf {
        self.root.join("unsettled").join(&self.boot)
    }

    /// Marks what is about to get its name; all of its content was written.
    pub(super) fn mark_unsettled(&self, what: Marked, digest: &Digest) -> io::Result<()> {
        let prefix = format!("{}{}.", what.word(), hex_of(digest));
        // A name of its own for each: who settles takes away what was there when it began.
        let mark = tempfile::Builder::new().prefix(&prefix).tempfile_in(self.marks())?;
        mark.keep().map_err(|error| error.error)?;
        if self.is_time_to_settle() {
            self.settle_aside();
        }
        Ok(())
    }

    fn is_time_to_settle(&self) -> bool {
        let mut since = self.unsettled_since.lock().unwrap_or_else(|broken| broken.into_inner());
        let began = *since.get_or_insert_with(Instant::now);
        let is_due = began.elapsed() > SETTLE_AFTER;
        if is_due {
            *since = None;
        }
        is_due
    }

    /// Settles on a thread that nobody waits for.
    fn settle_aside(&self) {
        let store = self.clone();
        let settle = move || {
            if let Err(error) = store.settle() {
                tracing::warn!(%error, "the store does not know what of it is on the disk");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("settle".to_owned()).spawn(settle) {
            tracing::warn!(%error, "the store does not settle");
        }
    }

    /// Waits until all that is marked is on the disk.
    pub(super) fn settle(&self) -> io::Result<()> {
        let marks = paths_in(&self.marks())?;
        if marks.is_empty() {
            return Ok(());
        }
        rustix::fs::syncfs(File::open(&self.root)?)?;
        marks.iter().try_for_each(|mark| remove_if_there(mark))
    }

    /// Begins with what is on the disk for certain.
    pub(super) fn begin_settled(&self) -> io::Result<()> {
        fs::create_dir_all(self.marks())?;
        {
            // Whoever comes second finds no marks of earlier starts.
            let _guard = self.guard(FlockOperation::LockExclusive)?;
            for start in paths_in(&self.root.join("unsettled"))? {
                if start != self.marks() {
                    self.take_away_marked(&start)?;
                }
            }
        }
        let old = |mark: &PathBuf| older_than(changed(mark), SETTLE_AFTER);
        if paths_in(&self.marks())?.iter().any(old) {
            self.settle_aside();
        }
        Ok(())
    }

    fn take_away_marked(&self, start: &Path) -> io::Result<()> {
        let (trash, marks) = (self.new_work()?, paths_in(start)?);
        tracing::info!(
            marks = marks.len(),
            "taking away what may have been damaged when the machine stopped"
        );
        for mark in &marks {
            let name = mark.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            for what in Marked::ALL {
                let hex = name.strip_prefix(what.word()).and_then(|name| name.split_once('.'));
                let Some((hex, _)) = hex.filter(|(hex, _)| is_hex(hex)) else { continue };
                match what {
                    Marked::Blob => remove_if_there(&self.root.join("blobs/sha256").join(hex))?,
                    Marked::Layer => self.take_away_layer(hex, trash.path())?,
                }
            }
            remove_if_there(mark)?;
        }
        fs::remove_dir(start)
    }

    fn take_away_layer(&self, hex: &str, trash: &Path) -> io::Result<()> {
        let gone = trash.join(hex);
        match fs::rename(self.root.join("layers").join(hex), &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => {
                moved?;
                fs::remove_dir_all(&gone)?;
            }
        }
        remove_if_there(&self.root.join("sizes").join(hex))
    }

    /// Takes a blob away whose content is another than its name says, and tells whether it was.
    pub(crate) fn forget_damaged(&self, digest: &Digest) -> io::Result<bool> {
        let path = self.blob(digest);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let mut hashing = crate::digest::HashingWriter::new(io::sink());
        io::copy(&mut file, &mut hashing)?;
        let (_, found, _) = hashing.finish();
        if found == *digest {
            return Ok(false);
        }
        tracing::warn!(blob.digest = %digest, %found, "a damaged blob is taken away");
        remove_if_there(&path)?;
        Ok(true)
    }
}

fn is_hex(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn changed(path: &Path) -> SystemTime {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    changed.unwrap_or_else(|_| SystemTime::now())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn blob(store: &Store, content: &[u8]) -> Digest {
        let digest = crate::digest::of(content);
        let mut file = store.new_file().unwrap();
        file.write_all(content).unwrap();
        store.keep_blob(file, &digest).unwrap();
        digest
    }

    fn layer(store: &Store, name: &str) -> Digest {
        let work = store.new_work().unwrap();
        let dir = work.path().join("layer");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), name).unwrap();
        let digest = crate::digest::of(name.as_bytes());
        store.keep_layer(&dir, &digest, 4).unwrap();
        digest
    }

    /// The machine stops and starts again: what was this start is an earlier one.
    fn restart(store: &Store) -> Store {
        fs::rename(store.marks(), store.root.join("unsettled/earlier")).unwrap();
        Store::open(&store.root).unwrap()
    }

    #[test]
    fn what_was_not_on_the_disk_when_the_machine_stopped_is_not_taken_for_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (old_blob, old_layer) = (blob(&store, b"old"), layer(&store, "old layer"));
        store.settle().unwrap();
        let (new_blob, new_layer) = (blob(&store, b"new"), layer(&store, "new layer"));
        fs::write(store.layer_path(&new_layer).join("file"), "").unwrap();
        let store = restart(&store);
        assert!(store.has_blob(&old_blob) && store.has_layer(&old_layer));
        assert!(!store.has_blob(&new_blob) && !store.has_layer(&new_layer));
        assert_eq!(store.layer_size(&new_layer), None);
        assert!(!dir.path().join("unsettled/earlier").exists());
        assert_eq!(paths_in(&dir.path().join("work")).unwrap(), Vec::<PathBuf>::new());
        // It comes again, and another process of the same start leaves it.
        layer(&store, "new layer");
        assert!(Store::open(dir.path()).unwrap().has_layer(&new_layer));
    }

    #[test]
    fn a_store_settles_when_it_is_pruned() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = blob(&store, b"x");
        store.prune(crate::StoreBounds::default()).unwrap();
        assert!(restart(&store).has_blob(&digest));
    }

    #[test]
    fn a_damaged_blob_goes_and_a_whole_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = blob(&store, b"whole");
        assert!(!store.forget_damaged(&digest).unwrap() && store.has_blob(&digest));
        fs::write(store.blob_path(&digest), "who").unwrap();
        assert!(store.forget_damaged(&digest).unwrap() && !store.has_blob(&digest));
        assert!(!store.forget_damaged(&digest).unwrap());
    }
}
