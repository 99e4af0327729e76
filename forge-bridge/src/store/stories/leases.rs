//! Who has which job, and until when.

use super::super::leases::LeaseError;
use super::*;

#[tokio::test]
async fn the_same_lease_request_gets_the_same_lease_and_another_gets_none() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    assert!(story.lease("early").await.is_none(), "a job without pins is not leased");
    story.pin_all().await;
    let first = story.lease("one").await.unwrap();
    let again = story.lease("one").await.unwrap();
    assert_eq!((first.job, first.fence, first.attempt), (again.job, again.fence, again.attempt));
    assert!(story.lease("two").await.is_none());
    let labels = ["other".to_owned()];
    let wrong = story.store.lease_next(RUNNER, "three", &labels, story.now).await.unwrap();
    assert!(wrong.is_none(), "labels decide");
}

#[tokio::test]
async fn an_expired_lease_is_a_new_attempt_and_the_old_fence_is_refused() {
    let mut story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    let old = story.lease("one").await.unwrap();
    story.now += TimeDelta::seconds(LEASE_SECONDS + 1);
    assert_eq!(story.store.reap_expired(story.now).await.unwrap(), 1);
    let stale = story.store.heartbeat(RUNNER, old.job, old.fence, story.now).await;
    assert!(matches!(stale, Err(LeaseError::Stale)));
    let late = report(old.fence, Outcome::Success, None);
    let late = story.store.finish(RUNNER, old.job, &late, story.now).await;
    assert!(matches!(late, Err(LeaseError::Stale)));
    story.now += TimeDelta::minutes(1);
    let new = story.lease("two").await.unwrap();
    assert_eq!((new.job, new.attempt), (old.job, 2));
    assert!(new.fence > old.fence);
}

#[tokio::test]
async fn a_lease_that_ran_out_while_the_bridge_was_away_has_the_time_of_a_heartbeat() {
    let mut story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    let lease = story.lease("one").await.unwrap();
    story.now += TimeDelta::minutes(10);
    story.store.give_leases_time(story.now).await.unwrap();
    assert_eq!(story.store.reap_expired(story.now).await.unwrap(), 0);
    story.store.heartbeat(RUNNER, lease.job, lease.fence, story.now).await.unwrap();
    story.now += TimeDelta::seconds(LEASE_SECONDS + 1);
    assert_eq!(story.store.reap_expired(story.now).await.unwrap(), 1, "no word since");
}

/// The runner gave up the first connection, which the bridge has not noticed.
#[tokio::test]
async fn a_request_that_waits_twice_gets_one_job() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[]), draft("test", &[])]).await;
    story.pin_all().await;
    let labels = ["docker".to_owned()];
    let mut jobs = Vec::new();
    for _ in 0..2 {
        // Both saw that something is free, and that the request has nothing.
        let given = story.store.give(RUNNER, "one", &labels, story.now).await.unwrap();
        jobs.push(given.unwrap().job);
    }
    assert_eq!(jobs, [JobId(1), JobId(1)]);
    assert_eq!(story.jobs().await, ["build leased -", "test queued -"]);
}
