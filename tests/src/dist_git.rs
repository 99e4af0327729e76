//! Bare repositories and clones of them, by real git.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::parts::{output, succeed};
use crate::wait::{SHORT, until};

/// A bare repository and a packager's clone of it.
pub struct Repository {
    name: String,
    bare: PathBuf,
    clone: PathBuf,
}

impl Repository {
    /// Makes `<dir>/dist-git/<name>.git` and a clone beside it.
    #[must_use]
    pub fn create(dir: &Path, name: &str) -> Self {
        let bare = dir.join("dist-git").join(format!("{name}.git"));
        let clone = dir.join("clones").join(name);
        std::fs::create_dir_all(&clone).expect("a directory");
        succeed(Command::new("git").args(["init", "-q", "--bare", "-b", "rawhide"]).arg(&bare));
        let repository = Self { name: name.to_owned(), bare, clone };
        repository.git(&["init", "-q", "-b", "rawhide"]);
        repository.git(&["config", "user.name", "Packager"]);
        repository.git(&["config", "user.email", "packager@example.org"]);
        repository.git(&["remote", "add", "origin", repository.bare.to_str().expect("utf-8")]);
        repository
    }

    /// Its path on the forge.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bare repository.
    #[must_use]
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// The clone's directory.
    #[must_use]
    pub fn clone_dir(&self) -> &Path {
        &self.clone
    }

    /// `git` in the clone, which must succeed.
    pub fn git(&self, arguments: &[&str]) -> String {
        succeed(&mut self.command(arguments))
    }

    /// `git` in the bare repository.
    #[must_use]
    pub fn git_bare(&self, arguments: &[&str]) -> Output {
        output(Command::new("git").arg("--git-dir").arg(&self.bare).args(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.clone).args(arguments);
        command
    }

    /// Writes a file of the clone.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.clone.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }

    /// Commits everything on a branch, which is made when it is not there; the answer is the
    /// commit.
    pub fn commit(&self, branch: &str, message: &str) -> String {
        if self.git(&["branch", "--show-current"]) != branch {
            let known = output(&mut self.command(&["rev-parse", "-q", "--verify", branch]));
            let known = known.status.success();
            let create = if known { "-q" } else { "-qb" };
            self.git(&["checkout", create, branch]);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes refs; the answer is what the pusher saw.
    pub fn push(&self, refs: &[&str]) -> String {
        let mut arguments = vec!["push", "origin"];
        arguments.extend(refs);
        let output = output(&mut self.command(&arguments));
        let seen = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "push failed: {seen}");
        seen
    }

    /// Pushes refs of which nobody hears; for stories that send the delivery themselves.
    pub fn push_silently(&self, refs: &[&str]) {
        let hook = self.bare.join("hooks/post-receive");
        let away = hook.with_extension("away");
        std::fs::rename(&hook, &away).expect("a hook to take away");
        self.push(refs);
        std::fs::rename(&away, &hook).expect("a hook to bring back");
    }

    /// Installs a post-receive hook.
    pub fn install_hook(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let hook = self.bare.join("hooks/post-receive");
        std::fs::write(&hook, script).expect("a hook");
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// What the status note of a commit says about a context.
    ///
    /// # Panics
    /// When there is no such note soon.
    pub async fn status(&self, commit: &str, context: &str) -> Value {
        until(&format!("a status note on {commit}"), SHORT, async || {
            let notes = self.notes(commit);
            let found = notes.iter().find(|note| note["context"] == context).cloned();
            found.ok_or_else(|| format!("{notes:?}"))
        })
        .await
    }

    /// The status notes of a commit, one JSON object a context.
    fn notes(&self, commit: &str) -> Vec<Value> {
        let notes = self.git_bare(&["notes", "--ref=strata", "show", commit]);
        String::from_utf8_lossy(&notes.stdout)
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| serde_json::from_str(line).expect("a note is JSON"))
            .collect()
    }
}
