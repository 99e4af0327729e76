//! The runner's own copies of files, named by their checksums.
//!
//! A file gets its name only when it is whole, so a killed runner leaves nothing but a partial
//! file that the next start removes. Two jobs that need one file at once may both download it;
//! the second rename replaces the first with the same bytes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use workflows::lookaside::Source;

/// What the directory is called below the state directory.
const DIRECTORY: &str = "lookaside";
/// Downloads under way.
const PARTIAL: &str = "partial";
/// Whole files.
const FILES: &str = "files";

/// The files that this runner has.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    max_bytes: u64,
}

/// A whole file, open: it can be read to its end even when it is evicted meanwhile.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(super) file: File,
}

/// A download under way; goes when it is dropped.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// A handle to write to.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It is not there when it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

impl Cache {
    /// Opens the cache below a state directory that is this process's alone.
    pub(crate) fn open(state_dir: &Path, max_bytes: u64) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY);
        let partial = directory.join(PARTIAL);
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&partial)?;
        fs::create_dir_all(directory.join(FILES))?;
        let cache = Self { directory, max_bytes };
        cache.evict()?;
        Ok(cache)
    }

    /// The file of an entry, when it is here.
    pub(super) fn find(&self, source: &Source) -> Option<Kept> {
        let file = File::open(self.path(source)).ok()?;
        // Only the order of eviction hangs on it.
        let _ = file.set_modified(SystemTime::now());
        Some(Kept { file })
    }

    /// Begins a download.
    pub(super) fn begin(&self) -> io::Result<Partial> {
        let path = self.directory.join(PARTIAL).join(uuid::Uuid::new_v4().simple().to_string());
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Partial { path, file })
    }

    /// Keeps a download that was found to be the file of an entry.
    pub(super) fn keep(&self, partial: Partial, source: &Source) -> io::Result<Kept> {
        let file = File::open(&partial.path)?;
        fs::rename(&partial.path, self.path(source))?;
        self.evict()?;
        Ok(Kept { file })
    }

    /// Removes a file that is not what its name says.
    pub(super) fn forget(&self, source: &Source) {
        let path = self.path(source);
        tracing::warn!(path = %path.display(), "a cached file is spoilt; removing it");
        let _ = fs::remove_file(path);
    }

    /// The kind is part of the name: no md5 file ever stands for one with a better checksum.
    fn path(&self, source: &Source) -> PathBuf {
        let name = format!("{}-{}", source.hash_type.as_str(), source.hash);
        self.directory.join(FILES).join(name)
    }

    /// Removes what was not used for longest until the rest is within the bound.
    fn evict(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.directory.join(FILES))? {
            let entry = entry?;
            // Another job may have evicted it between the listing and now.
            let Ok(metadata) = entry.metadata() else { continue };
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in files {
            if bytes <= self.max_bytes {
                break;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => bytes = bytes.saturating_sub(length),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use workflows::lookaside::HashType;

    use super::*;

    fn source(digit: &str) -> Source {
        Source::new("f", HashType::Sha256, &digit.repeat(64)).unwrap()
    }

    fn keep(cache: &Cache, digit: &str, text: &str) -> Kept {
        let partial = cache.begin().unwrap();
        partial.file().unwrap().write_all(text.as_bytes()).unwrap();
        cache.keep(partial, &source(digit)).unwrap()
    }

    #[test]
    fn what_was_used_last_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 10).unwrap();
        for (age, digit) in [(20, "a"), (30, "b")] {
            let kept = keep(&cache, digit, "12345");
            kept.file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        assert!(cache.find(&source("b")).is_some());
        keep(&cache, "c", "12345");
        let found = ["a", "b", "c"].map(|digit| cache.find(&source(digit)).is_some());
        assert_eq!(found, [false, true, true]);
    }

    #[test]
    fn a_file_larger_than_the_cache_is_still_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 3).unwrap();
        let mut kept = keep(&cache, "a", "12345");
        assert!(cache.find(&source("a")).is_none());
        let mut text = String::new();
        kept.file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "12345");
    }

    #[test]
    fn a_killed_download_is_gone_with_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 10).unwrap();
        let partial = dir.path().join(DIRECTORY).join(PARTIAL);
        drop(cache.begin().unwrap());
        assert_eq!(fs::read_dir(&partial).unwrap().count(), 0);
        std::mem::forget(cache.begin().unwrap());
        keep(&cache, "a", "1");
        let cache = Cache::open(dir.path(), 10).unwrap();
        assert_eq!(fs::read_dir(&partial).unwrap().count(), 0);
        assert!(cache.find(&source("a")).is_some());
    }
}
