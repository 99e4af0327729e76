//! With programs in the place of ssh: one that runs git here, and some that do not behave.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::*;
use crate::{Deadline, Mirror};

/// A program that is called as ssh is; `$command` is what the host would run.
fn program(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("ssh");
    let text = format!("#!/bin/sh\nfor command; do :; done\n{script}\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn remote(directory: &Path, path: &str, script: &str) -> Remote {
    let url = format!("ssh://git@forge.example:2222{path}");
    Remote::new(&url, None).unwrap().by_ssh_program(program(directory, script).into())
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory)
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", "A"), ("GIT_COMMITTER_EMAIL", "a@example.org")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A bare repository whose name wants to be quoted, and its only commit.
fn origin(directory: &Path) -> (PathBuf, String) {
    let bare = directory.join("it's!a.git");
    std::fs::create_dir(&bare).unwrap();
    git(&bare, &["init", "-q", "--bare", "."]);
    let tree = git(&bare, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let commit = git(&bare, &["commit-tree", &tree, "-m", "x"]);
    git(&bare, &["update-ref", "refs/heads/f43", &commit]);
    git(&bare, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    (bare, commit)
}

fn mirror(directory: &Path) -> Mirror {
    Mirror::open(&directory.join("mirror")).unwrap()
}

#[test]
fn refs_and_commits_come_over_ssh() {
    let scratch = tempfile::tempdir().unwrap();
    let (bare, commit) = origin(scratch.path());
    // As sshd does: the words go through a shell.
    let script =
        format!("echo \"$*\" > {}/asked\nexec sh -c \"$command\"", scratch.path().display());
    let remote = remote(scratch.path(), bare.to_str().unwrap(), &script);
    let (mirror, deadline) = (mirror(scratch.path()), Deadline::after(Duration::from_secs(60)));
    let head = mirror.head_of(&remote, "refs/heads/f43", &deadline).unwrap();
    assert_eq!(head.as_deref(), Some(commit.as_str()));
    assert_eq!(mirror.refs(&remote, "refs/heads/", &deadline).unwrap().len(), 1);
    mirror.fetch_commit(&remote, &commit, None, &deadline).unwrap();
    let asked = std::fs::read_to_string(scratch.path().join("asked")).unwrap();
    assert!(asked.contains("-o BatchMode=yes"), "{asked}");
    assert!(asked.contains("-p2222 git@forge.example git-upload-pack '/"), "{asked}");
}

#[test]
fn a_silent_host_holds_nobody_longer_than_its_deadline() {
    let scratch = tempfile::tempdir().unwrap();
    // A child that keeps the pipe open when its parent is killed, too.
    let remote = remote(scratch.path(), "/a", "sleep 600 &\necho $! > \"$0.pid\"\nwait");
    let begin = Instant::now();
    let deadline = Deadline::after(Duration::from_secs(2));
    let error = mirror(scratch.path()).refs(&remote, "refs/heads/", &deadline).unwrap_err();
    assert!(matches!(error, GitError::Interrupted), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    let pid = std::fs::read_to_string(scratch.path().join("ssh.pid")).unwrap();
    Command::new("kill").arg(pid.trim()).status().unwrap();
}

#[test]
fn a_host_that_sends_without_an_end_is_cut_by_size() {
    let scratch = tempfile::tempdir().unwrap();
    let id = "1".repeat(40);
    let line = format!("{id} refs/heads/{}", "b".repeat(900));
    let script = format!(
        "printf '%04x{id} refs/heads/a\\000agent=x\\n' 66\n\
         exec yes '{:04x}{line}' 2> /dev/null",
        line.len() + 5
    );
    let remote = remote(scratch.path(), "/a", &script);
    let deadline = Deadline::after(Duration::from_secs(120));
    let error = mirror(scratch.path()).refs(&remote, "refs/heads/", &deadline).unwrap_err();
    assert!(matches!(&error, GitError::TooLarge(why) if why.contains("sends more")), "{error}");
}

#[test]
fn what_ssh_complains_about_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    let ask = |script: &str| {
        let remote = remote(scratch.path(), "/a", script);
        let deadline = Deadline::after(Duration::from_secs(60));
        mirror(scratch.path()).refs(&remote, "refs/heads/", &deadline).unwrap_err()
    };
    let denied = ask("echo 'git@forge.example: Permission denied (publickey).' >&2; exit 255");
    assert!(matches!(&denied, GitError::Auth(why) if why.contains("publickey")), "{denied}");
    let away = ask("echo 'ssh: connect to host forge.example: No route to host' >&2; exit 255");
    assert!(matches!(&away, GitError::Unreachable(why) if why.contains("No route")), "{away}");
    let mute = ask("exit 1");
    assert!(matches!(mute, GitError::Unreachable(_)), "{mute}");
    let none = Remote::new("ssh://forge.example/a", None).unwrap();
    let none = none.by_ssh_program(scratch.path().join("nothing").into());
    let deadline = Deadline::after(Duration::from_secs(60));
    let error = mirror(scratch.path()).refs(&none, "refs/heads/", &deadline).unwrap_err();
    assert!(matches!(&error, GitError::Local(why) if why.contains("nothing")), "{error}");
}

#[test]
fn a_path_is_one_word_for_the_hosts_shell() {
    assert_eq!(quoted("/a b"), "'/a b'");
    assert_eq!(quoted("/it's!"), r"'/it'\''s'\!''");
}
