//! A forge that cannot be run here, as an honest HTTP server: it checks tokens, keeps statuses
//! and serves git through `git http-backend`.

pub mod checks;
mod git;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

/// Whose API it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `POST /repos/{owner}/{repo}/statuses/{sha}`, `Authorization: Bearer`.
    Github,
    /// `POST /api/v1/repos/{owner}/{repo}/statuses/{sha}`, `Authorization: token`.
    Forgejo,
}

/// A commit status as it was posted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// `owner/repo`.
    pub repository: String,
    /// The commit.
    pub commit: String,
    /// The body.
    pub status: Value,
}

struct Shared {
    kind: Kind,
    token: String,
    git_root: PathBuf,
    posted: Mutex<Vec<Posted>>,
    outage: Mutex<bool>,
    /// Whether the token lacks the right to set statuses.
    denies: Mutex<bool>,
    /// What git has to show where repositories are private.
    clone_token: Mutex<Option<String>>,
    /// Repositories by the forge's id, which a rename keeps.
    repositories: Mutex<BTreeMap<u64, String>>,
    /// Pull requests, by number, as the API shows them.
    pulls: Mutex<BTreeMap<u64, Value>>,
    /// Accounts that may push to every repository.
    writers: Mutex<Vec<String>>,
    /// What was written into conversations.
    comments: Mutex<Vec<String>>,
    /// Check runs of the App, oldest first; each one's place is its id.
    checks: Mutex<Vec<Value>>,
}

/// A running forge.
pub struct Forge {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Forge {
    /// Starts one that serves the bare repositories below `git_root`.
    pub async fn start(kind: Kind, token: &str, git_root: PathBuf) -> Self {
        let shared = Arc::new(Shared {
            kind,
            token: token.to_owned(),
            git_root,
            posted: Mutex::default(),
            outage: Mutex::default(),
            denies: Mutex::default(),
            clone_token: Mutex::default(),
            repositories: Mutex::default(),
            pulls: Mutex::default(),
            writers: Mutex::default(),
            comments: Mutex::default(),
            checks: Mutex::default(),
        });
        let prefix = match kind {
            Kind::Github => "",
            Kind::Forgejo => "/api/v1",
        };
        let router = Router::new()
            .route(&format!("{prefix}/repos/{{owner}}/{{repo}}/statuses/{{sha}}"), post(status))
            .route(
                &format!("{prefix}/repos/{{owner}}/{{repo}}/issues/{{number}}/comments"),
                post(comment),
            )
            .route(
                &format!("{prefix}/repos/{{owner}}/{{repo}}/collaborators/{{user}}/permission"),
                get(permission),
            )
            .route(&format!("{prefix}/user/repos"), get(repositories))
            .route(&format!("{prefix}/users/{{owner}}/repos"), get(repositories))
            .route(&format!("{prefix}/repos/{{owner}}/{{repo}}"), get(by_name))
            .route(&format!("{prefix}/repositories/{{id}}"), get(by_id))
            .route(&format!("{prefix}/repos/{{owner}}/{{repo}}/pulls"), get(open_pulls))
            .route(&format!("{prefix}/repos/{{owner}}/{{repo}}/pulls/{{number}}"), get(one_pull))
            .route("/git/{*path}", any(git::git))
            .merge(checks::router())
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the forge serves");
        });
        Self { shared, address, server }
    }

    /// Base of its API.
    #[must_use]
    pub fn api_url(&self) -> String {
        match self.shared.kind {
            Kind::Github => format!("http://{}", self.address),
            Kind::Forgejo => format!("http://{}/api/v1", self.address),
        }
    }

    /// Where a repository is fetched from.
    #[must_use]
    pub fn clone_url(&self) -> String {
        format!("http://{}/git/{{repository}}.git", self.address)
    }

    /// Lets git read only with this token.
    pub fn keep_private(&self, token: &str) {
        *self.shared.clone_token.lock().expect("no panic holds it") = Some(token.to_owned());
    }

    /// Answers everything with 503 while it lasts.
    pub fn outage(&self, on: bool) {
        *self.shared.outage.lock().expect("no panic holds it") = on;
    }

    /// From now on, or not any more, the token may not set statuses.
    pub fn deny(&self, on: bool) {
        *self.shared.denies.lock().expect("no panic holds it") = on;
    }

    /// Lists a repository under this id from now on; one of that id is renamed.
    pub fn name_repository(&self, id: u64, name: &str) {
        let mut repositories = self.shared.repositories.lock().expect("no panic holds it");
        repositories.insert(id, name.to_owned());
    }

    /// Opens the pull request that a delivery's body tells of, and delivers nothing.
    pub fn propose(&self, body: &Value) {
        let mut pull = body["pull_request"].clone();
        let number = body["number"].as_u64().expect("a number");
        pull["number"] = number.into();
        pull["state"] = "open".into();
        self.shared.pulls.lock().expect("no panic holds it").insert(number, pull);
    }

    /// Closes a pull request, and delivers nothing.
    pub fn close(&self, number: u64) {
        let mut pulls = self.shared.pulls.lock().expect("no panic holds it");
        let pull = pulls.get_mut(&number).expect("it was opened");
        pull["state"] = "closed".into();
        pull["merged"] = false.into();
        pull["closed_at"] = "2026-01-02T03:04:05Z".into();
    }

    /// From now on this account may push to every repository.
    pub fn add_writer(&self, user: &str) {
        self.shared.writers.lock().expect("no panic holds it").push(user.to_owned());
    }

    /// Every comment that was written, in order.
    #[must_use]
    pub fn comments(&self) -> Vec<String> {
        self.shared.comments.lock().expect("no panic holds it").clone()
    }

    /// Every status that was accepted, in order.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.shared.posted.lock().expect("no panic holds it").clone()
    }

    /// The newest status of a context on a commit.
    #[must_use]
    pub fn status_of(&self, commit: &str, context: &str) -> Option<Value> {
        self.posted()
            .into_iter()
            .rev()
            .find(|posted| posted.commit == commit && posted.status["context"] == context)
            .map(|posted| posted.status)
    }
}

impl Shared {
    /// What is said to a wrong token.
    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let scheme = match self.kind {
            Kind::Github => "Bearer",
            Kind::Forgejo => "token",
        };
        let expected = format!("{scheme} {}", self.token);
        if headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) == Some(&expected) {
            return None;
        }
        let message = json!({"message": "Bad credentials"});
        Some((StatusCode::UNAUTHORIZED, axum::Json(message)).into_response())
    }
}

impl Shared {
    /// Whoever has the token may read, under any name.
    fn lets_read(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &*self.clone_token.lock().expect("no panic holds it") else {
            return true;
        };
        let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        let shown = shown.and_then(|shown| shown.strip_prefix("Basic "));
        let shown = shown.and_then(|shown| BASE64_STANDARD.decode(shown).ok()).unwrap_or_default();
        String::from_utf8_lossy(&shown).split_once(':').is_some_and(|(_, given)| given == token)
    }
}

async fn comment(
    State(forge): State<Arc<Shared>>,
    headers: HeaderMap,
    axum::Json(comment): axum::Json<Value>,
) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    let Some(body) = comment["body"].as_str() else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let mut comments = forge.comments.lock().expect("no panic holds it");
    comments.push(body.to_owned());
    let id = comments.len();
    (StatusCode::CREATED, axum::Json(json!({"id": id, "body": body}))).into_response()
}

fn shown((id, name): (&u64, &String)) -> Value {
    json!({"id": id, "full_name": name, "permissions": {"push": true}})
}

/// All of them are on the first page.
async fn repositories(
    State(forge): State<Arc<Shared>>,
    Query(page): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    let known = forge.repositories.lock().expect("no panic holds it");
    let is_first = page.get("page").is_none_or(|page| page == "1");
    let rows: Vec<Value> = known.iter().filter(|_| is_first).map(shown).collect();
    axum::Json(rows).into_response()
}

async fn by_name(
    State(forge): State<Arc<Shared>>,
    Path((owner, repo)): Path<(String, String)>,
) -> Response {
    let (known, name) =
        (forge.repositories.lock().expect("no panic holds it"), format!("{owner}/{repo}"));
    let found = known.iter().find(|(_, known)| **known == name).map(shown);
    found.map_or(StatusCode::NOT_FOUND.into_response(), |row| axum::Json(row).into_response())
}

async fn by_id(State(forge): State<Arc<Shared>>, Path(id): Path<u64>) -> Response {
    let known = forge.repositories.lock().expect("no panic holds it");
    let found = known.get_key_value(&id).map(shown);
    found.map_or(StatusCode::NOT_FOUND.into_response(), |row| axum::Json(row).into_response())
}

/// All of them are on the first page.
async fn open_pulls(State(forge): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    let pulls = forge.pulls.lock().expect("no panic holds it");
    let open: Vec<&Value> = pulls.values().filter(|pull| pull["state"] == "open").collect();
    axum::Json(json!(open)).into_response()
}

async fn one_pull(
    State(forge): State<Arc<Shared>>,
    Path((_, _, number)): Path<(String, String, u64)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    let pulls = forge.pulls.lock().expect("no panic holds it");
    let found = pulls.get(&number).cloned();
    found.map_or(StatusCode::NOT_FOUND.into_response(), |pull| axum::Json(pull).into_response())
}

async fn permission(
    State(forge): State<Arc<Shared>>,
    Path((_, _, user)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    let writes = forge.writers.lock().expect("no panic holds it").contains(&user);
    let permission = if writes { "write" } else { "read" };
    axum::Json(json!({"permission": permission, "user": {"login": user}})).into_response()
}

async fn status(
    State(forge): State<Arc<Shared>>,
    Path((owner, repo, commit)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if *forge.outage.lock().expect("no panic holds it") {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    if *forge.denies.lock().expect("no panic holds it") {
        let message = json!({"message": "Resource not accessible by integration"});
        return (StatusCode::FORBIDDEN, axum::Json(message)).into_response();
    }
    let Ok(status) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let known = ["pending", "success", "failure", "error"];
    let state = status["state"].as_str().unwrap_or_default();
    let described = status["description"].as_str().unwrap_or_default().chars().count() <= 140;
    if !known.contains(&state) || !described || status["context"].as_str().is_none() {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let mut posted = forge.posted.lock().expect("no panic holds it");
    posted.push(Posted { repository: format!("{owner}/{repo}"), commit, status: status.clone() });
    let answer = answer(forge.kind, posted.len(), &status);
    (StatusCode::CREATED, axum::Json(answer)).into_response()
}

/// What the real one says to a new status.
fn answer(kind: Kind, id: usize, status: &Value) -> Value {
    let now = "2026-01-01T00:00:00Z";
    let mut answer = json!({
        "id": id, "url": "http://forge.example/status", "node_id": "S_1", "avatar_url": null,
        "target_url": status["target_url"], "description": status["description"],
        "context": status["context"], "created_at": now, "updated_at": now, "creator": null,
    });
    let key = match kind {
        Kind::Github => "state",
        Kind::Forgejo => "status",
    };
    answer[key] = status["state"].clone();
    answer
}

/// The hexadecimal HMAC-SHA256 that forges sign deliveries with.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key fits");
    hex::encode(mac.chain_update(body).finalize().into_bytes())
}
