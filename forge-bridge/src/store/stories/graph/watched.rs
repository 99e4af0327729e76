//! What registries said, and when they are asked again.

use super::*;
use crate::store::watched::{Checked, Said};

#[tokio::test]
async fn every_digest_of_a_reference_is_kept_and_a_silent_registry_adds_none() {
    let mut story = Story::begin().await;
    story.store.watch(&[(base(), vec!["f43".to_owned()])], &[]).await.unwrap();
    let index = |digit| Said::Names(Target::Index(digest(digit)), Some("\"tag\"".to_owned()));
    let failed = || Said::Failed("it answers 502".to_owned());
    let said = [
        index('1'),
        Said::Unchanged,
        failed(),
        index('1'),
        Said::Missing,
        Said::Missing,
        index('1'),
        index('2'),
    ];
    let mut moved = 0;
    for said in said {
        story.now += TimeDelta::minutes(1);
        let due = story.store.watched_due(story.now, 10).await.unwrap();
        let check = Checked { reference: base(), hints: due[0].hints, said, due_at: story.now };
        moved += story.store.record_checks(&[check], story.now).await.unwrap();
    }
    assert_eq!(moved, 2, "from nothing, and from one to the other");
    let seen = story.store.sightings(&base(), 10).await.unwrap();
    let seen: Vec<_> = seen.iter().map(|one| one.target.as_ref().map(|t| t.digest())).collect();
    let (one, two) = (digest('1'), digest('2'));
    assert_eq!(seen, [Some(&two), Some(&one), None, Some(&one)]);
}

#[tokio::test]
async fn a_hint_during_a_question_is_not_lost() {
    let story = Story::begin().await;
    story.store.watch(&[(base(), vec!["f43".to_owned()])], &[]).await.unwrap();
    let due = story.store.watched_due(story.now, 10).await.unwrap();
    let name = ("f43/base".to_owned(), "latest".to_owned());
    assert_eq!(story.store.hint(&[name], story.now).await.unwrap(), 1);
    let check = Checked {
        reference: base(),
        hints: due[0].hints,
        said: Said::Missing,
        due_at: story.now + TimeDelta::hours(1),
    };
    story.store.record_checks(&[check], story.now).await.unwrap();
    assert_eq!(story.store.watched_due(story.now, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn whoever_follows_a_reference_anew_is_told_at_once_and_a_sooner_time_counts() {
    let story = Story::begin().await;
    let follow = async |release: &str| {
        story.store.watch(&[(base(), vec![release.to_owned()])], &[]).await.unwrap();
    };
    let due = async |minutes: i64| {
        let at = story.now + TimeDelta::minutes(minutes);
        story.store.watched_due(at, 10).await.unwrap()
    };
    let answered = async || {
        let hints = due(0).await[0].hints;
        let due_at = story.now + TimeDelta::hours(1);
        let check = Checked { reference: base(), hints, said: Said::Missing, due_at };
        story.store.record_checks(&[check], story.now).await.unwrap();
        assert!(due(59).await.is_empty());
    };
    follow("f43").await;
    answered().await;
    follow("f44").await;
    answered().await;
    for (sooner, later) in [(90, 59), (10, 9)] {
        let at = story.now + TimeDelta::minutes(sooner);
        story.store.due_by([(at, base())].into_iter()).await.unwrap();
        assert!(due(later).await.is_empty(), "{sooner}");
    }
    assert_eq!(due(10).await.len(), 1);
}
