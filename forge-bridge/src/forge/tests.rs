//! Against a small forge that checks tokens and keeps statuses, and against real repositories.

mod fake;

use std::path::Path;
use std::process::Command;

use std::time::Duration;

use http::StatusCode;

use super::*;
pub(crate) use fake::{FakeForge, TOKEN, Weather, serve};

fn commit() -> CommitId {
    CommitId::parse(&"1a".repeat(20)).unwrap()
}

fn repository() -> RepositoryName {
    RepositoryName::parse("containers/httpd").unwrap()
}

fn post(state: StatusState) -> StatusPost {
    StatusPost {
        context: "build / image".to_owned(),
        state,
        description: "Built httpd-container-2.4-1.f43".to_owned(),
        target_url: "https://strata.example/runs/7".to_owned(),
        annotations: Vec::new(),
        place: StatusPlace::default(),
    }
}

fn config(kind: ForgeKind, url: &str, directory: &Path, token: &str) -> ForgeConfig {
    let token_file = directory.join("token");
    std::fs::write(&token_file, token).unwrap();
    ForgeConfig {
        name: "forge".to_owned(),
        kind,
        webhook_secret_file: Some(directory.join("unused")),
        webhook_keys_dir: None,
        api_url: Some(url.to_owned()),
        clone_url: format!("{url}/{{repository}}.git"),
        token_file: (kind != ForgeKind::Git).then_some(token_file),
        clone_token_file: None,
        app: None,
        allow_private: false,
        repositories: Vec::new(),
        max_body_bytes: 1024,
        bots: Vec::new(),
    }
}

#[tokio::test]
async fn a_status_arrives_as_the_forge_wants_it() {
    for (kind, scheme) in
        [(ForgeKind::Github, "Bearer"), (ForgeKind::Forgejo, "token"), (ForgeKind::Gitea, "token")]
    {
        let fake = FakeForge::start(scheme).await;
        let directory = tempfile::tempdir().unwrap();
        let forge = Forge::open(&config(kind, &fake.api_url(), directory.path(), TOKEN)).unwrap();
        forge.post_status(&repository(), &commit(), &post(StatusState::Success)).await.unwrap();
        let posted = fake.posted();
        assert_eq!(posted.len(), 1, "{kind:?}");
        assert_eq!(posted[0].repository, "containers/httpd");
        assert_eq!(posted[0].commit, commit().as_str());
        let expected = serde_json::json!({
            "context": "build / image",
            "state": "success",
            "description": "Built httpd-container-2.4-1.f43",
            "target_url": "https://strata.example/runs/7",
        });
        assert_eq!(posted[0].status, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_not_told() {
    for (kind, scheme) in [(ForgeKind::Github, "Bearer"), (ForgeKind::Forgejo, "token")] {
        let fake = FakeForge::start(scheme).await;
        let directory = tempfile::tempdir().unwrap();
        let config = config(kind, &fake.api_url(), directory.path(), "gu3ss");
        let forge = Forge::open(&config).unwrap();
        let answer = forge.post_status(&repository(), &commit(), &post(StatusState::Error)).await;
        match answer {
            Err(ForgeError::Refused { why }) => assert!(why.contains("token_file"), "{why}"),
            other => panic!("{kind:?}: {other:?}"),
        }
        assert!(!format!("{forge:?}").contains("gu3ss"), "{forge:?}");
        assert_eq!(fake.posted().len(), 0);
    }
}

#[tokio::test]
async fn outages_and_limits_are_left_to_the_reporter() {
    for (kind, scheme) in [(ForgeKind::Github, "Bearer"), (ForgeKind::Forgejo, "token")] {
        let fake = FakeForge::start(scheme).await;
        let directory = tempfile::tempdir().unwrap();
        let forge = Forge::open(&config(kind, &fake.api_url(), directory.path(), TOKEN)).unwrap();
        let (repository, commit) = (repository(), commit());
        let status = post(StatusState::Pending);
        let ask = || forge.post_status(&repository, &commit, &status);
        fake.answer_next(StatusCode::SERVICE_UNAVAILABLE, &[]);
        assert!(matches!(ask().await, Err(ForgeError::Retry { after: None, .. })), "{kind:?}");
        fake.answer_next(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "30")]);
        let after = Some(Duration::from_secs(30));
        assert!(
            matches!(ask().await, Err(ForgeError::Retry { after: a, .. }) if a == after),
            "{kind:?}"
        );
        assert_eq!(fake.requests(), 2, "{kind:?} tried again by itself");
        ask().await.unwrap();
        drop(fake);
        assert!(matches!(ask().await, Err(ForgeError::Retry { .. })), "{kind:?}");
    }
}

pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", "A"), ("GIT_COMMITTER_EMAIL", "a@example.org")])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A bare repository with one commit and a hook that fails whoever runs it.
fn bare(root: &Path) -> (std::path::PathBuf, CommitId) {
    let path = root.join("containers/httpd.git");
    std::fs::create_dir_all(&path).unwrap();
    git(&path, &["init", "-q", "--bare", "."]);
    let tree = git(&path, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let commit = git(&path, &["commit-tree", &tree, "-m", "First"]);
    git(&path, &["update-ref", "refs/heads/f43", &commit]);
    for hook in ["reference-transaction", "post-receive"] {
        let hook = path.join("hooks").join(hook);
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    (path, CommitId::parse(&commit).unwrap())
}

#[tokio::test]
async fn a_bare_repository_gets_a_note_with_a_line_for_each_context() {
    let root = tempfile::tempdir().unwrap();
    let (path, commit) = bare(root.path());
    for prefix in ["", "file://"] {
        let url = format!("{prefix}{}", root.path().display());
        let forge = Forge::open(&config(ForgeKind::Git, &url, root.path(), "")).unwrap();
        let posts = [StatusState::Pending, StatusState::Success].map(post);
        let other = StatusPost { context: "lint / check".to_owned(), ..posts[0].clone() };
        for post in [&posts[0], &other, &posts[1]] {
            forge.post_status(&repository(), &commit, post).await.unwrap();
        }
        let note = git(&path, &["notes", "--ref=strata", "show", commit.as_str()]);
        let lines: Vec<serde_json::Value> =
            note.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{note}");
        assert_eq!(lines[0]["context"], "lint / check");
        assert_eq!(lines[1]["state"], "success");
        assert_eq!(lines[1]["url"], "https://strata.example/runs/7");
    }
}

#[tokio::test]
async fn notes_that_are_written_at_once_are_all_kept() {
    let root = tempfile::tempdir().unwrap();
    let (path, commit) = bare(root.path());
    let forge =
        Forge::open(&config(ForgeKind::Git, &root.path().display().to_string(), root.path(), ""))
            .unwrap();
    let posts =
        (0..6).map(|n| StatusPost { context: format!("c{n}"), ..post(StatusState::Pending) });
    let posts: Vec<StatusPost> = posts.collect();
    let (repository, commit) = (repository(), commit);
    let all = posts.iter().map(|post| forge.post_status(&repository, &commit, post));
    for written in futures_util::future::join_all(all).await {
        written.unwrap();
    }
    let note = git(&path, &["notes", "--ref=strata", "show", commit.as_str()]);
    assert_eq!(note.lines().count(), 6, "{note}");
}

#[tokio::test]
async fn a_lock_of_a_killed_git_is_waited_for_and_a_missing_repository_is_not() {
    let root = tempfile::tempdir().unwrap();
    let (path, commit) = bare(root.path());
    let url = root.path().display().to_string();
    let forge = Forge::open(&config(ForgeKind::Git, &url, root.path(), "")).unwrap();
    let lock = path.join("refs/notes/strata.lock");
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    std::fs::write(&lock, "").unwrap();
    let status = post(StatusState::Pending);
    let answer = forge.post_status(&repository(), &commit, &status).await;
    assert!(matches!(answer, Err(ForgeError::Retry { .. })), "{answer:?}");
    std::fs::remove_file(&lock).unwrap();
    forge.post_status(&repository(), &commit, &status).await.unwrap();

    let none = RepositoryName::parse("containers/none").unwrap();
    let answer = forge.post_status(&none, &commit, &status).await;
    assert!(matches!(answer, Err(ForgeError::Refused { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_remote_repository_gets_its_notes_by_push() {
    let root = tempfile::tempdir().unwrap();
    let (path, commit) = bare(root.path());
    for hook in ["reference-transaction", "post-receive"] {
        std::fs::remove_file(path.join("hooks").join(hook)).unwrap();
    }
    let server = fake::GitServer::start(root.path(), TOKEN).await;
    let mut config = config(ForgeKind::Git, &server.url(), root.path(), TOKEN);
    config.token_file = Some(root.path().join("token"));
    let forge = Forge::open(&config).unwrap();
    for state in [StatusState::Pending, StatusState::Success] {
        forge.post_status(&repository(), &commit, &post(state)).await.unwrap();
    }
    let note = git(&path, &["notes", "--ref=strata", "show", commit.as_str()]);
    assert_eq!(note.lines().count(), 1, "{note}");
    assert!(note.contains("success"), "{note}");

    std::fs::write(root.path().join("token"), "gu3ss").unwrap();
    let answer = Forge::open(&config)
        .unwrap()
        .post_status(&repository(), &commit, &post(StatusState::Error))
        .await;
    match answer {
        Err(ForgeError::Refused { why }) => assert!(!why.contains("gu3ss"), "{why}"),
        other => panic!("{other:?}"),
    }
}
