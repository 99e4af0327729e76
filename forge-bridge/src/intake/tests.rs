//! Deliveries of a small Forgejo to their end, with real repositories on this machine, and what
//! the sweep makes of it.

mod late;
mod pulls;
mod reruns;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::TimeDelta;
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::config::ForgeKind;
use crate::forge::tests::{git, serve};
use crate::store::NewDelivery;
use crate::sweeper::Sweeper;
use crate::sweeper::tests::sweeper;
use crate::webhook::decoder::Decoder;
use crate::webhook::signature::tests::verified;

const NULL: &str = "0000000000000000000000000000000000000000";
/// Nobody is there to run it.
const WORKFLOW: &str = "\
on:
  push:
  pull_request:
    types: [opened, synchronize, reopened, labeled]
jobs:
  build:
    runs-on: docker
    steps:
      - uses: strata/layered-build
";

/// A pull request as the forge has it.
#[derive(Clone)]
struct Pull {
    head: String,
    base: &'static str,
    is_open: bool,
}

type Pulls = Arc<Mutex<BTreeMap<u64, Pull>>>;

fn row(number: u64, pull: &Pull) -> Value {
    json!({
        "number": number, "state": if pull.is_open { "open" } else { "closed" }, "merged": false,
        "closed_at": (!pull.is_open).then_some("2026-01-02T03:04:05Z"), "user": {"login": "mina"},
        "head": {"sha": pull.head, "ref": "fix", "repo": {"full_name": "other/httpd"}},
        "base": {"sha": pull.head, "ref": pull.base},
    })
}

async fn list(State(pulls): State<Pulls>) -> Json<Vec<Value>> {
    let pulls = pulls.lock().unwrap();
    Json(pulls.iter().filter(|(_, pull)| pull.is_open).map(|(n, pull)| row(*n, pull)).collect())
}

async fn one(State(pulls): State<Pulls>, UrlPath(number): UrlPath<u64>) -> Response {
    match pulls.lock().unwrap().get(&number) {
        Some(pull) => Json(row(number, pull)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Rose may write, and nobody else.
async fn permission(UrlPath(user): UrlPath<String>) -> Json<Value> {
    Json(json!({"permission": if user == "rose" { "write" } else { "read" }}))
}

struct Scene {
    directory: tempfile::TempDir,
    store: Store,
    intake: Intake,
    sweeper: Arc<Sweeper>,
    pulls: Pulls,
    now: DateTime<Utc>,
    _server: tokio::task::JoinHandle<()>,
}

impl Scene {
    /// A repository with one commit on `f43`, of a release with approval, and on `free`, of one
    /// without.
    async fn begin() -> Self {
        let pulls = Pulls::default();
        let project = "/api/v1/repos/containers/httpd";
        let shown = async || Json(json!({"id": 1, "full_name": "containers/httpd"}));
        let router = Router::new()
            .route(project, get(shown))
            .route(&format!("{project}/pulls"), get(list))
            .route(&format!("{project}/pulls/{{number}}"), get(one))
            .route(&format!("{project}/collaborators/{{user}}/permission"), get(permission))
            .with_state(Arc::clone(&pulls));
        let (address, server) = serve(router).await;
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().display();
        std::fs::write(directory.path().join("token"), "s3cret").unwrap();
        let release = |name: &str, more: &str| {
            format!(
                "[[release]]\nname = \"{name}\"\nbranches = [\"{name}\"]\nregistry = \"r.example\"\n\
                 namespace = \"{name}\"\ndist_tag = \"fc43\"\n{more}"
            )
        };
        let text = format!(
            "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
             [[forge]]\nname = \"far\"\nkind = \"forgejo\"\nwebhook_secret_file = \"/unused\"\n\
             token_file = \"{dir}/token\"\napi_url = \"http://{address}/api/v1\"\n\
             clone_url = \"{dir}/git/{{repository}}.git\"\nallow_private = true\n{}{}",
            release("f43", ""),
            release("free", "pull_requests = \"open\"\n")
        );
        let (store, sweeper) = sweeper(&text, directory.path()).await;
        let planner = Planner {
            config: Arc::clone(&sweeper.config),
            sources: Arc::clone(&sweeper.sources),
            variables: None,
        };
        let intake = Intake {
            store: store.clone(),
            planner,
            forges: Arc::clone(&sweeper.forges),
            wakes: Wakes::default(),
            under_way: Arc::default(),
        };
        let now = Utc::now();
        let scene = Self { directory, store, intake, sweeper, pulls, now, _server: server };
        let bare = scene.bare();
        std::fs::create_dir_all(&bare).unwrap();
        git(&bare, &["init", "-q", "--bare", "."]);
        scene.add_file(".strata/workflows/build.yml", WORKFLOW);
        let first = scene.commit("first");
        scene.put("refs/heads/f43", &first);
        scene.put("refs/heads/free", &first);
        scene
    }

    fn bare(&self) -> PathBuf {
        self.directory.path().join("git/containers/httpd.git")
    }

    /// Adds a file to what the next commits have.
    fn add_file(&self, path: &str, text: &str) {
        let file = self.directory.path().join("file");
        std::fs::write(&file, text).unwrap();
        let blob = git(&self.bare(), &["hash-object", "-w", file.to_str().unwrap()]);
        let entry = format!("100644,{blob},{path}");
        git(&self.bare(), &["update-index", "--add", "--cacheinfo", &entry]);
    }

    /// A commit that no ref leads to; equal words are one commit.
    fn commit(&self, message: &str) -> String {
        let tree = git(&self.bare(), &["write-tree"]);
        git(&self.bare(), &["commit-tree", &tree, "-m", message])
    }

    fn put(&self, ref_name: &str, commit: &str) {
        git(&self.bare(), &["update-ref", ref_name, commit]);
    }

    fn at(&self, ref_name: &str) -> String {
        git(&self.bare(), &["rev-parse", ref_name])
    }

    /// A delivery, decoded and not planned.
    async fn deliver(&self, event_name: &str, body: Value) {
        self.deliver_as(ForgeKind::Forgejo, event_name, body).await;
    }

    /// The same in the words of another kind of forge.
    async fn deliver_as(&self, kind: ForgeKind, event_name: &str, body: Value) {
        let delivery = NewDelivery {
            forge: "far".into(),
            delivery: uuid::Uuid::new_v4().to_string(),
            event_name: event_name.into(),
            headers: "{}".into(),
            body: verified(body.to_string()),
        };
        self.store.insert_deliveries(vec![delivery], self.now).await.unwrap();
        self.decode(kind).await;
    }

    async fn decode(&self, kind: ForgeKind) {
        let kinds = [("far".to_owned(), kind)];
        let decoder = Decoder::new(self.store.clone(), kinds, Arc::default(), Arc::default());
        while decoder.decode_waiting().await.unwrap() > 0 {}
    }

    async fn push(&self, before: &str, after: &str) {
        let body = json!({"ref": "refs/heads/f43", "before": before, "after": after,
            "repository": {"full_name": "containers/httpd"}, "pusher": {"login": "rose"},
            // Two deliveries of the same bytes are one that is replayed.
            "nonce": uuid::Uuid::new_v4().to_string()});
        self.deliver("push", body).await;
    }

    /// Plans what is due after so many minutes from now on.
    async fn plan(&mut self, minutes: i64) {
        self.now = Utc::now().max(self.now + TimeDelta::minutes(minutes));
        for event in self.store.events_due(self.now, 100, &[]).await.unwrap() {
            self.intake.plan(&event, self.now).await.unwrap();
        }
    }

    /// Sweeps twice, with the time between in which a delivery may be on the way, and plans what
    /// was found.
    async fn sweep(&mut self) {
        for seconds in [900, 60] {
            self.now += TimeDelta::seconds(seconds);
            while Arc::clone(&self.sweeper).turn(self.now).await.unwrap() == Turn::Busy {}
            self.decode(ForgeKind::Forgejo).await;
        }
        self.plan(0).await;
    }

    async fn texts(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(&self.store.reader).await.unwrap()
    }

    /// `source kind state` of every event, oldest first.
    async fn events(&self) -> Vec<String> {
        self.texts(
            "SELECT source || ' ' || kind || ' ' || events.state FROM events
             JOIN deliveries ON deliveries.id = delivery_id ORDER BY events.id",
        )
        .await
    }

    async fn last_reason(&self) -> String {
        self.texts("SELECT coalesce(reason, '') FROM events ORDER BY id DESC LIMIT 1")
            .await
            .remove(0)
    }

    /// The commits that were built, oldest run first.
    async fn built(&self) -> Vec<String> {
        self.texts("SELECT coalesce(head_commit, commit_id) FROM runs ORDER BY id").await
    }
}
