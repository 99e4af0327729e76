//! Whose the name of a runner is.

use workflows::protocol::Register;

use super::super::runners::{NAME_HELD_SECONDS, Registration};
use super::*;

impl Story {
    /// A registration under the one name, so many seconds after the story began.
    async fn register(&self, credential: &str, second: i64) -> Registration {
        let register = Register {
            name: "builder".to_owned(),
            labels: vec!["docker".to_owned()],
            slots: 1,
            version: "0".to_owned(),
        };
        let now = self.now + TimeDelta::seconds(second);
        self.store.register_runner(&register, credential, now).await.unwrap()
    }

    async fn asks(&self, second: i64) {
        let now = self.now + TimeDelta::seconds(second);
        self.store.runner_seen(RUNNER, now).await.unwrap();
    }

    async fn has(&self, credential: &str) -> bool {
        self.store.runner_with(credential).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_runner_that_lives_is_thrown_out_by_no_other_of_its_name() {
    let story = Story::begin().await;
    assert_eq!(story.register("one", 0).await, Registration::Made(RUNNER));
    assert_eq!(story.register("two", 1).await, Registration::Made(RUNNER), "no answer came");
    story.asks(1).await;
    // Whole seconds are kept, and it is known that it asked behind its registration.
    assert_eq!(story.register("three", 2).await, Registration::NameHeld(0));
    story.asks(30).await;
    let last = 30 + NAME_HELD_SECONDS;
    assert_eq!(story.register("three", last).await, Registration::NameHeld(NAME_HELD_SECONDS));
    assert!(story.has("two").await && !story.has("three").await, "nothing has changed");
    assert_eq!(story.register("three", last + 1).await, Registration::Made(RUNNER));
    assert!(story.has("three").await && !story.has("two").await);
}

#[tokio::test]
async fn a_runner_that_is_busy_lives_although_it_asks_for_nothing() {
    let story = Story::begin().await;
    story.register("one", 0).await;
    story.asks(1).await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    let leased = story.lease("request").await.unwrap();
    let beat = story.now + TimeDelta::seconds(500);
    story.store.heartbeat(RUNNER, leased.job, leased.fence, beat).await.unwrap();
    assert_eq!(story.register("two", 520).await, Registration::NameHeld(20));
    let silent = 500 + NAME_HELD_SECONDS + 1;
    assert_eq!(story.register("two", silent).await, Registration::Made(RUNNER));
}
