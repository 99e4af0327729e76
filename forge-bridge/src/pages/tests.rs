//! Pages and API over real HTTP, on a store whose rows other parts of the bridge would write.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::StatusCode;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use workflows::ids::JobId;

use crate::app::{AppState, MAX_FOLLOWERS};
use crate::config::Config;
use crate::forge_check::Checker;
use crate::key_keeper::KeyKeeper;
use crate::logs::Logs;
use crate::rebuilds::world::Worlds;
use crate::sources::Sources;
use crate::store::Store;
use crate::vault::Vault;
use crate::views::{
    Deliveries, DeliveryDetail, ErrorBody, LogPage, Overview, Replayed, RunDetail, Runs,
};
use crate::wakes::Wakes;

mod rebuilds;
mod session;

const SEED: &str = include_str!("tests/seed.sql");
const TOKEN: &str = "operators-token";

/// A server on seeded data, gone when dropped.
struct Served {
    app: AppState,
    url: String,
    client: reqwest::Client,
    _state_dir: TempDir,
}

impl Served {
    async fn start() -> Self {
        let state_dir = tempfile::tempdir().unwrap();
        let token_file = state_dir.path().join("token");
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        let config: Config = toml::from_str(&format!(
            r#"
            state_dir = "{0}"
            public_url = "https://strata.example/"
            operator_token_file = "{1}"
            registry_hook_token_file = "{1}"
            [[forge]]
            name = "forge"
            kind = "forgejo"
            webhook_secret_file = "none"
            clone_url = "https://forge.example/{{repository}}.git"
            [[release]]
            name = "f43"
            branches = ["f43"]
            registry = "registry.example"
            namespace = "f43"
            rebuild = {{ autorebuild = true }}
            "#,
            state_dir.path().display(),
            token_file.display()
        ))
        .unwrap();
        let store = Store::open(&state_dir.path().join("strata.db")).await.unwrap();
        let served = Self::serve(store, config, state_dir).await;
        served.sql(SEED).await;
        served
    }

    async fn serve(store: Store, config: Config, state_dir: TempDir) -> Self {
        let logs = Logs::open(state_dir.path()).unwrap();
        let config = Arc::new(config);
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let shutdown = CancellationToken::new();
        let forges = Arc::new(HashMap::new());
        let keys = KeyKeeper::new(Arc::clone(&config), Arc::clone(&forges), Arc::default());
        let checker = Checker {
            config: Arc::clone(&config),
            store: store.clone(),
            sources: Arc::new(Sources::new(Arc::clone(&config), Arc::default())),
            forges,
            keys: Arc::new(keys),
        };
        let app = AppState {
            worlds: Worlds::new(store.clone(), Arc::clone(&config)),
            store,
            logs,
            config,
            metrics,
            wakes: Wakes::default(),
            vault: Arc::new(Vault::open(&state_dir.path().join("secrets.key"), 0).unwrap()),
            checker: Arc::new(checker),
            clone_tokens: Arc::default(),
            instance: "test".to_owned(),
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            shutdown,
        };
        let router = super::router(app.clone())
            .merge(crate::api::router(app.clone()))
            .merge(crate::rebuilds::hook::router(app.clone()))
            .merge(crate::metrics::router(app.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { app, url, client: reqwest::Client::new(), _state_dir: state_dir }
    }

    async fn sql(&self, text: &'static str) {
        let mut tx = self.app.store.write().await.unwrap();
        sqlx::raw_sql(text).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn log(&self, job: i64, attempt: u32, offset: u64, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.app.logs.append(JobId(job), attempt, offset, bytes).await.unwrap();
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_str(&self.text(path).await).unwrap()
    }
}

/// Reads a stream until it has shown `until`.
async fn read_until(response: &mut reqwest::Response, until: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(until) {
        let chunk = response.chunk().await.unwrap().expect("the stream ended too early");
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    seen
}

#[tokio::test]
async fn every_page_is_guarded_and_shows_hostile_text_as_text() {
    let served = Served::start().await;
    served.log(6, 1, 0, "<script>alert(2)</script>\x1b[31m red\x1b[0m\n").await;
    let pages = ["/", "/runs/1", "/runs/4", "/deliveries", "/deliveries/4", "/images", "/runners"];
    for path in pages {
        let response = served.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let body = response.text().await.unwrap();
        for hostile in ["<script>alert", "<b>bold", "<img src=x", "\x1b"] {
            assert!(!body.contains(hostile), "{path} lets {hostile:?} through");
        }
    }
    let missing = served.get("/runs/99").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(served.get("/runs/no-number").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(served.get("/?state=purple").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_run_page_tells_the_whole_story() {
    let served = Served::start().await;
    served.log(1, 1, 0, "built layer 1\n").await;
    let page = served.text("/runs/1").await;
    for told in [
        "httpd-container-2.4.66-3.fc43",
        "https://forge.example/containers/httpd/commit/8d5e957f",
        "registry.example/fedora/fedora:43",
        "sha256:4c7a8a2f0d1e3b5a",
        "not yet",
        "Layered build",
        "3 min 18 s",
        "Built httpd-container",
        "none of the 2 changed files matches",
        "built layer 1",
    ] {
        assert!(page.contains(told), "the page does not tell {told:?}");
    }
    assert!(!page.contains("live.js"), "a run that is over needs no script");
    let failed = served.text("/runs/2").await;
    assert!(failed.contains("refused: 422: no such commit") && failed.contains("7 tries"));
    let running = served.text("/runs/3").await;
    assert!(running.contains("/runs/3/jobs/build/log/stream?attempt=2&#38;from=0"), "{running}");
}

#[tokio::test]
async fn the_record_of_a_job_of_a_matrix_is_found_from_both_pages() {
    let served = Served::start().await;
    served.sql("UPDATE jobs SET name = 'build (c++, &#)' WHERE id = 1").await;
    for page in ["/runs/1", "/images"] {
        let text = served.text(page).await;
        assert!(text.contains("/builds/1?job=build%20%28c%2B%2B%2C%20%26%23%29\""), "{page}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged_by_key() {
    let served = Served::start().await;
    let ids = |runs: &Runs| runs.runs.iter().map(|run| run.id.0).collect::<Vec<_>>();
    let first: Runs = served.json("/api/v1/runs?limit=3").await;
    assert_eq!((ids(&first), first.next), (vec![4, 3, 2], Some(2)));
    let second: Runs = served.json("/api/v1/runs?limit=3&before=2").await;
    assert_eq!((ids(&second), second.next), (vec![1], None));
    for (query, expected) in [
        ("repository=containers/httpd", vec![4, 3, 1]),
        ("ref=f43", vec![4, 1]),
        ("ref=refs/heads/rawhide", vec![3, 2]),
        ("state=failure", vec![2]),
        ("state=finished", vec![2, 1]),
        ("release=rawhide&state=running&repository=", vec![3]),
        ("repository=' OR 1=1 --", vec![]),
    ] {
        let runs: Runs = served.json(&format!("/api/v1/runs?{query}")).await;
        assert_eq!(ids(&runs), expected, "{query}");
    }
    let skipped: Deliveries = served.json("/api/v1/deliveries?state=skipped").await;
    let event = skipped.deliveries[0].event.as_ref().unwrap();
    assert!(event.reason.as_deref().unwrap().contains("belongs to no release"));
    let page = served.text("/?release=f43&limit=1").await;
    assert!(page.contains("/?release=f43&#38;limit=1&#38;before=4"), "{page}");
}

#[tokio::test]
async fn the_api_answers_in_its_own_words() {
    let served = Served::start().await;
    let run: RunDetail = served.json("/api/v1/runs/3").await;
    let build = &run.jobs[0];
    assert_eq!((build.steps.len(), build.attempt), (2, 2), "only the newest attempt's steps");
    assert_eq!(build.nvr.as_deref(), Some("httpd-container-2.4.66-4.rawhide"));
    assert_eq!(run.jobs[1].runs_on, ["linux", "kvm"]);
    let run: RunDetail = served.json("/api/v1/runs/1").await;
    let image = run.jobs[0].image.as_ref().unwrap();
    let classes: Vec<&str> = image.tags.iter().map(|tag| tag.class.as_str()).collect();
    assert_eq!(classes, ["unique", "primary", "floating", "floating"]);
    let overview: Overview = served.json("/api/v1/overview").await;
    assert_eq!((overview.jobs_queued, overview.jobs_leased), (1, 1));
    assert_eq!((overview.deliveries_undecoded, overview.statuses_behind), (1, 1));
    assert_eq!((overview.runners, overview.runners_online, overview.slots_online), (2, 1, 2));
    for (path, status) in [
        ("/api/v1/runs/99", StatusCode::NOT_FOUND),
        ("/api/v1/runs/x", StatusCode::BAD_REQUEST),
        ("/api/v1/runs?limit=-1", StatusCode::BAD_REQUEST),
        ("/api/v1/runs?colour=red", StatusCode::BAD_REQUEST),
        ("/api/v1/runs/1/jobs/none/log", StatusCode::NOT_FOUND),
        ("/api/v1/nothing", StatusCode::NOT_FOUND),
    ] {
        let response = served.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let body: ErrorBody = response.json().await.unwrap();
        assert!(!body.error.is_empty(), "{path}");
    }
    let metrics = served.get("/metrics").await;
    assert_eq!(metrics.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_body_of_a_delivery_wants_the_operators_token() {
    let served = Served::start().await;
    let detail: DeliveryDetail = served.json("/api/v1/deliveries/1").await;
    assert_eq!(detail.headers["x-forgejo-event"], "push");
    assert!(!served.text("/api/v1/deliveries/1").await.contains("address"));
    let ask = |token: Option<&str>| {
        let request = served.client.get(format!("{}/api/v1/deliveries/1/body", served.url));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    };
    assert_eq!(ask(None).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask(Some("wrong")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let body = ask(Some(TOKEN)).send().await.unwrap();
    assert_eq!(body.headers()["content-disposition"], "attachment");
    assert_eq!(body.text().await.unwrap(), r#"{"secret":"address"}"#);
}

#[tokio::test]
async fn a_replay_stores_the_bytes_again_for_the_operator_alone() {
    let served = Served::start().await;
    let ask = |id: i64, token: &str| {
        let url = format!("{}/api/v1/deliveries/{id}/replay", served.url);
        served.client.post(url).bearer_auth(token).send()
    };
    assert_eq!(ask(1, "wrong").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask(99, TOKEN).await.unwrap().status(), StatusCode::NOT_FOUND);
    let replayed: Replayed = ask(1, TOKEN).await.unwrap().json().await.unwrap();
    assert_eq!(replayed.original.0, 1);
    served.app.wakes.decoder.notified().await;
    let list: Deliveries = served.json("/api/v1/deliveries?limit=1").await;
    let newest = &list.deliveries[0];
    assert_eq!(newest.id, replayed.delivery);
    assert_eq!((newest.state.as_str(), newest.event_name.as_str()), ("waiting", "push"));
    assert!(newest.delivery.starts_with("replay-"));
}

#[tokio::test]
async fn a_followed_log_goes_on_where_it_broke_and_ends_with_the_job() {
    let served = Served::start().await;
    served.log(4, 2, 0, "one\ntwo\nhalf").await;
    let stream = "/runs/3/jobs/build/log/stream";
    let mut response = served.get(stream).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let seen = read_until(&mut response, "\n\n").await;
    assert!(seen.contains("id: 8\n") && seen.contains("data: one\ndata: two\n\n"), "{seen}");
    served.log(4, 2, 12, " done\n\n").await;
    let seen = read_until(&mut response, "\n\n").await;
    assert!(seen.contains("data: half done\ndata: \n\n"), "{seen}");
    drop(response);

    let request = served.client.get(format!("{}{stream}", served.url));
    let mut response = request.header("last-event-id", "8").send().await.unwrap();
    let seen = read_until(&mut response, "\n\n").await;
    assert!(!seen.contains("two") && seen.contains("data: half done\n"), "{seen}");
    served.log(4, 2, 19, "last words").await;
    served.sql("UPDATE jobs SET state = 'finished', outcome = 'success' WHERE id = 4").await;
    served.app.logs.wake(JobId(4));
    let seen = read_until(&mut response, "event: end").await;
    assert!(seen.contains("data: last words") && seen.contains("event: change"), "{seen}");
    let rest = response.text().await.unwrap();
    assert!(!rest.contains("event:"), "the stream closes after its end: {rest}");
}

#[tokio::test]
async fn a_stream_ends_when_a_newer_attempt_begins() {
    let served = Served::start().await;
    served.log(4, 1, 0, "first try\n").await;
    let mut response = served.get("/runs/3/jobs/build/log/stream?attempt=1").await;
    let seen = read_until(&mut response, "event: end").await;
    assert!(seen.contains("data: first try"), "{seen}");
}

#[tokio::test]
async fn a_stopping_server_lets_go_of_its_followers() {
    let served = Served::start().await;
    let mut response = served.get("/runs/3/jobs/build/log/stream").await;
    served.log(4, 2, 0, "line\n").await;
    read_until(&mut response, "line").await;
    served.app.shutdown.cancel();
    assert!(response.text().await.unwrap().is_empty());
}

#[tokio::test]
async fn plain_text_and_parts_are_cleaned_and_complete() {
    let served = Served::start().await;
    let line = format!("\x1b[32m{}\x1b[0m\r\n", "x".repeat(98));
    let chunk = line.repeat(2_000);
    let mut offset = 0;
    for part in chunk.as_bytes().chunks(200_000) {
        served.log(1, 1, offset, std::str::from_utf8(part).unwrap()).await;
        offset += part.len() as u64;
    }
    let text = served.text("/runs/1/jobs/build/log").await;
    assert_eq!(text, format!("{}\n", "x".repeat(98)).repeat(2_000));
    let mut joined = String::new();
    let mut from = 0;
    loop {
        let path = format!("/api/v1/runs/1/jobs/build/log?from={from}&wait_seconds=5");
        let page: LogPage = served.json(&path).await;
        joined.push_str(&page.text);
        from = page.next;
        if page.finished {
            break;
        }
    }
    assert_eq!((joined.len(), from), (text.len(), offset));
}

#[tokio::test]
async fn a_bridge_whose_store_is_gone_lives_and_is_not_ready() {
    let served = Served::start().await;
    let statuses = async || {
        let (health, ready) = (served.get("/healthz").await, served.get("/readyz").await);
        (health.status(), ready.status())
    };
    assert_eq!(statuses().await, (StatusCode::OK, StatusCode::OK));
    served.app.store.close().await;
    assert_eq!(statuses().await, (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
}
