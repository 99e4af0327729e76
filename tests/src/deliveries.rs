//! Deliveries by hand: what forges send, and what they should not.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::forge::signature;
use crate::world::{WEBHOOK_SECRET, World};

/// The id that stands for "no commit".
pub const NULL: &str = "0000000000000000000000000000000000000000";

/// A request to `/hooks/{forge}`, signed unless a story changes that.
#[derive(Debug, Clone)]
pub struct Delivery {
    forge: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What the bridge said to it.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The body, `null` when it is no JSON.
    pub body: Value,
}

fn fresh_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("delivery-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Delivery {
    /// What `strata hook` sends.
    #[must_use]
    pub fn plain(forge: &str, repository: &str, ref_name: &str, ids: (&str, &str)) -> Self {
        let body = json!({"repository": repository, "ref": ref_name, "before": ids.0,
                          "after": ids.1, "pusher": "mina"});
        Self::of(forge, "x-strata-event", "push", &body)
            .header("x-strata-delivery", &fresh_id())
            .signed("x-strata-signature-256", "sha256=")
    }

    /// An event as GitHub sends it.
    #[must_use]
    pub fn github(forge: &str, event: &str, body: &Value) -> Self {
        Self::of(forge, "x-github-event", event, body)
            .header("x-github-delivery", &fresh_id())
            .signed("x-hub-signature-256", "sha256=")
    }

    /// An event as Forgejo sends it.
    #[must_use]
    pub fn forgejo(forge: &str, event: &str, body: &Value) -> Self {
        Self::of(forge, "x-forgejo-event", event, body)
            .header("x-forgejo-delivery", &fresh_id())
            .signed("x-forgejo-signature", "")
    }

    fn of(forge: &str, event_header: &str, event: &str, body: &Value) -> Self {
        let body = serde_json::to_vec(body).expect("JSON");
        let headers = vec![
            (event_header.to_owned(), event.to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        Self { forge: forge.to_owned(), headers, body }
    }

    fn signed(self, header: &str, prefix: &str) -> Self {
        let digest = signature(WEBHOOK_SECRET, &self.body);
        self.header(header, &format!("{prefix}{digest}"))
    }

    /// With this header in the place of the one it had.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        let mut changed = self.without(name);
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    }

    /// Without that header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// With another id, the rest as it was.
    #[must_use]
    pub fn under_a_new_id(self) -> Self {
        let header = ["x-strata-delivery", "x-github-delivery", "x-forgejo-delivery"]
            .into_iter()
            .find(|name| self.headers.iter().any(|(known, _)| known == name))
            .expect("every delivery has an id");
        self.header(header, &fresh_id())
    }

    /// With other bytes, signed as plain git signs.
    #[must_use]
    pub fn with_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.signed("x-strata-signature-256", "sha256=")
    }

    /// Sends it.
    ///
    /// # Panics
    /// When the bridge does not answer.
    pub async fn send(&self, world: &World) -> Answered {
        let mut request = reqwest::Client::new()
            .post(format!("{}/hooks/{}", world.url(), self.forge))
            .body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.expect("the bridge answers");
        let status = answer.status();
        let body = answer.json().await.unwrap_or_default();
        Answered { status, body }
    }

    /// Sends it; the bridge must take it.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn accepted(&self, world: &World) {
        let answered = self.send(world).await;
        assert_eq!(answered.status, StatusCode::ACCEPTED, "{answered:?}");
    }
}

/// The body of a push, as GitHub and Forgejo write it alike.
#[must_use]
pub fn push_body(repository: &str, ref_name: &str, ids: (&str, &str)) -> Value {
    json!({
        "ref": ref_name, "before": ids.0, "after": ids.1, "forced": false,
        "repository": {"full_name": repository, "name": "x", "private": false},
        "pusher": {"name": "mina", "login": "mina", "email": "mina@example.org"},
        "sender": {"login": "mina"}, "commits": [],
    })
}

/// A comment of somebody on pull request 1, as GitHub and Forgejo write it alike.
#[must_use]
pub fn comment_body(repository: &str, author: &str, text: &str) -> Value {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    json!({
        "action": "created",
        "issue": {"number": 1, "user": {"login": "stranger"}, "pull_request": {"url": "x"}},
        "comment": {"id": COUNT.fetch_add(1, Ordering::Relaxed), "user": {"login": author},
                    "body": text},
        "repository": {"full_name": repository}, "sender": {"login": author},
    })
}

/// A pull request of `head_repository` into a branch of `repository`.
#[must_use]
pub fn pull_request_body(
    repository: &str,
    head_repository: &str,
    branch: &str,
    ids: (&str, &str),
) -> Value {
    json!({
        "action": "opened", "number": 1,
        "repository": {"full_name": repository},
        "pull_request": {
            "head": {"sha": ids.1, "ref": "topic", "repo": {"full_name": head_repository}},
            "base": {"sha": ids.0, "ref": branch, "repo": {"full_name": repository}},
            "user": {"login": "stranger"},
        },
        "sender": {"login": "stranger"},
    })
}
