//! Against a small GitLab: statuses in pipelines, and its refusal to repeat a state.

mod fake;
mod places;

use serde_json::Value;
use workflows::status::StatusState;

use self::fake::{FakeGitlab, PROJECT, Row};
use super::*;
use crate::config::ForgeKind;

fn row(pipeline: u64, name: &str, state: &str) -> (u64, String, String) {
    (pipeline, name.to_owned(), state.to_owned())
}

fn repository() -> RepositoryName {
    RepositoryName::parse(PROJECT).unwrap()
}

fn commit() -> CommitId {
    CommitId::parse(&"1a".repeat(20)).unwrap()
}

fn post_of(context: &str, state: StatusState) -> StatusPost {
    StatusPost {
        context: context.to_owned(),
        state,
        description: "é".repeat(300),
        target_url: "https://strata.example/runs/7".to_owned(),
        annotations: Vec::new(),
        place: StatusPlace::Ref("f43".to_owned()),
    }
}

async fn say(gitlab: &Gitlab, context: &str, state: StatusState) -> Result<(), ForgeError> {
    gitlab.post_status(&repository(), &commit(), &post_of(context, state)).await
}

#[tokio::test]
async fn the_same_state_twice_is_done_and_not_an_error() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    for state in [StatusState::Pending, StatusState::Pending, StatusState::Success] {
        say(&gitlab, "build / image", state).await.unwrap();
    }
    assert_eq!(fake.rows(), [row(10, "build / image", "success")]);
    let (_, last): (String, Value) = fake.model.lock().unwrap().posts.pop().unwrap();
    assert_eq!(last["description"].as_str().unwrap().chars().count(), 255);
    assert_eq!(last["target_url"], "https://strata.example/runs/7");
    say(&gitlab, "build / test", StatusState::Failure).await.unwrap();
    say(&gitlab, "build / push", StatusState::Error).await.unwrap();
    let rows = fake.rows();
    assert_eq!(rows[1..], [row(10, "build / test", "failed"), row(10, "build / push", "failed")]);
}

#[tokio::test]
async fn all_statuses_of_a_commit_stay_in_the_first_ones_pipeline_even_after_a_restart() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    say(&gitlab, "build / image", StatusState::Pending).await.unwrap();
    fake.begin_pipeline(PROJECT, "f43");
    say(&gitlab, "build / test", StatusState::Pending).await.unwrap();
    assert_eq!(fake.model.lock().unwrap().asked, 1, "the pipeline was known");
    // Another process, which remembers nothing, and begins with a status that is new.
    let gitlab = fake.client();
    say(&gitlab, "lint / check", StatusState::Success).await.unwrap();
    say(&gitlab, "build / image", StatusState::Success).await.unwrap();
    say(&gitlab, "build / test", StatusState::Success).await.unwrap();
    let ours = fake.rows().into_iter().filter(|row| row.1 != "its own").collect::<Vec<_>>();
    assert_eq!(
        ours,
        [
            row(10, "build / image", "success"),
            row(10, "build / test", "success"),
            row(10, "lint / check", "success")
        ]
    );
}

#[tokio::test]
async fn statuses_of_other_services_pin_nothing_however_many_they_are() {
    let fake = FakeGitlab::start().await;
    let theirs = fake.begin_pipeline(PROJECT, "main");
    let others = (1..250).map(|n| Row {
        pipeline: theirs,
        name: format!("other {n}"),
        state: "success".to_owned(),
        target_url: "https://ci.example/runs/7".to_owned(),
    });
    fake.model.lock().unwrap().rows.extend(others);
    say(&fake.client(), "build / image", StatusState::Pending).await.unwrap();
    fake.begin_pipeline(PROJECT, "f43");
    say(&fake.client(), "build / test", StatusState::Pending).await.unwrap();
    let rows = fake.rows();
    assert_eq!(rows[250], row(11, "build / image", "pending"));
    assert_eq!(rows[252], row(11, "build / test", "pending"));
    assert_eq!(fake.model.lock().unwrap().asked, 6, "three pages each time");
}

#[tokio::test]
async fn first_statuses_at_once_share_a_pipeline() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    let contexts: Vec<String> = (0..6).map(|n| format!("build / {n}")).collect();
    let all = contexts.iter().map(|context| say(&gitlab, context, StatusState::Pending));
    for said in futures_util::future::join_all(all).await {
        said.unwrap();
    }
    assert_eq!(fake.model.lock().unwrap().asked, 1);
    assert!(fake.rows().iter().all(|row| row.0 == 10));
    assert_eq!(fake.rows().len(), 6);
}

#[tokio::test]
async fn a_project_that_does_not_answer_holds_up_no_other() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    let (slow, commit) = (RepositoryName::parse("group/slow").unwrap(), commit());
    let post = post_of("build / image", StatusState::Pending);
    let hangs = gitlab.post_status(&slow, &commit, &post);
    tokio::select! {
        biased;
        answer = hangs => panic!("{answer:?}"),
        said = say(&gitlab, "build / image", StatusState::Pending) => said.unwrap(),
    }
    assert_eq!(fake.rows().len(), 1);
}

#[tokio::test]
async fn other_refusals_are_refusals_and_an_outage_is_not() {
    let fake = FakeGitlab::start().await;
    let stranger = Gitlab::new(Api::of(ForgeKind::Gitlab, &fake.url, "gu3ss"));
    match say(&stranger, "build / image", StatusState::Pending).await {
        Err(ForgeError::Refused { why }) => {
            assert!(why.contains("token_file") && !why.contains("gu3ss"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let gitlab = fake.client();
    drop(fake);
    let answer = say(&gitlab, "build / image", StatusState::Pending).await;
    assert!(matches!(answer, Err(ForgeError::Retry { .. })), "{answer:?}");
}
