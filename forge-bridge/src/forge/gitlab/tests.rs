//! Against a small GitLab: statuses in pipelines, and its refusal to repeat a state.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::config::ForgeKind;
use crate::forge::tests::{TOKEN, serve};

/// One row of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    pipeline: u64,
    name: String,
    state: String,
    target_url: String,
}

#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    /// Where a status without a pipeline goes: GitLab's newest.
    newest_pipeline: u64,
    asked: usize,
    last: Value,
}

type Shared = Arc<Mutex<Model>>;

struct FakeGitlab {
    model: Shared,
    url: String,
    server: JoinHandle<()>,
}

impl Drop for FakeGitlab {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeGitlab {
    async fn start() -> Self {
        let model = Shared::default();
        model.lock().unwrap().newest_pipeline = 10;
        let router = Router::new()
            .route("/api/v4/projects/{project}/statuses/{commit}", post(put))
            .route("/api/v4/projects/{project}/repository/commits/{commit}/statuses", get(list))
            .with_state(Arc::clone(&model));
        let (address, server) = serve(router).await;
        Self { model, url: format!("http://{address}/api/v4"), server }
    }

    fn client(&self) -> Gitlab {
        Gitlab::new(Api::of(ForgeKind::Gitlab, &self.url, TOKEN))
    }

    fn rows(&self) -> Vec<(u64, String, String)> {
        let model = self.model.lock().unwrap();
        let row = |row: &Row| (row.pipeline, row.name.clone(), row.state.clone());
        model.rows.iter().map(row).collect()
    }

    /// Another CI's pipeline of the same commit.
    fn begin_pipeline(&self) {
        self.model.lock().unwrap().newest_pipeline += 1;
    }
}

fn row(pipeline: u64, name: &str, state: &str) -> (u64, String, String) {
    (pipeline, name.to_owned(), state.to_owned())
}

async fn put(
    State(model): State<Shared>,
    Path((project, _commit)): Path<(String, String)>,
    headers: HeaderMap,
    axum::Json(body): axum::Json<Value>,
) -> Response {
    if headers.get("private-token").is_none_or(|token| token != TOKEN) {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({"message": "401 Unauthorized"})))
            .into_response();
    }
    // axum decodes the one encoded word.
    assert_eq!(project, "group/containers/c++");
    let mut model = model.lock().unwrap();
    model.last = body.clone();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    let (name, state) = (text("name"), text("state"));
    assert!(["pending", "running", "success", "failed", "canceled"].contains(&state.as_str()));
    let pipeline = body["pipeline_id"].as_u64().unwrap_or(model.newest_pipeline);
    let open = |row: &&mut Row| {
        let is_open = ["pending", "running"].contains(&row.state.as_str());
        is_open && row.name == name && row.pipeline == pipeline
    };
    match model.rows.iter_mut().find(open) {
        Some(row) if row.state == state => {
            let why = format!("Cannot transition status via :enqueue from :{state}");
            return (StatusCode::BAD_REQUEST, axum::Json(json!({"message": why}))).into_response();
        }
        Some(row) => row.state = state,
        None => {
            let target_url = text("target_url");
            model.rows.push(Row { pipeline, name: name.clone(), state, target_url });
        }
    }
    let id = model.rows.len();
    let shown = json!({"id": id, "name": name, "pipeline_id": pipeline});
    (StatusCode::CREATED, axum::Json(shown)).into_response()
}

async fn list(
    State(model): State<Shared>,
    Path((project, _commit)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if project == "group/slow" {
        return std::future::pending().await;
    }
    let mut model = model.lock().unwrap();
    model.asked += 1;
    assert_eq!(query["per_page"], "100");
    let page: usize = query["page"].parse().unwrap();
    let rows = model.rows.iter().enumerate().skip((page - 1) * 100).take(100);
    let shown = rows.map(|(id, row)| {
        json!({"id": id, "name": row.name, "status": row.state, "pipeline_id": row.pipeline,
            "target_url": row.target_url})
    });
    axum::Json(shown.collect::<Value>()).into_response()
}

fn repository() -> RepositoryName {
    RepositoryName::parse("group/containers/c++").unwrap()
}

fn commit() -> CommitId {
    CommitId::parse(&"1a".repeat(20)).unwrap()
}

fn post_of(context: &str, state: StatusState) -> StatusPost {
    StatusPost {
        context: context.to_owned(),
        state,
        description: "é".repeat(300),
        target_url: "https://strata.example/runs/7".to_owned(),
        annotations: Vec::new(),
    }
}

async fn say(gitlab: &Gitlab, context: &str, state: StatusState) -> Result<(), ForgeError> {
    gitlab.post_status(&repository(), &commit(), &post_of(context, state)).await
}

#[tokio::test]
async fn the_same_state_twice_is_done_and_not_an_error() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    for state in [StatusState::Pending, StatusState::Pending, StatusState::Success] {
        say(&gitlab, "build / image", state).await.unwrap();
    }
    assert_eq!(fake.rows(), [row(10, "build / image", "success")]);
    let last = fake.model.lock().unwrap().last.clone();
    assert_eq!(last["description"].as_str().unwrap().chars().count(), 255);
    assert_eq!(last["target_url"], "https://strata.example/runs/7");
    say(&gitlab, "build / test", StatusState::Failure).await.unwrap();
    say(&gitlab, "build / push", StatusState::Error).await.unwrap();
    let rows = fake.rows();
    assert_eq!(rows[1..], [row(10, "build / test", "failed"), row(10, "build / push", "failed")]);
}

#[tokio::test]
async fn all_statuses_of_a_commit_stay_in_the_first_ones_pipeline_even_after_a_restart() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    say(&gitlab, "build / image", StatusState::Pending).await.unwrap();
    fake.begin_pipeline();
    say(&gitlab, "build / test", StatusState::Pending).await.unwrap();
    assert_eq!(fake.model.lock().unwrap().asked, 1, "the pipeline was known");
    // Another process, which remembers nothing, and begins with a status that is new.
    let gitlab = fake.client();
    say(&gitlab, "lint / check", StatusState::Success).await.unwrap();
    say(&gitlab, "build / image", StatusState::Success).await.unwrap();
    say(&gitlab, "build / test", StatusState::Success).await.unwrap();
    assert_eq!(
        fake.rows(),
        [
            row(10, "build / image", "success"),
            row(10, "build / test", "success"),
            row(10, "lint / check", "success")
        ]
    );
}

#[tokio::test]
async fn statuses_of_other_services_pin_nothing_however_many_they_are() {
    let fake = FakeGitlab::start().await;
    let others = (0..250).map(|n| Row {
        pipeline: 9,
        name: format!("other {n}"),
        state: "success".to_owned(),
        target_url: "https://ci.example/runs/7".to_owned(),
    });
    fake.model.lock().unwrap().rows.extend(others);
    say(&fake.client(), "build / image", StatusState::Pending).await.unwrap();
    fake.begin_pipeline();
    say(&fake.client(), "build / test", StatusState::Pending).await.unwrap();
    let rows = fake.rows();
    assert_eq!(
        rows[250..],
        [row(10, "build / image", "pending"), row(10, "build / test", "pending")]
    );
    assert_eq!(fake.model.lock().unwrap().asked, 6, "three pages each time");
}

#[tokio::test]
async fn first_statuses_at_once_share_a_pipeline() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    let contexts: Vec<String> = (0..6).map(|n| format!("build / {n}")).collect();
    let all = contexts.iter().map(|context| say(&gitlab, context, StatusState::Pending));
    for said in futures_util::future::join_all(all).await {
        said.unwrap();
    }
    assert_eq!(fake.model.lock().unwrap().asked, 1);
    assert!(fake.rows().iter().all(|row| row.0 == 10));
    assert_eq!(fake.rows().len(), 6);
}

#[tokio::test]
async fn a_project_that_does_not_answer_holds_up_no_other() {
    let fake = FakeGitlab::start().await;
    let gitlab = fake.client();
    let (slow, commit) = (RepositoryName::parse("group/slow").unwrap(), commit());
    let post = post_of("build / image", StatusState::Pending);
    let hangs = gitlab.post_status(&slow, &commit, &post);
    tokio::select! {
        biased;
        answer = hangs => panic!("{answer:?}"),
        said = say(&gitlab, "build / image", StatusState::Pending) => said.unwrap(),
    }
    assert_eq!(fake.rows().len(), 1);
}

#[tokio::test]
async fn other_refusals_are_refusals_and_an_outage_is_not() {
    let fake = FakeGitlab::start().await;
    let stranger = Gitlab::new(Api::of(ForgeKind::Gitlab, &fake.url, "gu3ss"));
    match say(&stranger, "build / image", StatusState::Pending).await {
        Err(ForgeError::Refused { why }) => {
            assert!(why.contains("token_file") && !why.contains("gu3ss"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let gitlab = fake.client();
    drop(fake);
    let answer = say(&gitlab, "build / image", StatusState::Pending).await;
    assert!(matches!(answer, Err(ForgeError::Retry { .. })), "{answer:?}");
}
