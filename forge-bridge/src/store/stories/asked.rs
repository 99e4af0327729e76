//! Builds that people ask for, in the store.

use workflows::asked::BuildAsked;
use workflows::event::{Event, RerunAsked};
use workflows::image::BuildMode;
use workflows::names::RequestId;

use super::super::asked::Asking;
use super::super::pinning::ReserveError;
use super::{NvrRequest, Story, branch, commit, draft, one_run, repository, request};

fn asked(id: &str, mode: BuildMode) -> Event {
    Event::BuildAsked(BuildAsked {
        id: RequestId::parse(id).unwrap(),
        repository: repository(),
        ref_name: branch(),
        commit: commit('a'),
        mode,
        release: None,
        actor: "alice".to_owned(),
    })
}

#[tokio::test]
async fn the_same_key_is_the_same_request_and_waits_for_intake_once() {
    let story = Story::begin().await;
    let release = asked("one", BuildMode::Release);
    let Asking::Stored(event) = story.store.ask("forge", &release, story.now).await.unwrap() else {
        panic!("it is new")
    };
    let again = story.store.ask("forge", &release, story.now).await.unwrap();
    assert_eq!(again, Asking::Known(event));
    let scratch = asked("one", BuildMode::Scratch);
    assert_eq!(
        story.store.ask("forge", &scratch, story.now).await.unwrap(),
        Asking::Other(event),
        "another build with the same key"
    );
    let other = asked("two", BuildMode::Release);
    let stored = story.store.ask("forge", &other, story.now).await.unwrap();
    assert!(matches!(stored, Asking::Stored(_)), "{stored:?}");
    let due = story.store.events_due(story.now, 10, &[]).await.unwrap();
    let ids: Vec<_> = due.iter().map(|event| event.id).collect();
    assert_eq!((ids.len(), ids[0]), (2, event));
    let seen = story.store.view_event(event).await.unwrap().unwrap();
    assert_eq!((seen.kind.as_str(), seen.state.as_str()), ("build_asked", "new"));
    assert!(story.store.view_event(workflows::ids::EventId(99)).await.unwrap().is_none());
}

#[tokio::test]
async fn the_next_nvr_is_told_without_being_taken() {
    let story = Story::begin().await;
    let told = async |release: Option<&str>| {
        let request = NvrRequest { release: release.map(ToOwned::to_owned), ..request() };
        story.store.next_nvr(&request).await.map(|nvr| nvr.release)
    };
    assert_eq!(told(None).await.unwrap(), "1.fc43");
    assert_eq!(told(None).await.unwrap(), "1.fc43", "asking takes nothing");
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    assert_eq!(told(None).await.unwrap(), "2.fc43");
    let taken = told(Some("1.fc43")).await.unwrap_err();
    assert!(matches!(&taken, ReserveError::Taken { .. }), "{taken}");
    assert!(taken.to_string().contains("-1.fc43 exists already"), "{taken}");
}

/// Checks of a test build have names of their own, and are made again beside those of the push.
#[tokio::test]
async fn all_checks_of_a_commit_are_those_of_its_push_and_of_its_test_builds() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    for (id, mode) in [
        ("one", BuildMode::Scratch),
        ("two", BuildMode::Scratch),
        // In the place of the push's own.
        ("three", BuildMode::Release),
    ] {
        let Asking::Stored(event) =
            story.store.ask("forge", &asked(id, mode), story.now).await.unwrap()
        else {
            panic!("it is new")
        };
        let decision = story.decision('a', one_run(&[draft("build", &[])]));
        story.store.record_decision(event, "forge", &decision, story.now).await.unwrap();
    }
    let all = RerunAsked {
        repository: repository(),
        head: commit('a'),
        check: None,
        app: 5,
        actor: "rose".to_owned(),
        is_bot: false,
    };
    let runs = story.store.runs_of_checks("forge", &all).await.unwrap();
    let ids: Vec<_> = runs.iter().map(|one| (one.run.0, one.change)).collect();
    assert_eq!(ids, [(3, None), (4, None)]);
    assert_eq!(story.store.runs_of_checks("other", &all).await.unwrap(), []);
}
