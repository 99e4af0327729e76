//! A commit that is the head of a branch and of a pull request.

use workflows::ids::{EventId, JobId};
use workflows::state::Outcome;

use super::super::jobs::Ending;
use super::pulls::key;
use super::{Story, draft, one_run};

const WAITS: &str = "a Waiting for approval by somebody with write access";

impl Story {
    /// Ends the newest job of that state.
    async fn end_newest(&self, state: &str, outcome: Outcome, message: &str) {
        let job: i64 = sqlx::query_scalar("SELECT max(id) FROM jobs WHERE state = $1")
            .bind(state)
            .fetch_one(&self.store.reader)
            .await
            .unwrap();
        let ending = Ending::new(outcome, None, message);
        self.store.end_job(JobId(job), &ending, self.now).await.unwrap();
    }
}

#[tokio::test]
async fn what_waits_is_not_hidden_by_a_branch_that_has_the_same_commit() {
    let story = Story::begin().await;
    let waits = format!("{WAITS} (pull request 4)");
    story.propose('a', &[draft("build", &[])]).await;
    assert_eq!(story.statuses().await, [WAITS]);
    story.push('a', &[draft("build", &[])]).await;
    assert_eq!(story.statuses().await, [waits.as_str()]);
    story.end_newest("unpinned", Outcome::Success, "Done").await;
    assert_eq!(story.statuses().await, [waits.as_str()], "the branch is green, the change is not");

    let closed = EventId(98);
    story.store.close_pull(&key(), false, closed, story.now).await.unwrap();
    assert_eq!(story.statuses().await, ["a Done"], "that of the branch is what counts now");
}

#[tokio::test]
async fn an_approved_change_is_told_to_its_end_whatever_became_of_the_branch() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[])]).await;
    story.push('a', &[draft("build", &[])]).await;
    story.end_newest("unpinned", Outcome::Failure, "Broken").await;
    story.approve('a').await;
    let told = story.statuses().await;
    assert!(told[0].ends_with(" (pull request 4)"), "{told:?}");
    story.end_newest("unpinned", Outcome::Success, "Done").await;
    assert_eq!(story.statuses().await, ["a Broken (f43)"]);
    // The branch is built again, and then both are well.
    story.run_of('c', 'a', one_run(&[draft("build", &[])])).await;
    story.end_newest("unpinned", Outcome::Success, "Built").await;
    assert_eq!(story.statuses().await, ["a Built (f43)"]);
    assert_eq!(story.text("SELECT state FROM statuses").await, ["success"]);
}

#[tokio::test]
async fn a_head_that_a_change_has_left_says_no_more_of_it() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[])]).await;
    story.approve('a').await;
    story.end_newest("unpinned", Outcome::Failure, "Broken").await;
    story.push('a', &[draft("build", &[])]).await;
    story.end_newest("unpinned", Outcome::Success, "Done").await;
    assert_eq!(story.statuses().await, ["a Broken (pull request 4)"]);
    story.propose('b', &[draft("build", &[])]).await;
    assert_eq!(story.statuses().await[0], "a Done");
}
