//! Which pipeline of which project a first status goes to.

use super::fake::{FORK, FakeGitlab, PROJECT};
use super::*;

async fn say_of(gitlab: &Gitlab, place: StatusPlace, context: &str) -> Result<(), ForgeError> {
    let post = StatusPost { place, ..post_of(context, StatusState::Pending) };
    gitlab.post_status(&repository(), &commit(), &post).await
}

fn pull() -> StatusPlace {
    StatusPlace::Pull { number: 7, branch: "topic".to_owned() }
}

fn fork() -> StatusPlace {
    StatusPlace::Fork { number: 7 }
}

fn line(project: &str, ref_name: &str, ours: usize) -> (String, String, usize) {
    (project.to_owned(), ref_name.to_owned(), ours)
}

/// Where GitLab shows the status of a commit that `place` is at, when it has these pipelines already.
async fn shown(place: StatusPlace, there: &[&str]) -> (String, u64) {
    let fake = FakeGitlab::start().await;
    for ref_name in there {
        fake.begin_pipeline(PROJECT, ref_name);
    }
    say_of(&fake.client(), place, "build / image").await.unwrap();
    let (pipeline, ..) = fake.rows().pop().unwrap();
    let model = fake.model.lock().unwrap();
    let line = model.lines.iter().find(|line| line.id == pipeline).unwrap();
    (line.ref_name.clone(), line.id)
}

#[tokio::test]
async fn a_status_goes_to_the_pipeline_of_its_own_branch() {
    let own = "refs/merge-requests/7/head";
    let of = |branch: &str| StatusPlace::Ref(branch.to_owned());
    for (place, there, ref_name, pipeline) in [
        // Two branches at one commit, whichever comes first for GitLab.
        (of("f43"), &[][..], "f43", 10),
        (of("main"), &[], "main", 10),
        (of("f43"), &["main"], "f43", 11),
        (of("f43"), &["f43", "main"], "f43", 10),
        (pull(), &[], "topic", 10),
        (pull(), &["main"], "topic", 11),
        // GitLab shows the merge request's own before one of its branch.
        (pull(), &["topic", own, "main"], own, 11),
        (pull(), &[own, own], own, 11),
        (pull(), &["refs/merge-requests/8/head"], "topic", 11),
        // GitLab chooses.
        (StatusPlace::Unknown, &["main"], "main", 10),
        (of(&"b".repeat(256)), &[], "main", 10),
    ] {
        let what = format!("{place:?} beside {there:?}");
        assert_eq!(shown(place, there).await, (ref_name.to_owned(), pipeline), "{what}");
    }
}

#[tokio::test]
async fn a_branch_that_is_gone_keeps_no_status_back() {
    let fake = FakeGitlab::start().await;
    fake.model.lock().unwrap().is_strict = true;
    let gitlab = fake.client();
    say_of(&gitlab, pull(), "build / image").await.unwrap();
    say_of(&gitlab, pull(), "build / test").await.unwrap();
    assert_eq!(fake.lines(), [line(PROJECT, "main", 2)]);
    assert_eq!(fake.posted_to().len(), 3, "the first one twice");
}

#[tokio::test]
async fn a_pipeline_that_is_gone_is_made_again() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    let place = || StatusPlace::Ref("f43".to_owned());
    say_of(&gitlab, place(), "build / image").await.unwrap();
    {
        let mut model = fake.model.lock().unwrap();
        model.lines.clear();
        model.rows.clear();
    }
    say_of(&gitlab, place(), "build / test").await.unwrap();
    assert_eq!(fake.lines(), [line(PROJECT, "f43", 1)]);
}

#[tokio::test]
async fn statuses_of_a_fork_are_in_the_fork_where_the_token_may() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    for context in ["build / image", "build / test"] {
        say_of(&gitlab, fork(), context).await.unwrap();
    }
    // Another process.
    say_of(&fake.client(), fork(), "lint / check").await.unwrap();
    assert_eq!(fake.lines(), [line("77", "fix", 3)]);
    assert_eq!(fake.posted_to(), [FORK.to_string(), FORK.to_string(), FORK.to_string()]);
}

#[tokio::test]
async fn a_forks_commit_that_is_merged_as_it_is_pends_nowhere() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    say_of(&gitlab, fork(), "build / image").await.unwrap();
    let place = StatusPlace::Ref("f43".to_owned());
    let post = StatusPost { place, ..post_of("build / image", StatusState::Success) };
    gitlab.post_status(&repository(), &commit(), &post).await.unwrap();
    assert_eq!(fake.lines(), [line("77", "fix", 1), line(PROJECT, "f43", 1)]);
    assert!(fake.rows().iter().all(|(_, _, state)| state == "success"), "{:?}", fake.rows());
    assert_eq!(fake.posted_to(), ["77", PROJECT, "77"]);
}

#[tokio::test]
async fn a_fork_that_is_closed_is_asked_once_and_the_merge_requests_own_pipeline_takes_it() {
    let fake = FakeGitlab::start().await;
    fake.model.lock().unwrap().closed.push(FORK.to_string());
    let own = "refs/merge-requests/7/head";
    fake.begin_pipeline(PROJECT, own);
    let gitlab = fake.client();
    for context in ["build / image", "build / test"] {
        say_of(&gitlab, fork(), context).await.unwrap();
    }
    assert_eq!(fake.lines(), [line(PROJECT, own, 2)]);
    assert_eq!(fake.posted_to(), ["77", PROJECT, PROJECT]);
}

#[tokio::test]
async fn a_commit_that_no_project_takes_a_status_of_is_denied_in_the_words_of_both() {
    let fake = FakeGitlab::start().await;
    fake.model.lock().unwrap().closed.push(FORK.to_string());
    fake.model.lock().unwrap().branches.clear();
    let gitlab = fake.client();
    match say_of(&gitlab, fork(), "build / image").await {
        Err(ForgeError::Denied { why }) => {
            assert!(why.contains("403 Forbidden") && why.contains("References"), "{why}");
            assert!(why.contains("a Developer there"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let again = say_of(&gitlab, fork(), "build / test").await;
    assert!(matches!(again, Err(ForgeError::Denied { .. })), "{again:?}");
    assert_eq!(fake.posted_to(), ["77", PROJECT, PROJECT]);
    assert_eq!(fake.lines(), []);
}

#[tokio::test]
async fn a_fork_that_is_deleted_leaves_the_project_itself() {
    let fake = FakeGitlab::start().await;
    fake.model.lock().unwrap().source = None;
    say_of(&fake.client(), fork(), "build / image").await.unwrap();
    assert_eq!(fake.posted_to(), [PROJECT]);
}
