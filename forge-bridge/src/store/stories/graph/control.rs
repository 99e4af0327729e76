//! What people say of rebuilds, and branches that are not there.

use super::*;
use crate::store::rebuilds::MISSING;

#[tokio::test]
async fn a_branch_that_one_look_misses_keeps_its_image_and_what_was_said_of_it() {
    let mut story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    story.publish("one", '1', evidence('1')).await;
    story.store.hold(&[this_branch()], Some("waits")).await.unwrap();
    let tried = [Tried { reference: base(), digest: digest('2') }];
    let hours = [0, 23];
    for hour in hours {
        story.now += TimeDelta::hours(hour);
        assert!(!story.store.branch_missing(&this_branch(), &tried, story.now).await.unwrap());
        let control = story.store.controls().await.unwrap().remove(0);
        let failure = control.failure.unwrap();
        assert_eq!((failure.attempts, failure.reason.as_str()), (0, MISSING));
        assert_eq!(control.word.held.as_deref(), Some("waits"));
        assert_eq!(story.store.nodes().await.unwrap().len(), 1);
    }
    // It is seen again: from here on nothing was missed.
    assert!(story.begin_rebuild('2').await);
    story.now += TimeDelta::hours(2);
    assert!(!story.store.branch_missing(&this_branch(), &tried, story.now).await.unwrap());
    story.now += TimeDelta::hours(24);
    assert!(story.store.branch_missing(&this_branch(), &tried, story.now).await.unwrap());
    assert!(story.store.nodes().await.unwrap().is_empty() && story.attempts().await.is_empty());
}

#[tokio::test]
async fn a_stop_of_a_release_is_kept_as_such_and_later_words_go_before_it() {
    let story = Story::begin().await;
    let store = &story.store;
    store.hold_all(Some("f43"), Some("release week")).await.unwrap();
    store.hold(&[this_branch()], None).await.unwrap();
    let held = async || {
        let (holds, controls) = (store.holds().await.unwrap(), store.controls().await.unwrap());
        let said = |release, own| holds.held(release, own).map(ToOwned::to_owned);
        let own = controls.first().map(|control| &control.word);
        [said("f43", own), said("f43", None), said("f44", None)]
    };
    let why = |text: &str| Some(text.to_owned());
    assert_eq!(held().await, [None, why("release week"), None]);
    let version = store.graph_version().await.unwrap();
    store.hold_all(None, Some("power cut")).await.unwrap();
    assert_eq!(held().await, [why("power cut"), why("power cut"), why("power cut")]);
    assert_ne!(store.graph_version().await.unwrap(), version, "the graph is read again");
    store.hold_all(Some("f43"), None).await.unwrap();
    assert_eq!(held().await, [None, None, why("power cut")]);
}

#[tokio::test]
async fn a_rebuild_tells_which_images_it_made() {
    let story = Story::begin().await;
    assert!(story.begin_rebuild('1').await);
    let made = async || story.store.recent_rebuilds(story.now).await.unwrap().remove(0).made;
    assert!(made().await.is_empty());
    let event = story.store.events_due(story.now, 10, &[]).await.unwrap().remove(0);
    let decision = story.decision('a', one_run(&[draft("build", &[])]));
    story.store.record_decision(event.id, "forge", &decision, story.now).await.unwrap();
    story.pin_all().await;
    story.publish("again", '2', evidence('2')).await;
    assert_eq!(made().await, [digest('2')], "and what a push builds is not of it");
}

#[tokio::test]
async fn what_a_workflow_does_not_want_to_hear_of_is_kept() {
    const OWN: &str = "on:\n  push:\n  parent-image:\n    images: ['registry.example/f43/**']\n\
                       jobs:\n  build:\n    runs-on: docker\n    steps:\n      \
                       - uses: strata/layered-build\n";
    let story = Story::begin().await;
    for (after, text, expected) in [('a', "", None), ('b', OWN, Some(Vec::new()))] {
        let run = PlannedRun { text: text.to_owned(), ..one_run(&[draft("build", &[])]) };
        story.run_of(after, after, run).await;
        story.pin_all().await;
        story.publish(&after.to_string(), after, evidence(after)).await;
        let node = story.store.nodes().await.unwrap().remove(0);
        assert_eq!(node.built.refused, expected, "{after}");
    }
}
