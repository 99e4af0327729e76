//! One process of a role for each state directory.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use super::Tie;

/// How often a lock is tried that a role waits for.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Most bytes of a lock's text that are read: a number.
const MAX_TEXT_BYTES: u64 = 20;

/// Held for the life of the process; the kernel gives it back after any death.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the state directory of a role, which is made where it is not there. A role of `strata up`
/// waits until the one before has ended: it outlives an `up` that was killed for as long as its jobs
/// may, and a runner's reports need the bridge that is started here. `None` when `stop` came first.
///
/// # Errors
/// When another process has it that is not waited for, with its number.
pub(super) async fn take(
    role: &str,
    path: &Path,
    tie: Tie,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Lock>> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the state directory {}", directory.display()))?;
    }
    // Not cut before it is ours: the other's number is in it.
    let mut options = File::options();
    let opened = options.read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.with_context(|| format!("cannot make lock {}", path.display()))?;
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let other = other(role, &mut file);
        let directory = path.parent().unwrap_or(path).display();
        if !tie.until_stdin_ends {
            bail!("{other} uses {directory}; end it, or give each a state_dir of its own");
        }
        if !is_told {
            tracing::warn!(role, "{other} uses {directory}; waiting until it has ended");
            is_told = true;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
        }
    }
    sign(&mut file).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(Lock { _file: file }))
}

/// Who has a lock, in words.
fn other(role: &str, file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(MAX_TEXT_BYTES).read_to_string(&mut text));
    match text.trim().parse::<u32>() {
        Ok(process) if read.is_ok() => format!("another {role}, process {process},"),
        _ => format!("another {role}"),
    }
}

/// Writes our number into a lock that is ours.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ALONE: Tie = Tie { until_stdin_ends: false };
    const OF_UP: Tie = Tie { until_stdin_ends: true };

    #[tokio::test]
    async fn a_directory_has_one_process_which_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/lock");
        let stop = CancellationToken::new();
        let first = take("runner", &path, ALONE, &stop).await.unwrap().unwrap();
        let refused = take("runner", &path, ALONE, &stop).await.unwrap_err().to_string();
        let who = format!("another runner, process {}, uses {}", std::process::id(), {
            path.parent().unwrap().display()
        });
        assert!(refused.starts_with(&who), "{refused}");
        drop(first);
        assert!(take("runner", &path, ALONE, &stop).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_role_of_up_waits_for_the_one_before_and_for_a_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let stop = CancellationToken::new();
        let first = take("bridge", &path, ALONE, &stop).await.unwrap().unwrap();
        let waiting = take("bridge", &path, OF_UP, &stop);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        let second = waiting.await.unwrap();
        assert!(second.is_some());
        stop.cancel();
        assert!(take("bridge", &path, OF_UP, &stop).await.unwrap().is_none());
    }
}
