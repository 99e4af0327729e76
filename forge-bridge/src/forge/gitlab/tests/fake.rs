//! A small GitLab that finds and makes pipelines as the real one does.

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

/// The project that the tests are about, and the number of the one that forks it.
pub(super) const PROJECT: &str = "group/containers/c++";
pub(super) const FORK: u64 = 77;

/// A pipeline, by its number one of those of a commit.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) id: u64,
    pub(super) project: String,
    pub(super) ref_name: String,
}

/// One row of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) pipeline: u64,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) target_url: String,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) lines: Vec<Line>,
    pub(super) rows: Vec<Row>,
    /// Branches that have the commit, of each project.
    pub(super) branches: Vec<(String, String)>,
    /// Projects that refuse the token.
    pub(super) closed: Vec<String>,
    /// Whether a ref that is no branch is refused.
    pub(super) is_strict: bool,
    /// The project that merge request 7 comes from; nothing once it is deleted.
    pub(super) source: Option<u64>,
    pub(super) asked: usize,
    pub(super) posts: Vec<(String, Value)>,
}

type Shared = Arc<ShortMutex<Model>>;

pub(super) struct FakeGitlab {
    pub(super) model: Shared,
    pub(super) url: String,
    server: JoinHandle<()>,
}

impl Drop for FakeGitlab {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeGitlab {
    /// Has the commit on `main` and `f43` of the project, and on `fix` of the fork.
    pub(super) async fn start() -> Self {
        let model = Shared::default();
        let branches = [(PROJECT, "main"), (PROJECT, "f43"), ("77", "fix")];
        model.lock().unwrap().branches =
            branches.map(|(project, branch)| (project.to_owned(), branch.to_owned())).into();
        model.lock().unwrap().source = Some(FORK);
        let router = Router::new()
            .route("/api/v4/projects/{project}/statuses/{commit}", post(put))
            .route("/api/v4/projects/{project}/repository/commits/{commit}/statuses", get(list))
            .route("/api/v4/projects/{project}/merge_requests/7", get(merge_request))
            .with_state(Arc::clone(&model));
        let (address, server) = serve(router).await;
        Self { model, url: format!("http://{address}/api/v4"), server }
    }

    pub(super) fn client(&self) -> Gitlab {
        Gitlab::new(Api::of(ForgeKind::Gitlab, &self.url, TOKEN))
    }

    pub(super) fn rows(&self) -> Vec<(u64, String, String)> {
        let model = self.model.lock().unwrap();
        let row = |row: &Row| (row.pipeline, row.name.clone(), row.state.clone());
        model.rows.iter().map(row).collect()
    }

    /// Another CI's pipeline of the same commit, with a job.
    pub(super) fn begin_pipeline(&self, project: &str, ref_name: &str) -> u64 {
        let mut model = self.model.lock().unwrap();
        let pipeline = model.begin(project, ref_name);
        model.rows.push(Row {
            pipeline,
            name: "its own".to_owned(),
            state: "running".to_owned(),
            target_url: "https://ci.example/runs/7".to_owned(),
        });
        pipeline
    }

    /// Project, ref and rows of ours of each pipeline.
    pub(super) fn lines(&self) -> Vec<(String, String, usize)> {
        let model = self.model.lock().unwrap();
        let ours = |line: &Line| {
            let rows = model.rows.iter().filter(|row| row.pipeline == line.id);
            rows.filter(|row| row.name != "its own").count()
        };
        let line = |line: &Line| (line.project.clone(), line.ref_name.clone(), ours(line));
        model.lines.iter().map(line).collect()
    }

    /// To which projects statuses were posted, taken or not.
    pub(super) fn posted_to(&self) -> Vec<String> {
        self.model.lock().unwrap().posts.iter().map(|(project, _)| project.clone()).collect()
    }
}

impl Model {
    fn begin(&mut self, project: &str, ref_name: &str) -> u64 {
        let id = 10 + self.lines.len() as u64;
        let (project, ref_name) = (project.to_owned(), ref_name.to_owned());
        self.lines.push(Line { id, project, ref_name });
        id
    }

    /// GitLab's own order: the newest pipeline that fits what is named, else a new one of that ref or
    /// of the first branch that has the commit.
    fn pipeline(&mut self, project: &str, body: &Value) -> Result<u64, (u16, Value)> {
        let (named, id) = (body["ref"].as_str(), body["pipeline_id"].as_u64());
        let fits = |line: &&Line| {
            line.project == project
                && named.is_none_or(|named| named == line.ref_name)
                && id.is_none_or(|id| id == line.id)
        };
        if let Some(line) = self.lines.iter().rev().find(fits) {
            return Ok(line.id);
        }
        if id.is_some() {
            return Err((404, json!("404 Pipeline for pipeline_id, sha and ref Not Found")));
        }
        let mut branches = self.branches.iter().filter(|(of, _)| of == project);
        let is_branch = |named: &str| branches.clone().any(|(_, branch)| branch == named);
        let ref_name = match named {
            Some(named) if self.is_strict && !is_branch(named) => {
                return Err((400, json!({"ref": ["is not there"]})));
            }
            Some(named) => Some(named.to_owned()),
            None => branches.next().map(|(_, branch)| branch.clone()),
        };
        let missing = || (404, json!("404 References for commit Not Found"));
        let ref_name = ref_name.ok_or_else(missing)?;
        Ok(self.begin(project, &ref_name))
    }
}

fn refusal(status: u16, message: Value) -> Response {
    let status = http::StatusCode::from_u16(status).unwrap();
    (status, axum::Json(json!({"message": message}))).into_response()
}

async fn put(
    State(model): State<Shared>,
    Path((project, _commit)): Path<(String, String)>,
    headers: HeaderMap,
    axum::Json(body): axum::Json<Value>,
) -> Response {
    if headers.get("private-token").is_none_or(|token| token != TOKEN) {
        return refusal(401, json!("401 Unauthorized"));
    }
    let mut model = model.lock().unwrap();
    model.posts.push((project.clone(), body.clone()));
    if model.closed.contains(&project) {
        return refusal(403, json!("403 Forbidden"));
    }
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    let (name, state) = (text("name"), text("state"));
    assert!(["pending", "running", "success", "failed", "canceled"].contains(&state.as_str()));
    let pipeline = match model.pipeline(&project, &body) {
        Ok(pipeline) => pipeline,
        Err((status, message)) => return refusal(status, message),
    };
    let open = |row: &&mut Row| {
        let is_open = ["pending", "running"].contains(&row.state.as_str());
        is_open && row.name == name && row.pipeline == pipeline
    };
    match model.rows.iter_mut().find(open) {
        Some(row) if row.state == state => {
            let why = format!("Cannot transition status via :enqueue from :{state}");
            return refusal(400, json!(why));
        }
        Some(row) => row.state = state,
        None => {
            let target_url = text("target_url");
            model.rows.push(Row { pipeline, name: name.clone(), state, target_url });
        }
    }
    let id = model.rows.len();
    let shown = json!({"id": id, "name": name, "pipeline_id": pipeline});
    (http::StatusCode::CREATED, axum::Json(shown)).into_response()
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
    let ref_of = |row: &Row| {
        let line = model.lines.iter().find(|line| line.id == row.pipeline)?;
        (line.project == project).then(|| line.ref_name.clone())
    };
    let shown = model.rows.iter().enumerate().filter_map(|(id, row)| {
        Some(json!({"id": id, "name": row.name, "status": row.state, "ref": ref_of(row)?,
            "pipeline_id": row.pipeline, "target_url": row.target_url}))
    });
    axum::Json(shown.skip((page - 1) * 100).take(100).collect::<Value>()).into_response()
}

async fn merge_request(
    State(model): State<Shared>,
    Path(project): Path<String>,
) -> axum::Json<Value> {
    assert_eq!(project, PROJECT);
    let source = model.lock().unwrap().source;
    axum::Json(json!({"iid": 7, "source_project_id": source, "target_project_id": 1,
        "source_branch": "fix"}))
}
