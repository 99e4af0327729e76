//! What is said under pull requests while nobody listens.

use http::StatusCode;
use serde_json::json;

use super::pulls::{Pulls, head};
use super::*;

impl Pulls {
    /// Somebody writes a comment, so many seconds before now; the answer is its number.
    fn comment(&self, pull: u64, text: &str, seconds_ago: i64) -> u64 {
        let mut comments = self.model.comments.lock().unwrap();
        let number = comments.len() as u64 + 1;
        let at = self.now - TimeDelta::seconds(seconds_ago);
        comments.push((pull, number, text.to_owned(), at));
        number
    }

    /// Its delivery.
    async fn deliver_comment(&self, pull: u64, comment: u64, text: &str) {
        let body = json!({"action": "created", "issue": {"number": pull, "pull_request": {}},
            "comment": {"id": comment, "body": text, "user": {"login": "rose"}},
            "repository": {"full_name": "containers/httpd"}, "sender": {"login": "rose"}});
        self.send("issue_comment", body).await;
    }

    fn comment_lists(&self) -> usize {
        std::mem::take(&mut self.model.comment_lists.lock().unwrap())
    }
}

/// One that is open and told, and looked at.
async fn begin() -> Pulls {
    let mut scene = Pulls::begin().await;
    scene.is(1, &head(1), true);
    scene.comment(1, "/retest", 100);
    scene.deliver("opened", 1, &head(1)).await;
    scene.sweep_after(0).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.events().await, ["forge pull_request new 1"], "old talk is no news");
    assert_eq!(scene.comment_lists(), 0);
    scene
}

#[tokio::test]
async fn a_command_that_nobody_delivered_becomes_an_event_once() {
    let mut scene = begin().await;
    let number = scene.comment(1, "Fine.\n\n/ok-to-test", 30);
    scene.comment(1, "and thank you", 20);
    scene.sweep_after(0).await;
    scene.sweep_after(10).await;
    assert_eq!(scene.events().await.len(), 1, "its delivery may be on the way");
    scene.sweep_after(900).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.events().await[1..], ["sweep pull_request_commented new 1"]);
    let asked = scene.comment_lists();
    scene.sweep_after(900).await;
    assert_eq!((scene.comment_lists(), asked), (0, 1), "asked when something happened, and once");

    scene.deliver_comment(1, number, "/ok-to-test").await;
    assert_eq!(scene.events().await[2..], ["forge pull_request_commented duplicate 1"]);
}

#[tokio::test]
async fn one_that_was_delivered_is_not_made_up_and_a_later_one_is() {
    let mut scene = begin().await;
    let told = scene.comment(1, "/retest", 0);
    scene.deliver_comment(1, told, "/retest").await;
    scene.sweep_after(900).await;
    scene.comment(1, "/cancel", 0);
    scene.sweep_after(900).await;
    scene.sweep_after(900).await;
    let said = ["forge pull_request_commented new 1", "sweep pull_request_commented new 1"];
    assert_eq!(scene.events().await[1..], said);
}

#[tokio::test]
async fn what_is_said_of_a_head_that_nobody_told_comes_after_it() {
    let mut scene = begin().await;
    scene.is(2, &head(2), true);
    scene.comment(2, "/retest", 0);
    scene.sweep_after(900).await;
    assert_eq!(scene.events().await.len(), 1, "the head comes first, and waits");
    scene.sweep_after(60).await;
    scene.sweep_after(900).await;
    let found = ["sweep pull_request new 2", "sweep pull_request_commented new 2"];
    assert_eq!(scene.events().await[1..], found);
}

#[tokio::test]
async fn a_forge_that_asks_for_a_pause_is_asked_for_the_same_comments_after_it() {
    let mut scene = begin().await;
    scene.comment(1, "/retest", 0);
    *scene.model.comment_refusal.lock().unwrap() = Some((StatusCode::TOO_MANY_REQUESTS, 60));
    scene.sweep_after(900).await;
    assert_eq!((scene.events().await.len(), scene.comment_lists()), (1, 0));
    scene.sweep_after(900).await;
    assert_eq!(scene.events().await[1..], ["sweep pull_request_commented new 1"]);

    // Where they may not be read, nothing is asked again and again.
    scene.comment(1, "/cancel", 0);
    *scene.model.comment_refusal.lock().unwrap() = Some((StatusCode::NOT_FOUND, 0));
    scene.sweep_after(900).await;
    scene.sweep_after(900).await;
    assert_eq!((scene.events().await.len(), scene.comment_lists()), (2, 1));
}
