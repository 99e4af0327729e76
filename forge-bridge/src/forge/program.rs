//! Running the `git` program: no shell, no configuration of the host, bounded in time and output.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::ForgeError;

/// How long one run of git may take; a push over a network is the longest.
const GIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest output that is read, in bytes; a note above it is refused.
pub(super) const MAX_OUTPUT_BYTES: usize = 1024 * 1024;
/// Longest complaint of git that is repeated, in characters.
const MAX_COMPLAINT_CHARS: usize = 300;

/// What git did.
pub(super) struct Ran {
    pub(super) success: bool,
    pub(super) output: String,
    /// What it said on standard error, cut, in one line.
    pub(super) complaint: String,
}

/// Runs git with arguments, environment beyond the fixed one, and standard input.
///
/// # Errors
/// [`ForgeError::Retry`] when it does not end in time, [`ForgeError::Refused`] when it cannot be
/// started or says too much.
pub(super) async fn git(
    arguments: &[&str],
    environment: &[(String, String)],
    input: &str,
) -> Result<Ran, ForgeError> {
    let run = run(arguments, environment, input);
    match tokio::time::timeout(GIT_TIMEOUT, run).await {
        Ok(Ok(Ran { output, .. })) if output.len() > MAX_OUTPUT_BYTES => {
            Err(ForgeError::refused(format!("the note has more than {MAX_OUTPUT_BYTES} bytes")))
        }
        Ok(Ok(ran)) => Ok(ran),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ForgeError::refused("the program `git` is not installed on this machine"))
        }
        Ok(Err(error)) => Err(ForgeError::retry(format!("cannot run git: {error}"))),
        Err(_) => Err(ForgeError::retry("git did not end in time")),
    }
}

async fn run(
    arguments: &[&str],
    environment: &[(String, String)],
    input: &str,
) -> std::io::Result<Ran> {
    let mut child = Command::new("git")
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([
            ("LC_ALL", "C"),
            ("HOME", "/nonexistent"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_AUTHOR_NAME", "Strata"),
            ("GIT_AUTHOR_EMAIL", "strata@localhost"),
            ("GIT_COMMITTER_NAME", "Strata"),
            ("GIT_COMMITTER_EMAIL", "strata@localhost"),
        ])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(stdin) = &mut stdin {
            // A git that ends without reading says why on standard error.
            let _closed_early = stdin.write_all(input.as_bytes()).await;
        }
        drop(stdin.take());
    };
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let limit = MAX_OUTPUT_BYTES as u64 + 1;
    let read_output = read(stdout, limit, &mut output);
    let read_complaint = read(stderr, limit, &mut complaint);
    let ((), stdout, stderr) = tokio::join!(feed, read_output, read_complaint);
    stdout.and(stderr)?;
    let status = child.wait().await?;
    let complaint = String::from_utf8_lossy(&complaint);
    let one_line = complaint.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Ran {
        success: status.success(),
        output: String::from_utf8_lossy(&output).into_owned(),
        complaint: one_line.chars().take(MAX_COMPLAINT_CHARS).collect(),
    })
}

async fn read(
    from: Option<impl tokio::io::AsyncRead + Unpin>,
    limit: u64,
    into: &mut Vec<u8>,
) -> std::io::Result<()> {
    if let Some(from) = from {
        from.take(limit).read_to_end(into).await?;
    }
    Ok(())
}
