//! Deliveries that the bridge did not take yet, as files beside the repository.
//!
//! A file appears whole or not at all, and the disk has it before the pusher is told.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most kept deliveries; a bridge that is away for longer is told by the sweeper what it missed.
const MAX_KEPT: usize = 1000;
/// Largest kept delivery: a line of git and some names.
const MAX_KEPT_BYTES: u64 = 16 * 1024;
/// Age at which an unfinished file belongs to a hook that was killed.
const UNFINISHED_AGE: Duration = Duration::from_secs(3600);

const SUFFIX: &str = ".json";
const UNFINISHED: &str = ".new-";

#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("{MAX_KEPT} deliveries are kept in {} already", .0.display())]
    Full(PathBuf),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is larger than {MAX_KEPT_BYTES} bytes; look at it and remove it", .0.display())]
    TooLarge(PathBuf),
}

pub(super) struct Spool {
    directory: PathBuf,
}

/// A delivery that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    path: PathBuf,
    /// The id under which it was and is sent, so that the bridge takes it once.
    pub(super) delivery: String,
}

impl Spool {
    pub(super) fn below(git_dir: &Path) -> Self {
        Self { directory: git_dir.join("strata").join("spool") }
    }

    pub(super) fn keep(&self, delivery: &str, body: &[u8]) -> Result<(), SpoolError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Io { path, source }
        };
        fs::create_dir_all(&self.directory).map_err(at(&self.directory))?;
        if self.names()?.len() >= MAX_KEPT {
            return Err(SpoolError::Full(self.directory.clone()));
        }
        let unfinished = self.directory.join(format!("{UNFINISHED}{delivery}"));
        // Names sort by time. A clock that was set back only changes the order.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        let finished = self.directory.join(format!("{nanos:020}-{delivery}{SUFFIX}"));
        let mut file = File::create_new(&unfinished).map_err(at(&unfinished))?;
        let written = file.write_all(body).and_then(|()| file.sync_all());
        if let Err(source) = written.and_then(|()| fs::rename(&unfinished, &finished)) {
            // The disk may be full; leave nothing half written behind.
            let _ = fs::remove_file(&unfinished);
            return Err(SpoolError::Io { path: unfinished, source });
        }
        let directory = File::open(&self.directory).and_then(|directory| directory.sync_all());
        directory.map_err(at(&self.directory))
    }

    /// At most `limit` deliveries, those first that wait longest.
    pub(super) fn oldest(&self, limit: usize) -> Result<Vec<Kept>, SpoolError> {
        let mut names = self.names()?;
        names.sort_unstable();
        let kept = names.into_iter().take(limit).filter_map(|name| {
            let (_, delivery) = name.strip_suffix(SUFFIX)?.split_once('-')?;
            Some(Kept { path: self.directory.join(&name), delivery: delivery.to_owned() })
        });
        Ok(kept.collect())
    }

    /// Names of finished files; unfinished ones of killed hooks are removed on the way.
    fn names(&self) -> Result<Vec<String>, SpoolError> {
        let refuse = |source| SpoolError::Io { path: self.directory.clone(), source };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(refuse)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(refuse)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(UNFINISHED) {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let age = modified.ok().and_then(|time| time.elapsed().ok());
                if age.is_some_and(|age| age > UNFINISHED_AGE) {
                    let _ = fs::remove_file(entry.path());
                }
            } else if name.ends_with(SUFFIX) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl Kept {
    /// The bytes to send.
    pub(super) fn body(&self) -> Result<Vec<u8>, SpoolError> {
        let refuse = |source| SpoolError::Io { path: self.path.clone(), source };
        let mut body = Vec::new();
        let file = File::open(&self.path).map_err(refuse)?;
        file.take(MAX_KEPT_BYTES + 1).read_to_end(&mut body).map_err(refuse)?;
        if body.len() as u64 > MAX_KEPT_BYTES {
            return Err(SpoolError::TooLarge(self.path.clone()));
        }
        Ok(body)
    }

    pub(super) fn remove(&self) -> Result<(), SpoolError> {
        match fs::remove_file(&self.path) {
            // Two hooks sent the same delivery, and the bridge took it once.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| SpoolError::Io { path: self.path.clone(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_comes_first_and_what_is_removed_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::below(directory.path());
        assert!(spool.oldest(9).unwrap().is_empty());
        for delivery in ["b-2", "a-1", "c-3"] {
            spool.keep(delivery, delivery.as_bytes()).unwrap();
        }
        let kept = spool.oldest(2).unwrap();
        let ids: Vec<_> = kept.iter().map(|one| one.delivery.as_str()).collect();
        assert_eq!(ids, ["b-2", "a-1"]);
        assert_eq!(kept[0].body().unwrap(), b"b-2");
        kept[0].remove().unwrap();
        kept[0].remove().unwrap();
        assert_eq!(spool.oldest(9).unwrap().len(), 2);
    }

    #[test]
    fn a_full_spool_refuses_and_an_unfinished_file_is_not_sent() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::below(directory.path());
        spool.keep("first", b"{}").unwrap();
        fs::write(spool.directory.join(".new-killed"), b"{").unwrap();
        for n in 1..MAX_KEPT {
            fs::write(spool.directory.join(format!("{n:020}-x{SUFFIX}")), b"{}").unwrap();
        }
        assert!(matches!(spool.keep("late", b"{}"), Err(SpoolError::Full(_))));
        assert_eq!(spool.oldest(usize::MAX).unwrap().len(), MAX_KEPT);
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::below(directory.path());
        spool.keep("big", &[b'x'; 20_000]).unwrap();
        assert!(matches!(spool.oldest(1).unwrap()[0].body(), Err(SpoolError::TooLarge(_))));
    }
}
