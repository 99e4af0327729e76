//! With a small Forgejo that tells of pull requests only when it is asked.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::extract::{Path as UrlPath, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use workflows::event::{Event, PullRequestAction};

use super::*;
use crate::forge::tests::serve;
use crate::store::NewDelivery;
use crate::webhook::signature::tests::verified;

/// A comment: of which pull request, number, text, and when it was written.
type Comment = (u64, u64, String, DateTime<Utc>);

#[derive(Default)]
pub(super) struct Model {
    /// By number: the head, and whether it is open.
    pulls: Mutex<BTreeMap<u64, (String, bool)>>,
    /// Oldest first.
    pub(super) comments: Mutex<Vec<Comment>>,
    lists: Mutex<usize>,
    pub(super) comment_lists: Mutex<usize>,
    questions: Mutex<usize>,
    /// What the next list is answered with.
    refusal: Mutex<Option<(StatusCode, u32)>>,
    /// The same of comments.
    pub(super) comment_refusal: Mutex<Option<(StatusCode, u32)>>,
}

impl Model {
    /// A pull request of the list: a comment is something that happens to it.
    fn row(&self, number: u64, head: &str) -> Value {
        let mut row = row(number, head, true);
        let comments = self.comments.lock().unwrap();
        let newest = comments.iter().filter(|(of, ..)| *of == number).map(|(.., at)| at).max();
        row["updated_at"] = newest.copied().unwrap_or_default().to_rfc3339().into();
        row
    }
}

fn row(number: u64, head: &str, is_open: bool) -> Value {
    json!({
        "number": number, "state": if is_open { "open" } else { "closed" }, "merged": !is_open,
        "closed_at": (!is_open).then_some("2026-01-02T03:04:05Z"), "user": {"login": "mina"},
        "head": {"sha": head, "ref": "fix", "repo": {"full_name": "mina/httpd"}},
        "base": {"sha": "f".repeat(40), "ref": if number < 100 { "f43" } else { "private" }},
    })
}

async fn list(State(model): State<Arc<Model>>, headers: HeaderMap) -> Response {
    if let Some((status, seconds)) = model.refusal.lock().unwrap().take() {
        return (status, [("retry-after", seconds.to_string())]).into_response();
    }
    *model.lists.lock().unwrap() += 1;
    let pulls = model.pulls.lock().unwrap();
    let talk = model.comments.lock().unwrap().len();
    let etag = format!("\"{talk}{pulls:?}\"").replace(['"', ' '], "");
    if headers.get("if-none-match").is_some_and(|known| known == etag.as_str()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let open = pulls.iter().filter(|(_, (_, is_open))| *is_open);
    let rows: Vec<Value> = open.map(|(number, (head, _))| model.row(*number, head)).collect();
    ([("etag", etag)], Json(rows)).into_response()
}

async fn one(State(model): State<Arc<Model>>, UrlPath(number): UrlPath<u64>) -> Response {
    *model.questions.lock().unwrap() += 1;
    match model.pulls.lock().unwrap().get(&number) {
        Some((head, is_open)) => Json(row(number, head, *is_open)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn comments(
    State(model): State<Arc<Model>>,
    UrlPath(number): UrlPath<u64>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    if let Some((status, seconds)) = model.comment_refusal.lock().unwrap().take() {
        return (status, [("retry-after", seconds.to_string())]).into_response();
    }
    *model.comment_lists.lock().unwrap() += 1;
    let since = query["since"].parse::<DateTime<Utc>>().unwrap();
    let comments = model.comments.lock().unwrap();
    let new = comments.iter().filter(|(of, _, _, at)| *of == number && *at >= since);
    let rows = new.map(|(_, id, text, at)| {
        let at = at.to_rfc3339();
        json!({"id": id, "body": text, "user": {"login": "rose"}, "created_at": at, "updated_at": at})
    });
    Json(rows.collect::<Value>()).into_response()
}

/// What `git upload-pack` says first.
pub(super) async fn advertise() -> impl IntoResponse {
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let service = line("# service=git-upload-pack\n".to_owned());
    let branch = line(format!("{} refs/heads/f43\0 agent=git/2.39\n", "1".repeat(40)));
    let kind = [("content-type", "application/x-git-upload-pack-advertisement")];
    (kind, format!("{service}0000{branch}0000"))
}

pub(super) struct Pulls {
    pub(super) model: Arc<Model>,
    store: Store,
    sweeper: Arc<Sweeper>,
    pub(super) now: DateTime<Utc>,
    _server: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

pub(super) fn head(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

impl Pulls {
    pub(super) async fn begin() -> Self {
        let model = Arc::new(Model::default());
        let project = "/api/v1/repos/containers/httpd";
        let shown = async || Json(json!({"id": 1, "full_name": "containers/httpd"}));
        let router = Router::new()
            .route("/containers/httpd/info/refs", get(advertise))
            .route(project, get(shown))
            .route(&format!("{project}/pulls"), get(list))
            .route(&format!("{project}/pulls/{{number}}"), get(one))
            .route(&format!("{project}/issues/{{number}}/comments"), get(comments))
            .with_state(Arc::clone(&model));
        let (address, server) = serve(router).await;
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().display();
        std::fs::write(directory.path().join("token"), "s3cret").unwrap();
        let text = format!(
            "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
             [[forge]]\nname = \"far\"\nkind = \"forgejo\"\nwebhook_secret_file = \"/unused\"\n\
             token_file = \"{dir}/token\"\napi_url = \"http://{address}/api/v1\"\n\
             clone_url = \"http://{address}/{{repository}}\"\nallow_private = true\n\
             [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\nregistry = \"r.example\"\n\
             namespace = \"f43\"\ndist_tag = \"fc43\"\n"
        );
        let (store, sweeper) = sweeper(&text, directory.path()).await;
        let now = Utc::now();
        let name = RepositoryName::parse("containers/httpd").unwrap();
        store.meet_repository(&sweeper.vault, "far", &name, None, now).await.unwrap();
        Self { model, store, sweeper, now, _server: server, _directory: directory }
    }

    pub(super) fn is(&self, number: u64, head: &str, is_open: bool) {
        self.model.pulls.lock().unwrap().insert(number, (head.to_owned(), is_open));
    }

    /// What the forge's own delivery would have been.
    pub(super) async fn deliver(&self, action: &str, number: u64, head: &str) {
        let body = json!({"action": action, "number": number,
            "pull_request": row(number, head, action != "closed"),
            "repository": {"full_name": "containers/httpd"}, "sender": {"login": "mina"}});
        self.send("pull_request", body).await;
    }

    pub(super) async fn send(&self, event_name: &str, body: Value) {
        let delivery = NewDelivery {
            forge: "far".into(),
            delivery: uuid::Uuid::new_v4().to_string(),
            event_name: event_name.to_owned(),
            headers: "{}".into(),
            body: verified(body.to_string()),
        };
        self.store.insert_deliveries(vec![delivery], self.now).await.unwrap();
        self.decode().await;
    }

    async fn decode(&self) {
        let kinds = [("far".to_owned(), ForgeKind::Forgejo)];
        let decoder = Decoder::new(self.store.clone(), kinds, Arc::default(), Arc::default());
        while decoder.decode_waiting().await.unwrap() > 0 {}
    }

    /// Sweeps as if that many seconds had passed.
    pub(super) async fn sweep_after(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
        while Arc::clone(&self.sweeper).turn(self.now).await.unwrap() == Turn::Busy {}
        self.decode().await;
    }

    /// `source kind state number` of every event, oldest first.
    pub(super) async fn events(&self) -> Vec<String> {
        let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
            "SELECT source, kind, state, event ->> 'number' FROM events
             JOIN deliveries ON deliveries.id = delivery_id ORDER BY events.id",
        )
        .fetch_all(&self.store.reader)
        .await
        .unwrap();
        let words =
            rows.into_iter().map(|(source, kind, state, n)| format!("{source} {kind} {state} {n}"));
        words.collect()
    }

    /// What intake writes once it has planned all of them.
    async fn planned(&self) {
        let mut tx = self.store.write().await.unwrap();
        sqlx::query("UPDATE events SET state = 'planned' WHERE state = 'new'")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn last_action(&self) -> PullRequestAction {
        let text: String = sqlx::query_scalar("SELECT event FROM events ORDER BY id DESC LIMIT 1")
            .fetch_one(&self.store.reader)
            .await
            .unwrap();
        match serde_json::from_str(&text).unwrap() {
            Event::PullRequest(pull) => pull.action,
            other => panic!("{other:?}"),
        }
    }

    fn lists(&self) -> usize {
        std::mem::take(&mut self.model.lists.lock().unwrap())
    }
}

#[tokio::test]
async fn an_opening_a_new_head_and_an_end_that_nobody_told_become_events_once() {
    let mut scene = Pulls::begin().await;
    scene.is(1, &head(1), true);
    scene.sweep_after(0).await;
    assert_eq!(scene.events().await, [""; 0], "what was open before is no news");

    scene.is(2, &head(2), true);
    scene.is(100, &head(9), true);
    scene.sweep_after(900).await;
    assert_eq!(scene.events().await, [""; 0], "its delivery may be on the way");
    scene.sweep_after(60).await;
    assert_eq!(scene.events().await, ["sweep pull_request new 2"], "100 is of no release");
    assert_eq!(scene.last_action().await, PullRequestAction::Opened);
    scene.is(1, &head(3), true);
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    assert_eq!(scene.events().await[1..], ["sweep pull_request new 1"]);
    assert_eq!(scene.last_action().await, PullRequestAction::Synchronized);
    scene.is(2, &head(2), false);
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    assert_eq!(scene.events().await[2..], ["sweep pull_request_closed new 2"]);
    scene.sweep_after(900).await;
    assert_eq!(scene.events().await.len(), 3);
    assert_eq!(*scene.model.questions.lock().unwrap(), 1, "only of the end that nobody told");

    // The deliveries come after all.
    scene.deliver("opened", 2, &head(2)).await;
    scene.deliver("synchronized", 1, &head(3)).await;
    scene.deliver("closed", 2, &head(2)).await;
    assert_eq!(
        scene.events().await[3..],
        [
            "forge pull_request duplicate 2",
            "forge pull_request duplicate 1",
            "forge pull_request_closed duplicate 2"
        ]
    );
}

#[tokio::test]
async fn what_was_delivered_is_not_made_up_and_an_unchanged_list_is_not_sent() {
    let mut scene = Pulls::begin().await;
    scene.is(1, &head(1), true);
    scene.deliver("opened", 1, &head(1)).await;
    scene.sweep_after(0).await;
    scene.is(1, &head(2), true);
    scene.sweep_after(900).await;
    scene.deliver("synchronized", 1, &head(2)).await;
    scene.sweep_after(60).await;
    scene.is(1, &head(2), false);
    scene.deliver("closed", 1, &head(2)).await;
    for _ in 0..3 {
        scene.sweep_after(900).await;
    }
    let told =
        ["forge pull_request new 1", "forge pull_request new 1", "forge pull_request_closed new 1"];
    assert_eq!(scene.events().await, told);
    assert_eq!(scene.lists(), 6, "one question for each look");
    assert_eq!(*scene.model.questions.lock().unwrap(), 0);
}

#[tokio::test]
async fn one_that_was_opened_again_and_deliveries_in_the_wrong_order_are_made_good() {
    let mut scene = Pulls::begin().await;
    scene.is(1, &head(1), true);
    scene.deliver("opened", 1, &head(1)).await;
    scene.sweep_after(0).await;
    scene.deliver("closed", 1, &head(1)).await;
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    assert_eq!(scene.events().await[2..], ["sweep pull_request new 1"]);
    assert_eq!(scene.last_action().await, PullRequestAction::Reopened);

    // Its end overtook its opening.
    scene.is(2, &head(2), false);
    scene.deliver("closed", 2, &head(2)).await;
    scene.deliver("opened", 2, &head(2)).await;
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    let events = scene.events().await;
    assert_eq!(events[3..5], ["forge pull_request_closed new 2", "forge pull_request new 2"]);
    assert_eq!(events.len(), 6, "{events:?}");
    assert_eq!(events[5], "sweep pull_request_closed new 2");
}

#[tokio::test]
async fn a_push_back_to_an_older_head_is_no_gap_and_one_that_nobody_told_is_made_up() {
    let mut scene = Pulls::begin().await;
    scene.is(1, &head(1), true);
    scene.deliver("opened", 1, &head(1)).await;
    scene.sweep_after(0).await;
    scene.deliver("synchronized", 1, &head(2)).await;
    // Forced back: its delivery looks like that of the opening.
    scene.deliver("synchronized", 1, &head(1)).await;
    assert_eq!(scene.events().await[2..], ["forge pull_request new 1"]);
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    assert_eq!(scene.events().await.len(), 3, "it was told");
    scene.planned().await;
    scene.is(1, &head(2), true);
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.events().await[3..], ["sweep pull_request new 1"]);
    assert_eq!(scene.last_action().await, PullRequestAction::Synchronized);
}

#[tokio::test]
async fn a_pause_that_the_list_meets_holds_and_branches_are_looked_at_all_the_same() {
    let mut scene = Pulls::begin().await;
    scene.is(1, &head(1), true);
    scene.sweep_after(0).await;
    assert_eq!(scene.lists(), 1);
    *scene.model.refusal.lock().unwrap() = Some((StatusCode::TOO_MANY_REQUESTS, 1800));
    scene.is(2, &head(2), true);
    scene.sweep_after(900).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.lists(), 0, "the forge asked for half an hour");
    assert_eq!(scene.store.watched_count().await.unwrap(), (1, 0), "the branches were listed");
    scene.sweep_after(1000).await;
    scene.sweep_after(60).await;
    assert_eq!(scene.events().await, ["sweep pull_request new 2"]);
    assert_eq!(scene.lists(), 2);
    *scene.model.refusal.lock().unwrap() = Some((StatusCode::NOT_FOUND, 0));
    scene.sweep_after(900).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.lists(), 1, "switched off for a while is no end");
    assert_eq!(scene.events().await.len(), 1);
}
