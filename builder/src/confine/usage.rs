//! How much a command has written, counted while it runs.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the first look waits, and every later one at least.
const PAUSE: Duration = Duration::from_millis(500);
/// A look of some length is followed by a pause of this many times that length: counting must
/// not be the build's work.
const PAUSE_FACTOR: u32 = 10;
/// What the system counts in, in bytes.
const BLOCK: u64 = 512;

/// Watches directories that together may hold so much.
#[derive(Debug)]
pub(super) struct Usage {
    directories: Vec<PathBuf>,
    most: u64,
    next: Instant,
}

impl Usage {
    pub(super) fn new(directories: Vec<PathBuf>, most: u64) -> Self {
        Self { directories, most, next: Instant::now() + PAUSE }
    }

    /// When it is looked at again.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether there is more than allowed; looks only when it is time to.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let is_over = self.count(|metadata| metadata.blocks() * BLOCK) > self.most;
        let ended = Instant::now();
        self.next = ended + PAUSE.max((ended - now) * PAUSE_FACTOR);
        is_over
    }

    /// Whether what is left is more than allowed, holes in files included: a layer has them as
    /// zeros.
    pub(super) fn is_over_at_last(&mut self) -> bool {
        let size = |metadata: &fs::Metadata| {
            (metadata.blocks() * BLOCK).max(if metadata.is_file() { metadata.len() } else { 0 })
        };
        self.count(size) > self.most
    }

    /// The sum over all files, each counted once; stops when it is too much.
    fn count(&self, size: impl Fn(&fs::Metadata) -> u64) -> u64 {
        let (mut sum, mut seen) = (0_u64, HashSet::new());
        let mut open = self.directories.clone();
        while let Some(dir) = open.pop() {
            // It runs: what was there a moment ago may be gone.
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    open.push(entry.path());
                } else if metadata.nlink() > 1 && !seen.insert(metadata.ino()) {
                    continue;
                }
                sum = sum.saturating_add(size(&metadata));
                if sum > self.most {
                    return sum;
                }
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_count_at_the_end_and_names_of_one_file_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), vec![1; 100_000]).unwrap();
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        let usage = |most| Usage::new(vec![dir.path().to_owned()], most);
        assert!(usage(99_999).is_over_at_last());
        assert!(!usage(150_000).is_over_at_last());
        fs::File::create(dir.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
        let mut usage = usage(150_000);
        let later = usage.next();
        assert!(!usage.is_over(later - Duration::from_millis(1)));
        assert!(!usage.is_over(later), "a hole takes no place while the command runs");
        assert!(usage.is_over_at_last());
    }
}
