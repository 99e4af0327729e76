//! A bare repository with as many pushes to come as a measurement needs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Time of the first commit; any does.
const FIRST_COMMIT_TIME: u64 = 1_700_000_000;

/// Runs git in a directory; the answer is its output without the last newline.
pub(super) async fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    run(directory, arguments, "").await
}

async fn run(directory: &Path, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start git")?;
    let mut stdin = child.stdin.take().context("no way to git's input")?;
    // What git does not read it does not need; its complaint says why.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.context("git broke")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {complaint}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// A repository whose branch stands at none of its commits yet.
pub(super) struct History {
    bare: PathBuf,
    /// The commits, the oldest first.
    pub(super) commits: Vec<String>,
}

impl History {
    /// Makes `count` commits, each with a Dockerfile that needs no parent image.
    pub(super) async fn create(bare: PathBuf, count: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&bare)
            .with_context(|| format!("cannot make {}", bare.display()))?;
        git(&bare, &["init", "--quiet", "--bare", "--initial-branch=rawhide"]).await?;
        run(&bare, &["fast-import", "--quiet"], &commits(count)).await?;
        let listed = git(&bare, &["rev-list", "--reverse", "refs/bench/all"]).await?;
        let commits: Vec<String> = listed.lines().map(ToOwned::to_owned).collect();
        if commits.len() != count {
            bail!("git made {} commits instead of {count}", commits.len());
        }
        Ok(Self { bare, commits })
    }

    /// Moves the branch to a commit, as a push would.
    pub(super) async fn push(&self, commit: &str) -> anyhow::Result<()> {
        git(&self.bare, &["update-ref", "refs/heads/rawhide", commit]).await.map(drop)
    }
}

/// A stream for `git fast-import`.
fn commits(count: usize) -> String {
    let dockerfile = "FROM scratch\nCOPY stamp /stamp\n\
                      LABEL com.redhat.component=\"bench-container\" name=\"bench\" version=\"1\"\n";
    let mut stream = String::new();
    for number in 0..count {
        let (time, stamp) = (FIRST_COMMIT_TIME + number as u64, format!("{number}\n"));
        // Writing into a string cannot fail.
        let _ = write!(
            stream,
            "commit refs/bench/all\ncommitter Bench <bench@example.org> {time} +0000\n\
             data 4\nNext\nM 100644 inline Dockerfile\ndata {}\n{dockerfile}\n\
             M 100644 inline stamp\ndata {}\n{stamp}\n",
            dockerfile.len(),
            stamp.len(),
        );
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_commit_can_be_pushed() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::create(dir.path().join("a/b.git"), 3).await.unwrap();
        assert_eq!(history.commits.len(), 3);
        history.push(&history.commits[1]).await.unwrap();
        let stamp = git(&dir.path().join("a/b.git"), &["show", "rawhide:stamp"]).await.unwrap();
        assert_eq!(stamp, "1");
    }
}
