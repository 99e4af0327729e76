//! Which build gets which number.

use workflows::ids::JobId;
use workflows::plan::JobDraft;

use super::super::jobs::Ending;
use super::super::pinning::{NvrRequest, ReserveError};
use super::{Story, draft, request, spec};

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
    let job = story.store.unpinned(story.now, 1).await.unwrap().remove(0);
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
    for job in story.store.unpinned(story.now, 100).await.unwrap() {
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
        let job = story.store.unpinned(story.now, 1).await.unwrap().remove(0);
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
