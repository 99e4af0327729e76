//! A repository to fetch from, made with the `git` program in a scrubbed environment.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use strata_git::{Deadline, Remote};
use tempfile::TempDir;

pub(crate) struct Origin {
    root: TempDir,
}

impl Origin {
    pub(crate) fn new() -> Self {
        let origin = Self { root: TempDir::new().unwrap() };
        origin.git(&["init", "-q", "--bare", "--initial-branch=rawhide", "."], b"");
        origin
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote::new(&format!("file://{}", self.path().display()), None).unwrap()
    }

    /// Runs git with `input` on its standard input and returns its trimmed output.
    pub(crate) fn git(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.org")])
            .envs([
                ("GIT_AUTHOR_DATE", "1700000000 +0100"),
                ("GIT_COMMITTER_DATE", "1700000000 +0100"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn blob(&self, content: &[u8]) -> String {
        self.git(&["hash-object", "-w", "--stdin"], content)
    }

    /// A tree of `(mode, name, id)` written byte by byte, so that it may be hostile.
    pub(crate) fn raw_tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            write!(bytes, "{mode} {name}\0").unwrap();
            bytes.extend((0..20).map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).unwrap()));
        }
        self.git(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], &bytes)
    }

    pub(crate) fn commit_of(&self, tree: &str, message: &str) -> String {
        self.git(&["commit-tree", tree, "-m", message], b"")
    }

    /// A commit of plain files at their paths, put on a branch on top of what it had.
    pub(crate) fn push(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let mut listing = String::new();
        for (path, content) in files {
            let blob = self.blob(content.as_bytes());
            listing.push_str(&format!("100644 {blob}\t{path}\n"));
        }
        let index = self.path().join("index");
        let _none_before_the_first = std::fs::remove_file(index);
        self.git(&["update-index", "--add", "--index-info"], listing.as_bytes());
        let tree = self.git(&["write-tree"], b"");
        let name = format!("refs/heads/{branch}");
        let parent = self.git(&["for-each-ref", "--format=%(objectname)", &name], b"");
        let mut arguments = vec!["commit-tree", &tree, "-m", "Change things\n\nBecause."];
        if !parent.is_empty() {
            arguments.extend(["-p", &parent]);
        }
        let commit = self.git(&arguments, b"");
        self.git(&["update-ref", &name, &commit], b"");
        commit
    }
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

pub(crate) fn mirror_path(scratch: &TempDir) -> PathBuf {
    scratch.path().join("mirrors/containers/httpd")
}
