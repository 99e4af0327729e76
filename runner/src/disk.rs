//! How much a job writes to this machine's disk: its workspace, the layers of its containers and
//! their volumes, counted together while it runs.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType};
use tokio::time::Instant;

use crate::below::Below;
use crate::execute::Execution;
use crate::stop::Stop;

/// How long the first look waits, and every later one at least.
const PAUSE: Duration = Duration::from_secs(1);
/// A look of some length is followed by a pause of this many times that length: counting must not
/// be the runner's work.
const PAUSE_FACTOR: u32 = 10;
/// Most bytes of paths that wait to be looked at.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Most directories that wait, and most files with several names.
const MAX_REMEMBERED: usize = 2_000_000;
/// What the system counts in, in bytes.
const BLOCK: u64 = 512;

/// Waits until the job has more on the disk than it may.
pub(crate) async fn full(execution: &Execution<'_>) -> Stop {
    let most = execution.disk_bytes;
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        if is_over(execution, most).await {
            return Stop::failure(format!(
                "the job wrote more than {most} bytes to the runner's disk, in its workspace and \
                 its containers together, and may write no more (`job_disk_bytes` of the runner)"
            ));
        }
        pause = PAUSE.max(began.elapsed() * PAUSE_FACTOR);
    }
}

async fn is_over(execution: &Execution<'_>, most: u64) -> bool {
    let written = execution.engine.written(execution.names).await;
    let workspace = execution.workspace;
    let mut places = vec![workspace.sources(), workspace.command_files(), workspace.temporary()];
    places.extend(written.volumes);
    let Some(left) = most.checked_sub(written.bytes) else { return true };
    let counted = tokio::task::spawn_blocking(move || has_more_than(&places, left));
    counted.await.unwrap_or_else(|error| {
        tracing::error!(%error, "what a job has on the disk cannot be counted");
        false
    })
}

/// Whether directories hold more than that together, each file counted once and holes not at all.
/// The files change meanwhile, and no link is followed. What lies so deep that no path leads there
/// is more than anything: nobody can hide there what fills the disk. So is what would fill the
/// memory of who counts.
fn has_more_than(places: &[PathBuf], most: u64) -> bool {
    let (mut sum, mut seen, mut waiting) = (0_u64, HashSet::new(), 0);
    for place in places {
        // A volume may be gone with its container.
        let Ok(root) = Below::open(place) else { continue };
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            waiting -= path.as_os_str().len();
            let directory = match root.directory(&path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == ErrorKind::InvalidFilename => return true,
                Err(_) => continue,
            };
            let Ok(entries) = Dir::read_from(directory.as_fd()) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
                let (Ok(stat), false) = (stat, matches!(name.to_bytes(), b"." | b"..")) else {
                    continue;
                };
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    let name = std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes());
                    let path = path.join::<&std::ffi::OsStr>(name);
                    waiting += path.as_os_str().len();
                    pending.push(path);
                } else if stat.st_nlink > 1 && !seen.insert((stat.st_dev, stat.st_ino)) {
                    continue;
                }
                sum = sum.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK);
                let is_unbearable = waiting > MAX_WAITING_BYTES
                    || pending.len() > MAX_REMEMBERED
                    || seen.len() > MAX_REMEMBERED;
                if sum > most || is_unbearable {
                    return true;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{Mode, OFlags};

    use super::*;

    #[test]
    fn every_file_counts_once_and_no_link_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        fs::create_dir_all(one.join("deep/er")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(one.join("deep/er/a"), vec![1; 300_000]).unwrap();
        fs::hard_link(one.join("deep/er/a"), other.join("b")).unwrap();
        fs::File::create(other.join("hole")).unwrap().set_len(1 << 40).unwrap();
        fs::write(dir.path().join("not ours"), vec![1; 300_000]).unwrap();
        std::os::unix::fs::symlink("..", other.join("up")).unwrap();
        let both = [one.clone(), other.clone(), dir.path().join("gone")];
        assert!(has_more_than(&both, 299_999));
        assert!(!has_more_than(&both, 400_000));
        fs::write(other.join("c"), vec![1; 300_000]).unwrap();
        assert!(has_more_than(&both, 400_000), "both places count");
        assert!(!has_more_than(&both[..1], 400_000));
    }

    #[test]
    fn nothing_hides_where_no_path_leads() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(255);
        let mut at = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..20 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert!(has_more_than(&[dir.path().to_owned()], u64::MAX));
    }
}
