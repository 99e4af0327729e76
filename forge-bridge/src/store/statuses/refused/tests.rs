//! Refusals, and what becomes of them.

use chrono::TimeDelta;
use workflows::state::Outcome;

use super::super::tests::{NOBODY, say};
use super::*;
use crate::store::statuses::StatusBehind;

async fn open() -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Store::open(&directory.path().join("strata.db")).await.unwrap(), directory)
}

async fn due(store: &Store, now: DateTime<Utc>) -> Vec<StatusBehind> {
    store.statuses_behind("forge", NOBODY, now, 10).await.unwrap()
}

#[tokio::test]
async fn an_end_that_was_refused_is_told_again_where_the_forge_shows_none() {
    let (store, _directory) = open().await;
    let now = Utc::now();
    let end = status::finished(Outcome::Success, None, "Done");
    say(&store, "told", &status::queued(), now).await;
    say(&store, "never told", &end, now).await;
    for one in due(&store, now).await {
        match one.context.as_str() {
            "told" => store.status_reported(&one, now).await.unwrap(),
            _ => store.refuse_status(&one, "no").await.unwrap(),
        }
    }
    say(&store, "told", &end, now).await;
    store.refuse_status(&due(&store, now).await[0], "no").await.unwrap();
    assert_eq!(store.close_statuses(now + TimeDelta::days(1), now).await.unwrap(), 0, "too old");
    assert_eq!(store.close_statuses(now - TimeDelta::days(1), now).await.unwrap(), 2);
    let again = due(&store, now).await;
    let contexts: Vec<&str> = again.iter().map(|one| one.context.as_str()).collect();
    assert_eq!(contexts, ["told", "never told"]);
    assert_eq!(again[0].attempts, 0);
    for one in again {
        store.refuse_status(&one, "no").await.unwrap();
    }
    store.begin_comment("end of run 7", now).await.unwrap();
    store.comment_said("end of run 7").await.unwrap();
    assert_eq!(store.close_statuses(now - TimeDelta::days(1), now).await.unwrap(), 1);
    let contexts: Vec<String> = due(&store, now).await.into_iter().map(|one| one.context).collect();
    assert_eq!(contexts, ["told"], "the end of the other is in a comment");
}

#[tokio::test]
async fn a_refusal_under_the_old_name_of_a_repository_does_not_outlive_it() {
    let (store, directory) = open().await;
    let now = Utc::now();
    say(&store, "a", &status::queued(), now).await;
    say(&store, "b", &status::queued(), now).await;
    let posts = due(&store, now).await;
    store.refuse_status(&posts[0], "307").await.unwrap();
    let vault = crate::vault::Vault::open(&directory.path().join("key"), 0).unwrap();
    let names =
        ["containers/httpd", "containers/apache"].map(|name| RepositoryName::parse(name).unwrap());
    for name in &names {
        store.meet_repository(&vault, "forge", name, Some("9"), now).await.unwrap();
    }
    // The other post was under way when the name changed.
    store.refuse_status(&posts[1], "307").await.unwrap();
    let due = due(&store, now).await;
    assert_eq!(due.len(), 2);
    assert!(due.iter().all(|one| one.repository == names[1]));
}

#[tokio::test]
async fn refusals_are_retried_by_run() {
    let (store, _directory) = open().await;
    let now = Utc::now();
    say(&store, "a", &status::finished(Outcome::Failure, None, "Broken"), now).await;
    let one = due(&store, now).await.remove(0);
    store.refuse_status(&one, "no").await.unwrap();
    assert_eq!(store.refused_statuses(Some(RunId(8))).await.unwrap().len(), 0);
    let refused = store.refused_statuses(Some(RunId(7))).await.unwrap();
    assert_eq!(refused[0].1.as_str(), "containers/httpd");
    assert_eq!(store.refused_statuses(None).await.unwrap(), refused);
    assert_eq!(store.retry_statuses(&[refused[0].0]).await.unwrap(), 1);
    assert_eq!(store.retry_statuses(&[refused[0].0]).await.unwrap(), 0, "not refused any more");
    assert_eq!(due(&store, now).await.len(), 1);
}
