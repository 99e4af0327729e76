//! Which scratch builds are over, and what the registry still has of them.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::Store;
use super::super::removals::{KeptSince, RemovalEnd, Wanted};
use super::{Story, draft};

/// Image 1: of a closed pull request. 2: of an open one. 3: of nobody, old. 4: a release build, as
/// old, with the manifest of 3. 5: of the closed pull request, still without its documents.
/// Times are hours before the look.
const SEED: &str = "
INSERT INTO events (id, forge, kind, event, created_at) VALUES (1, 'forge', 'push', '{}', 0);
INSERT INTO runs (id, event_id, forge, repository, ref_name, commit_id, release, cause, trust,
    workflow, workflow_path, workflow_origin, workflow_blob, workflow_text, state, created_at,
    fetch_ref, pull_number)
    SELECT value, 1, 'forge', 'containers/httpd', 'refs/heads/f43', 'c', 'f43', 'push', 'trusted',
    'w', 'w' || value, 'repository', '', '', 'finished', 0, '',
    CASE value WHEN 1 THEN 7 WHEN 5 THEN 7 WHEN 2 THEN 8 END
    FROM json_each('[1, 2, 3, 4, 5]');
INSERT INTO jobs (id, run_id, name, needs, draft, state, created_at, context)
    SELECT value, value, 'build', '[]', '{}', 'finished', 0, 'w' || value
    FROM json_each('[1, 2, 3, 4, 5]');
INSERT INTO images (id, job_id, release, reference, registry, repository, digest, size_bytes, mode,
    created_at)
    SELECT value, value, 'f43', 'r.example/f43/httpd:u' || value, 'r.example', 'f43/httpd',
    'sha256:' || substr('11111111111111111111111111111111111111111111111111111111111111112345',
        1, 63) || CASE value WHEN 4 THEN 3 ELSE value END, 1,
    CASE value WHEN 4 THEN 'release' ELSE 'scratch' END,
    unixepoch() - CASE WHEN value IN (3, 4) THEN 1000 ELSE 2 END * 3600
    FROM json_each('[1, 2, 3, 4, 5]');
INSERT INTO image_tags (image_id, class, tag, put_at)
    SELECT value, 'unique', 'u' || value, 1 FROM json_each('[1, 2, 3, 4, 5]');
INSERT INTO attachments (job_id, form) VALUES (5, 'sbom');
INSERT INTO pull_requests (forge, repository, number, pull, head, head_event, state, changed_at)
    VALUES ('forge', 'containers/httpd', 7, '{}', 'c', 1, 'merged', unixepoch() - 3600),
           ('forge', 'containers/httpd', 8, '{}', 'c', 1, 'open', unixepoch() - 3600);";

async fn seeded() -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    let mut tx = store.write().await.unwrap();
    sqlx::raw_sql(SEED).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    (store, directory)
}

/// What is due, and who else wants it.
async fn due(store: &Store, now: DateTime<Utc>) -> Vec<String> {
    let mut told = Vec::new();
    for one in store.removals_due(now, 9).await.unwrap() {
        told.push(format!("{} {:?}", one.image, store.wanted(&one).await.unwrap()));
    }
    told
}

#[tokio::test]
async fn scratch_builds_go_with_their_pull_request_or_by_age_and_no_others() {
    let (store, _directory) = seeded().await;
    let now = Utc::now();
    let hours = TimeDelta::hours;
    let since = |closed, built| KeptSince { closed: now - closed, built: now - built };
    assert_eq!(store.mark_removals(since(hours(2), hours(2000)), now).await.unwrap(), 0);
    assert_eq!(
        store.mark_removals(since(TimeDelta::minutes(30), hours(720)), now).await.unwrap(),
        2
    );
    assert_eq!(
        store.mark_removals(since(TimeDelta::minutes(30), hours(720)), now).await.unwrap(),
        0
    );
    // A release build has the manifest of image 3.
    assert_eq!(due(&store, now).await, ["1 No", "3 Yes"]);

    let first = store.removals_due(now, 1).await.unwrap().remove(0);
    assert_eq!(first.tagged.to_string(), "r.example/f43/httpd:u1");
    store.defer_removal(first.image, now + hours(1), "away").await.unwrap();
    assert_eq!(due(&store, now).await, ["3 Yes"]);
    store.end_removal(first.image, RemovalEnd::Done, "", now + hours(1)).await.unwrap();
    assert_eq!(due(&store, now + hours(1)).await, ["3 Yes"]);
    let gone: Vec<(i64, bool)> =
        sqlx::query_as("SELECT image_id, removed_at IS NOT NULL FROM image_tags ORDER BY image_id")
            .fetch_all(&store.reader)
            .await
            .unwrap();
    assert_eq!(gone, [(1, true), (2, false), (3, false), (4, false), (5, false)]);
    let record: (String, String) =
        sqlx::query_as("SELECT kind, subject FROM record_events WHERE job_id = 1")
            .fetch_one(&store.reader)
            .await
            .unwrap();
    assert_eq!(record, ("tag_removed".into(), "u1".into()));
}

#[tokio::test]
async fn a_manifest_stays_while_a_build_that_may_have_the_same_is_under_way() {
    let story = Story::begin().await;
    story.built('a').await;
    story
        .write_all(
            "UPDATE images SET mode = 'scratch'; \
             INSERT INTO removals (image_id, cause, asked_at) VALUES (1, 'age', 0)",
        )
        .await;
    let removal = story.store.removals_due(story.now, 1).await.unwrap().remove(0);
    let wanted = async || story.store.wanted(&removal).await.unwrap();
    assert_eq!(wanted().await, Wanted::No);
    story.push('b', &[draft("build", &[])]).await;
    story.pin_all().await;
    story.lease("b").await.unwrap();
    assert_eq!(wanted().await, Wanted::Perhaps);
    let later = story.now + TimeDelta::minutes(1);
    story.store.put_removal_off(removal.image, later, "under way").await.unwrap();
    assert!(story.store.removals_due(story.now, 1).await.unwrap().is_empty());
    assert_eq!(story.store.removals_due(later, 1).await.unwrap()[0].tries, 0);
    story.store.force_cancel(workflows::ids::RunId(2), "no", story.now).await.unwrap();
    story.store.reap_expired(story.now + TimeDelta::hours(1)).await.unwrap();
    assert_eq!(wanted().await, Wanted::No, "it is over");
}
