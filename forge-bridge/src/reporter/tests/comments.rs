//! Where the token may not set statuses.

use super::*;
use crate::forge::tests::Weather;

/// Makes the run that of pull request 3, and ends it or not.
async fn make_pull(scene: &Scene, state: &str) {
    let mut tx = scene.store.write().await.unwrap();
    for sql in
        ["UPDATE runs SET pull_number = 3, state = $1", "UPDATE status_claims SET place = '#3'"]
    {
        sqlx::query(sql).bind(state).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn refuse(scene: &Scene, reporter: &Reporter, now: DateTime<Utc>) {
    scene.fake.weather(Weather::Closed);
    settle(reporter, now).await;
    scene.fake.weather(Weather::Fair);
}

async fn retry_all(scene: &Scene) {
    let refused = scene.store.refused_statuses(None).await.unwrap();
    let ids: Vec<i64> = refused.iter().map(|(id, _)| *id).collect();
    scene.store.retry_statuses(&ids).await.unwrap();
}

#[tokio::test]
async fn an_end_that_the_token_may_not_set_is_said_in_a_comment_once() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    say(&scene.store, "w / a", &status::running(1), now).await;
    make_pull(&scene, "running").await;
    refuse(&scene, &reporter, now).await;
    assert_eq!(scene.fake.comments(), [""; 0], "what is pending is not worth a comment");

    say(&scene.store, "w / a", &status::finished(Outcome::Failure, None, "Broken"), now).await;
    make_pull(&scene, "finished").await;
    refuse(&scene, &reporter, now).await;
    let comments = scene.fake.comments();
    assert_eq!(comments.len(), 1);
    assert!(comments[0].starts_with("`w / a` on 1a1a1a1a"), "{comments:?}");
    assert!(comments[0].contains("**failure**. Broken"), "{comments:?}");
    assert!(comments[0].contains("https://strata.example/runs/7"), "{comments:?}");

    retry_all(&scene).await;
    refuse(&scene, &reporter, now).await;
    assert_eq!(scene.fake.comments().len(), 1, "the same end is not said twice");
    let filter =
        crate::views::StatusFilter { state: Some("refused".to_owned()), ..Default::default() };
    let listed = scene.store.list_statuses(&filter).await.unwrap().statuses;
    assert_eq!((listed.len(), listed[0].standing.as_str()), (1, "refused"));
    assert!(listed[0].refusal.as_ref().unwrap().contains("right to write commit statuses"));
}

#[tokio::test]
async fn a_status_says_which_branch_or_pull_request_it_is_for() {
    use crate::forge::StatusPlace;
    let scene = Scene::begin().await;
    let now = Utc::now();
    say(&scene.store, "w / a", &status::running(1), now).await;
    let place = async || {
        let behind = scene.store.statuses_behind("forge", NOBODY, now, 1).await.unwrap();
        super::super::place(&behind[0])
    };
    assert_eq!(place().await, StatusPlace::Ref("f43".to_owned()));
    make_pull(&scene, "running").await;
    assert_eq!(place().await, StatusPlace::Unknown);
    let inside = StatusPlace::Pull { number: 3, branch: "fix/tls".to_owned() };
    for (source, expected) in [
        (Some("containers/httpd"), inside),
        (Some("mina/httpd"), StatusPlace::Fork { number: 3 }),
        (None, StatusPlace::Fork { number: 3 }),
    ] {
        let pull: workflows::event::PullRequest = serde_json::from_value(serde_json::json!({
            "repository": "containers/httpd", "number": 3, "action": "opened",
            "head": "1a".repeat(20), "head_branch": "fix/tls", "head_repository": source,
            "base_ref": "refs/heads/f43",
        }))
        .unwrap();
        let mut tx = scene.store.write().await.unwrap();
        sqlx::query("DELETE FROM pull_requests").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        scene.store.meet_pulls("forge", &[&pull], now).await.unwrap();
        assert_eq!(place().await, expected, "{source:?}");
    }
}

#[tokio::test]
async fn a_comment_that_a_crash_cut_short_is_looked_for_and_said_after_all() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    say(&scene.store, "w / a", &status::finished(Outcome::Failure, None, "Broken"), now).await;
    make_pull(&scene, "finished").await;
    scene.store.begin_comment("end of run 7", now).await.unwrap();
    refuse(&scene, &reporter, now).await;
    assert_eq!(scene.fake.comments(), [""; 0], "it may be under way");
    for later in [TimeDelta::minutes(6), TimeDelta::minutes(12)] {
        refuse(&scene, &reporter, now + later).await;
        retry_all(&scene).await;
        assert_eq!(scene.fake.comments().len(), 1);
    }
}

#[tokio::test]
async fn a_run_of_many_jobs_is_told_in_one_comment_when_it_is_over() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    let end = status::finished(Outcome::Success, None, "Done");
    for n in 0..4 {
        say(&scene.store, &format!("w / {n}"), &end, now).await;
    }
    make_pull(&scene, "running").await;
    refuse(&scene, &reporter, now).await;
    assert_eq!(scene.fake.comments(), [""; 0], "others of the run are not over");
    say(&scene.store, "w / a", &end, now).await;
    say(&scene.store, "w / b", &status::finished(Outcome::Failure, None, "Broken"), now).await;
    make_pull(&scene, "finished").await;
    for minutes in [0, 6, 12] {
        refuse(&scene, &reporter, now + TimeDelta::minutes(minutes)).await;
    }
    let comments = scene.fake.comments();
    assert_eq!(comments.len(), 1, "{comments:?}");
    assert_eq!(comments[0].matches("**success**. Done").count(), 5, "{comments:?}");
    assert!(comments[0].contains("- `w / b` on 1a1a1a1a1a1a: **failure**. Broken"), "{comments:?}");
    assert_eq!(scene.store.refused_statuses(None).await.unwrap().len(), 6, "nothing waits");
}

#[tokio::test]
async fn what_waits_for_approval_is_said_once_for_all_jobs_of_the_change() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    for n in 0..3 {
        say(&scene.store, &format!("w / {n}"), &status::awaits_approval(), now).await;
    }
    make_pull(&scene, "running").await;
    for minutes in [0, 6] {
        refuse(&scene, &reporter, now + TimeDelta::minutes(minutes)).await;
    }
    let comments = scene.fake.comments();
    assert_eq!(comments.len(), 1, "{comments:?}");
    let words = "On 1a1a1a1a1a1a: Waiting for approval by somebody with write access, who can say \
                 `/ok-to-test` here.";
    assert!(comments[0].starts_with(words), "{comments:?}");
    assert_eq!(workflows::command::line_of(&comments[0]), None, "it is no command itself");
    let end = status::finished(Outcome::Success, None, "Done");
    for n in 0..3 {
        say(&scene.store, &format!("w / {n}"), &end, now).await;
    }
    make_pull(&scene, "finished").await;
    refuse(&scene, &reporter, now).await;
    assert_eq!(scene.fake.comments().len(), 2, "and how it ended");
}
