//! Which build gets which number.

use super::super::jobs::Ending;
use super::super::pinning::{Claim, NvrRequest, ReserveError};
use sqlx::Connection as _;

use super::*;

#[tokio::test]
async fn releases_count_up_and_a_given_one_is_used_once() {
    let story = Story::begin().await;
    for after in ['a', 'b', 'c'] {
        story.push(after, &[draft("build", &[])]).await;
        story.pin_all().await;
    }
    assert_eq!(
        story.text("SELECT release FROM nvrs ORDER BY job_id").await,
        ["1.fc43", "2.fc43", "3.fc43"]
    );
    story.push('d', &[draft("build", &[])]).await;
    let job = story.store.unpinned(story.now, 1, (&[], &[])).await.unwrap().remove(0);
    let given = NvrRequest { release: Some("2.fc43".to_owned()), ..request() };
    let complete = |nvr: Option<&_>| spec(&job, nvr);
    let taken = story.store.record_pins(&job, Some(&given), &[], complete, story.now).await;
    let taken = taken.unwrap_err();
    assert!(matches!(&taken, ReserveError::Taken { nvr, .. } if nvr.release == "2.fc43"));
    assert!(taken.to_string().starts_with("Dockerfile:3: httpd-container-2.4-2.fc43 exists"));
    let given = NvrRequest { release: Some("7".to_owned()), ..request() };
    story
        .store
        .record_pins(&job, Some(&given), &[], |nvr| spec(&job, nvr), story.now)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_builds_at_once_get_fifty_consecutive_releases() {
    let story = Story::begin().await;
    let drafts: Vec<JobDraft> = (0..50).map(|n| draft(&format!("build{n}"), &[])).collect();
    story.push('a', &drafts).await;
    let mut pinning = tokio::task::JoinSet::new();
    for job in story.store.unpinned(story.now, 100, (&[], &[])).await.unwrap() {
        let (store, now) = (story.store.clone(), story.now);
        pinning.spawn(async move {
            let complete = |nvr: Option<&_>| spec(&job, nvr);
            store.record_pins(&job, Some(&request()), &[], complete, now).await.unwrap();
        });
    }
    while let Some(pinned) = pinning.join_next().await {
        pinned.unwrap();
    }
    let mut releases = story.text("SELECT release FROM nvrs").await;
    releases.sort_by_key(|release| release.trim_end_matches(".fc43").parse::<u32>().unwrap());
    let expected: Vec<String> = (1..=50).map(|n| format!("{n}.fc43")).collect();
    assert_eq!(releases, expected);
}

#[tokio::test]
async fn isolated_builds_stand_beside_the_count_and_a_failed_one_is_free_again() {
    let story = Story::begin().await;
    let reserve = async |after: char, release: Option<&str>| {
        story.push(after, &[draft("build", &[])]).await;
        let job = story.store.unpinned(story.now, 1, (&[], &[])).await.unwrap().remove(0);
        let wanted = NvrRequest { release: release.map(ToOwned::to_owned), ..request() };
        let complete = |nvr: Option<&_>| spec(&job, nvr);
        story.store.record_pins(&job, Some(&wanted), &[], complete, story.now).await.unwrap();
        job.id
    };
    let release_of = async |job: JobId| {
        let sql = "SELECT release FROM nvrs WHERE job_id = $1";
        let found = sqlx::query_scalar(sql).bind(job.0).fetch_one(&story.store.reader).await;
        let release: String = found.unwrap();
        release
    };
    reserve('a', None).await;
    reserve('b', Some("1.1.fc43")).await;
    let third = reserve('c', None).await;
    assert_eq!(release_of(third).await, "2.fc43", "1.1.fc43 stands on 1.fc43");
    let failed = Ending::failure("no");
    story.store.end_job(third, &failed, story.now).await.unwrap();
    let fourth = reserve('d', None).await;
    assert_eq!(release_of(fourth).await, "2.fc43", "the failed one is free again");
}

#[tokio::test]
async fn a_number_whose_tag_may_be_in_the_registry_is_used_up() {
    let story = Story::begin().await;
    for after in ['a', 'b'] {
        story.push(after, &[draft("build", &[])]).await;
        story.pin_all().await;
    }
    let [with_tag, without] = [JobId(1), JobId(2)];
    story.store.primary_begun(with_tag).await.unwrap();
    for job in [with_tag, without] {
        let lost = Ending::error(Fault::Registry, "gone");
        story.store.end_job(job, &lost, story.now).await.unwrap();
    }
    let states = story.text("SELECT release || ' ' || state FROM nvrs ORDER BY job_id").await;
    assert_eq!(states, ["1.fc43 spent", "2.fc43 free"]);
    story.push('c', &[draft("build", &[])]).await;
    story.pin_all().await;
    let next = story.text("SELECT release FROM nvrs WHERE job_id = 3").await;
    assert_eq!(next, ["2.fc43"], "1.fc43 would meet its own tag for ever");
}

#[tokio::test]
async fn numbers_that_only_the_registry_has_are_stepped_over() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    let next = async |there: &[&str]| {
        let there = there.iter().map(|release| (*release).to_owned()).collect();
        let beside = NvrRequest { there, ..request() };
        story.store.next_nvr(&beside).await.unwrap().release
    };
    assert_eq!(next(&[]).await, "2.fc43");
    assert_eq!(next(&["2.fc43"]).await, "3.fc43");
    assert_eq!(next(&["3.fc43", "2.fc43"]).await, "4.fc43");
}

#[tokio::test]
async fn a_component_and_its_place_are_those_of_the_repository_that_built_them_first() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    story.push('b', &[draft("build", &[])]).await;
    let mut tx = story.store.write().await.unwrap();
    let other = "UPDATE runs SET repository = 'forks/ada' WHERE id = 2";
    sqlx::query(other).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let job = story.store.unpinned(story.now, 1, (&[], &[])).await.unwrap().remove(0);
    let ask = async |name: &str, image: &str, assigned: Option<&str>| {
        let assigned = assigned.map(|name| RepositoryName::parse(name).unwrap());
        let target = Reference { repository: image.to_owned(), ..build(None).target };
        let claim = Some(Claim { target, assigned });
        let wanted = NvrRequest { name: name.to_owned(), claim, ..request() };
        let complete = |nvr: Option<&_>| spec(&job, nvr);
        let asked = story.store.record_pins(&job, Some(&wanted), &[], complete, story.now).await;
        asked.map_err(|error| error.to_string())
    };
    for (name, image, assigned, what, whose) in [
        ("httpd-container", "f43/mine", None, "component `httpd-container`", "containers/httpd"),
        ("mine", "f43/httpd", None, "registry.example/f43/httpd", "containers/httpd"),
        ("mine", "f43/mine", Some("containers/mine"), "`mine` for", "containers/mine"),
    ] {
        let why = ask(name, image, assigned).await.unwrap_err();
        let told = why.starts_with(what) && why.contains(&format!("repository {whose} and"));
        assert!(told, "{why}");
    }
    ask("httpd-container", "f43/httpd", Some("forks/ada")).await.unwrap();
}

#[tokio::test]
async fn the_places_of_what_was_built_before_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("strata.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let held = "DELETE FROM image_tags; DELETE FROM images WHERE id = 2; \
                INSERT INTO nvrs (job_id, name, version, release, state) VALUES \
                (1, 'n', '1', '1', 'complete'), (2, 'n', '1', '2', 'reserved')";
    for sql in [
        include_str!("../../../migrations/0001_first.sql"),
        super::graph::OLD_IMAGES,
        held,
        include_str!("../../../migrations/0100_targets.sql"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut old).await.unwrap();
    }
    let targets: Vec<String> = sqlx::query_scalar("SELECT target FROM nvrs ORDER BY job_id")
        .fetch_all(&mut old)
        .await
        .unwrap();
    assert_eq!(targets, ["registry.example/f43/httpd", ""]);
}

#[tokio::test]
async fn the_number_of_a_cancelled_build_is_free_again() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    story.store.cancel_run(RunId(1), "Cancelled by rose", story.now).await.unwrap();
    story.push('b', &[draft("build", &[])]).await;
    story.pin_all().await;
    let told = story.text("SELECT release || ' ' || state FROM nvrs ORDER BY job_id").await;
    assert_eq!(told, ["1.fc43 free", "1.fc43 reserved"]);
}

#[tokio::test]
async fn a_build_that_is_cancelled_while_it_is_pinned_takes_no_number_and_stays_ended() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    let job = story.store.unpinned(story.now, 1, (&[], &[])).await.unwrap().remove(0);
    story.store.cancel_run(RunId(1), "Cancelled by rose", story.now).await.unwrap();
    let told = async || story.text("SELECT state || ' ' || description FROM statuses").await;
    let ended = told().await;
    let complete = |nvr: Option<&_>| spec(&job, nvr);
    story.store.record_pins(&job, Some(&request()), &[], complete, story.now).await.unwrap();
    let waits = workflows::status::registry_down("registry.example");
    story.store.defer_pinning(job.id, story.now, &waits, story.now).await.unwrap();
    assert_eq!(story.jobs().await, ["build finished cancelled"]);
    assert_eq!(story.text("SELECT state FROM nvrs").await, [""; 0]);
    assert_eq!(told().await, ended, "nothing is queued");
}

#[tokio::test]
async fn numbers_that_ended_builds_kept_are_freed() {
    let story = Story::begin().await;
    for after in ['a', 'b', 'c'] {
        story.push(after, &[draft("build", &[])]).await;
        story.pin_all().await;
    }
    let mut tx = story.store.write().await.unwrap();
    for sql in [
        "UPDATE jobs SET state = 'finished' WHERE id < 3",
        "UPDATE nvrs SET state = 'complete' WHERE job_id = 1",
        include_str!("../../../migrations/0180_numbers_of_the_ended.sql"),
    ] {
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let states = story.text("SELECT state FROM nvrs ORDER BY job_id").await;
    assert_eq!(states, ["complete", "free", "reserved"]);
}
