//! Against a small GitHub that keeps check runs and wants an installation's token.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use chrono::{TimeDelta, Utc};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use workflows::log_commands::LogCommand;

use super::*;
use crate::config::ForgeConfig;
use crate::forge::Forge;
use crate::forge::tests::serve;

/// A key that was made for this test and opens nothing.
const KEY: &str = include_str!("../../../tests/data/app-key.pem");

#[derive(Default)]
struct Model {
    runs: Vec<Value>,
    tokens: usize,
    lookups: usize,
    /// The number of the installation that there is; 0 for 77.
    installed: u64,
    /// The owner whose installation has asked too much.
    limited: Option<String>,
    /// The owner whose installation is never told, and the bell of who asks for it.
    silent: Option<(String, Arc<Notify>)>,
}

type Shared = Arc<Mutex<Model>>;

fn bearer(headers: &HeaderMap) -> String {
    let value = headers["authorization"].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

/// Only the App itself, with its signed word, may ask for these two.
async fn installation(
    State(model): State<Shared>,
    Path((owner, _)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if bearer(&headers).split('.').count() != 3 {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let silent = model.lock().unwrap().silent.clone();
    if let Some((_, asked)) = silent.filter(|(silent, _)| *silent == owner) {
        asked.notify_one();
        return std::future::pending().await;
    }
    let mut model = model.lock().unwrap();
    model.lookups += 1;
    Json(json!({
        "id": 77 + model.installed, "account": account(), "access_tokens_url": null, "repositories_url": null,
        "html_url": "https://github.example/i", "app_id": 5, "target_id": 1,
        "target_type": "Organization", "permissions": {}, "events": [],
        "single_file_name": null, "repository_selection": "all",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }))
    .into_response()
}

fn account() -> Value {
    let url = "https://github.example/x";
    json!({
        "login": "containers", "id": 1, "node_id": "x", "avatar_url": url, "gravatar_id": "",
        "url": url, "html_url": url, "followers_url": url, "following_url": url,
        "gists_url": url, "starred_url": url, "subscriptions_url": url,
        "organizations_url": url, "repos_url": url, "events_url": url,
        "received_events_url": url, "type": "Organization", "site_admin": false,
    })
}

async fn token(State(model): State<Shared>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    if bearer(&headers).split('.').count() != 3 {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut model = model.lock().unwrap();
    if id != 77 + model.installed {
        return (StatusCode::NOT_FOUND, Json(json!({"message": "Not Found"}))).into_response();
    }
    model.tokens += 1;
    // The first ends within the time of renewal, the next ones as GitHub's do.
    let minutes = if model.tokens == 1 { 4 } else { 60 };
    let end = (Utc::now() + TimeDelta::minutes(minutes)).to_rfc3339();
    let body = json!({"token": format!("ghs_{}", model.tokens), "expires_at": end,
        "permissions": {}, "repositories": null});
    (StatusCode::CREATED, Json(body)).into_response()
}

async fn create(
    State(model): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let mut model = model.lock().unwrap();
    if bearer(&headers) != format!("ghs_{}", model.tokens) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut run = body;
    run["id"] = json!(100 + model.runs.len());
    model.runs.push(run.clone());
    (StatusCode::CREATED, Json(run)).into_response()
}

async fn update(
    State(model): State<Shared>,
    Path((.., id)): Path<(String, String, usize)>,
    Json(body): Json<Value>,
) -> Json<Value> {
    let run = &mut model.lock().unwrap().runs[id - 100];
    *run = body;
    run["id"] = json!(id);
    Json(run.clone())
}

async fn list(
    State(model): State<Shared>,
    Path((owner, ..)): Path<(String, String, String)>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Response {
    let model = model.lock().unwrap();
    if model.limited == Some(owner) {
        return (StatusCode::FORBIDDEN, [("retry-after", "600")]).into_response();
    }
    let runs = &model.runs;
    let named: Vec<&Value> = runs.iter().filter(|run| run["name"] == query["check_name"]).collect();
    Json(json!({"total_count": named.len(), "check_runs": named})).into_response()
}

async fn start() -> (Shared, String, tokio::task::JoinHandle<()>) {
    let model = Shared::default();
    let router = Router::new()
        .route("/repos/{owner}/{repo}/installation", get(installation))
        .route("/app/installations/{id}/access_tokens", post(token))
        .route("/repos/{owner}/{repo}/check-runs", post(create))
        .route("/repos/{owner}/{repo}/check-runs/{id}", patch(update))
        .route("/repos/{owner}/{repo}/commits/{sha}/check-runs", get(list))
        .with_state(Arc::clone(&model));
    let (address, server) = serve(router).await;
    (model, format!("http://{address}"), server)
}

fn forge(url: &str, directory: &std::path::Path) -> Forge {
    let key = directory.join("key.pem");
    std::fs::write(&key, KEY).unwrap();
    let config: ForgeConfig = toml::from_str(&format!(
        "name = \"hub\"\nkind = \"github\"\napi_url = \"{url}\"\n\
         clone_url = \"{url}/{{repository}}.git\"\nwebhook_secret_file = \"/s\"\n\
         app = {{ id = 5, private_key_file = \"{}\" }}\n",
        key.display()
    ))
    .unwrap();
    Forge::open(&config).unwrap()
}

fn post_of(state: StatusState, description: &str) -> StatusPost {
    StatusPost {
        context: "image / build".to_owned(),
        state,
        description: description.to_owned(),
        target_url: "https://strata.example/runs/7".to_owned(),
        annotations: Vec::new(),
        place: Default::default(),
    }
}

#[tokio::test]
async fn an_app_keeps_one_check_run_for_each_context_and_renews_its_token_in_time() {
    let (model, url, _server) = start().await;
    let directory = tempfile::tempdir().unwrap();
    let repository = RepositoryName::parse("containers/httpd").unwrap();
    let commit = CommitId::parse(&"1a".repeat(20)).unwrap();
    let first = forge(&url, directory.path());
    let pending = post_of(StatusState::Pending, "Running");
    first.post_status(&repository, &commit, &pending).await.unwrap();
    first.post_status(&repository, &commit, &pending).await.unwrap();
    // A bridge that was restarted goes on with the same.
    let second = forge(&url, directory.path());
    let mut failed = post_of(StatusState::Failure, "Dockerfile:3:1: unknown instruction");
    failed.annotations = [
        "::warning file=a.c,line=7,endLine=9,title=Style::look",
        "::error::nowhere",
        "::error file=a.c,line=7::",
        "::error file= ,line=7::blank",
    ]
    .into_iter()
    .filter_map(LogCommand::parse)
    .filter_map(|command| match command {
        LogCommand::Annotation(annotation) => Some(annotation),
        _ => None,
    })
    .collect();
    second.post_status(&repository, &commit, &failed).await.unwrap();

    let model = model.lock().unwrap();
    assert_eq!(model.runs.len(), 1, "{:#?}", model.runs);
    let run = &model.runs[0];
    assert_eq!((&run["status"], &run["conclusion"]), (&json!("completed"), &json!("failure")));
    assert_eq!(run["output"]["annotations"][0]["path"], "Dockerfile");
    assert_eq!(run["output"]["annotations"][0]["start_line"], 3);
    let said = &run["output"]["annotations"][1];
    assert_eq!((&said["path"], &said["annotation_level"]), (&json!("a.c"), &json!("warning")));
    assert_eq!((&said["start_line"], &said["end_line"]), (&json!(7), &json!(9)));
    assert_eq!(said["title"], "Style");
    assert_eq!(run["output"]["annotations"].as_array().map(Vec::len), Some(2));
    assert_eq!(run["details_url"], "https://strata.example/runs/7");
    // The token with four minutes left is used by nobody; each client keeps the next one.
    assert_eq!((model.tokens, model.lookups), (3, 2));
}

#[tokio::test]
async fn another_run_of_a_check_that_has_ended_is_a_new_check_run_and_is_made_once() {
    let (model, url, _server) = start().await;
    let directory = tempfile::tempdir().unwrap();
    let repository = RepositoryName::parse("containers/httpd").unwrap();
    let commit = CommitId::parse(&"1a".repeat(20)).unwrap();
    let mut forge = forge(&url, directory.path());
    for (run, state, restarted, expected) in [
        (7, StatusState::Pending, false, &["7 in_progress"][..]),
        // What has not ended goes over to the run that takes its place.
        (8, StatusState::Pending, false, &["8 in_progress"]),
        (8, StatusState::Failure, false, &["8 completed"]),
        (8, StatusState::Failure, true, &["8 completed"]),
        (9, StatusState::Pending, false, &["8 completed", "9 in_progress"]),
        (9, StatusState::Success, true, &["8 completed", "9 completed"]),
        (10, StatusState::Pending, true, &["8 completed", "9 completed", "10 in_progress"]),
        (10, StatusState::Success, false, &["8 completed", "9 completed", "10 completed"]),
        (10, StatusState::Success, false, &["8 completed", "9 completed", "10 completed"]),
    ] {
        if restarted {
            forge = self::forge(&url, directory.path());
        }
        let target_url = format!("https://strata.example/runs/{run}");
        let post = StatusPost { target_url, ..post_of(state, "x") };
        forge.post_status(&repository, &commit, &post).await.unwrap();
        let model = model.lock().unwrap();
        let shown = model.runs.iter().map(|run| {
            let page = run["details_url"].as_str().unwrap().rsplit('/').next().unwrap();
            format!("{page} {}", run["status"].as_str().unwrap())
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{run} {state:?} {restarted}");
        assert!(model.runs.iter().all(|run| run["name"] == "image / build"));
    }
}

#[tokio::test]
async fn an_app_that_is_installed_again_goes_on_with_its_new_installation() {
    let (model, url, _server) = start().await;
    let directory = tempfile::tempdir().unwrap();
    let repository = RepositoryName::parse("containers/httpd").unwrap();
    let commit = CommitId::parse(&"1a".repeat(20)).unwrap();
    let forge = forge(&url, directory.path());
    let post = async |context: &str| {
        let post = StatusPost { context: context.to_owned(), ..post_of(StatusState::Success, "x") };
        forge.post_status(&repository, &commit, &post).await
    };
    // The token of the first has four minutes left, so that the next post asks for another.
    post("a / b").await.unwrap();
    model.lock().unwrap().installed = 1;
    post("a / c").await.unwrap();
    // The token of the second has an hour left, and GitHub takes it no more.
    model.lock().unwrap().installed = 2;
    model.lock().unwrap().tokens += 1;
    post("a / d").await.unwrap();
    assert_eq!(model.lock().unwrap().runs.len(), 3);
}

#[tokio::test]
async fn what_one_installation_used_up_holds_up_no_other() {
    let (model, url, _server) = start().await;
    model.lock().unwrap().limited = Some("containers".to_owned());
    let directory = tempfile::tempdir().unwrap();
    let forge = forge(&url, directory.path());
    let [limited, other] =
        ["containers/httpd", "modules/perl"].map(|name| RepositoryName::parse(name).unwrap());
    let commit = CommitId::parse(&"1a".repeat(20)).unwrap();
    let post = post_of(StatusState::Success, "Built");
    let now = Utc::now();
    let told = forge.post_status(&limited, &commit, &post).await.unwrap_err();
    assert_eq!(forge.heard(&told, now), Some(now + TimeDelta::minutes(10)));
    assert!(forge.quiet_for(&limited, now + TimeDelta::minutes(9)).is_some());
    assert_eq!(forge.quiet_owners(now), ["containers"]);
    assert_eq!(forge.quiet_for(&other, now), None);
    assert_eq!(forge.quiet_until(now), None, "the App itself may ask");
    forge.post_status(&other, &commit, &post).await.unwrap();
    assert_eq!(forge.quiet_for(&limited, now + TimeDelta::minutes(10)), None);
}

#[tokio::test]
async fn an_owner_whose_installation_is_slow_to_come_holds_up_no_other() {
    let (model, url, _server) = start().await;
    let asked = Arc::new(Notify::new());
    model.lock().unwrap().silent = Some(("modules".to_owned(), Arc::clone(&asked)));
    let directory = tempfile::tempdir().unwrap();
    let forge = forge(&url, directory.path());
    let [quick, silent] =
        ["containers/httpd", "modules/perl"].map(|name| RepositoryName::parse(name).unwrap());
    let commit = CommitId::parse(&"1a".repeat(20)).unwrap();
    let post = post_of(StatusState::Success, "Built");
    let waits = forge.post_status(&silent, &commit, &post);
    tokio::pin!(waits);
    tokio::select! {
        _ = &mut waits => panic!("nobody answers"),
        () = asked.notified() => {}
    }
    let posted = forge.post_status(&quick, &commit, &post);
    tokio::time::timeout(Duration::from_secs(10), posted).await.expect("it waits").unwrap();
}

#[test]
fn a_check_run_has_as_many_remarks_as_github_takes_at_once_and_ends_in_its_words() {
    let commit = CommitId::parse(&"1a".repeat(20)).unwrap();
    let Some(LogCommand::Annotation(remark)) = LogCommand::parse("::warning file=a.c,line=7::look")
    else {
        panic!("no remark")
    };
    let mut post = post_of(StatusState::Failure, "Dockerfile:3:1: unknown instruction");
    post.annotations = vec![remark; 80];
    let body = serde_json::to_value(check_run(&commit, &post)).unwrap();
    let remarks = body["output"]["annotations"].as_array().unwrap();
    assert_eq!((remarks.len(), &remarks[0]["path"]), (50, &json!("Dockerfile")));
    // Beside the bound of 65,535 characters, nothing that is written here is long.
    assert!(body["output"]["summary"].as_str().unwrap().len() < 1024);
    for (state, status, conclusion) in [
        (StatusState::Pending, "in_progress", Value::Null),
        (StatusState::Success, "completed", "success".into()),
        (StatusState::Failure, "completed", "failure".into()),
        (StatusState::Error, "completed", "cancelled".into()),
    ] {
        let body = serde_json::to_value(check_run(&commit, &post_of(state, "x"))).unwrap();
        assert_eq!((&body["status"], &body["conclusion"]), (&json!(status), &conclusion));
    }
}

#[test]
fn a_place_in_a_sentence_becomes_an_annotation() {
    let place = |text| annotation(text).map(|found| (found.path, found.start_line, found.message));
    assert_eq!(place("Dockerfile:3:1: no"), Some(("Dockerfile", 3, "no")));
    assert_eq!(
        place(".strata/workflows/a.yml:12: x: y"),
        Some((".strata/workflows/a.yml", 12, "x: y"))
    );
    for none in
        ["Built", "step: failed", "a:0: x", "a:b: x", "/etc/passwd:1: x", "a b:1: x", "a:1:2:3: x"]
    {
        assert_eq!(place(none), None, "{none}");
    }
}
