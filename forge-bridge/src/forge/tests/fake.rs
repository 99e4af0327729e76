//! A forge over HTTP: statuses behind a token, answers on demand, git behind a token.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The only token that opens.
pub(crate) const TOKEN: &str = "s3cret";

/// A status that the forge took.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) repository: String,
    pub(crate) commit: String,
    pub(crate) status: serde_json::Value,
}

/// How the forge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Answers.
    Fair,
    /// Answers everything with 503.
    Away,
    /// Answers two of three requests with 502.
    Storm,
    /// Lets nobody set a status.
    Closed,
}

struct Shared {
    scheme: &'static str,
    weather: Mutex<Weather>,
    /// The repository about whose statuses it never answers.
    silent: Mutex<Option<String>>,
    posted: Mutex<Vec<Posted>>,
    answers: Mutex<VecDeque<(StatusCode, HeaderMap)>>,
    comments: Mutex<Vec<String>>,
    requests: AtomicUsize,
    taken: watch::Sender<usize>,
}

pub(crate) struct FakeForge {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for FakeForge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves on a free port until the task is aborted.
pub(crate) async fn serve(router: Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

impl FakeForge {
    /// Starts one that wants the token after this word.
    pub(crate) async fn start(scheme: &'static str) -> Self {
        let shared = Arc::new(Shared {
            scheme,
            weather: Mutex::new(Weather::Fair),
            silent: Mutex::default(),
            comments: Mutex::default(),
            posted: Mutex::default(),
            answers: Mutex::default(),
            requests: AtomicUsize::new(0),
            taken: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/api/v1/repos/{owner}/{name}/statuses/{commit}", post(status))
            .route(
                "/api/v1/repos/{owner}/{name}/issues/{number}/comments",
                post(comment).get(shown),
            )
            .with_state(Arc::clone(&shared));
        let (address, server) = serve(router).await;
        Self { shared, address, server }
    }

    pub(crate) fn api_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// From now on.
    pub(crate) fn weather(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }

    /// From now on it does not answer about statuses of this repository.
    pub(crate) fn be_silent_about(&self, repository: &str) {
        *self.shared.silent.lock().unwrap() = Some(repository.to_owned());
    }

    /// What the next request is told, in the place of being heard.
    pub(crate) fn answer_next(&self, status: StatusCode, headers: &[(&'static str, &str)]) {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(pair).collect();
        self.shared.answers.lock().unwrap().push_back((status, headers));
    }

    /// Every status that was taken, in order.
    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.shared.posted.lock().unwrap().clone()
    }

    /// Every comment that was taken, in order.
    pub(crate) fn comments(&self) -> Vec<String> {
        self.shared.comments.lock().unwrap().clone()
    }

    /// Waits until that many statuses were taken.
    pub(crate) async fn took(&self, count: usize) {
        let mut taken = self.shared.taken.subscribe();
        taken.wait_for(|taken| *taken >= count).await.unwrap();
    }

    /// How often somebody asked, with whatever answer.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

/// Comments want the same token, and no answer is prepared for them.
async fn comment(
    State(forge): State<Arc<Shared>>,
    headers: HeaderMap,
    axum::Json(body): axum::Json<serde_json::Value>,
) -> StatusCode {
    forge.requests.fetch_add(1, Ordering::SeqCst);
    let expected = format!("{} {TOKEN}", forge.scheme);
    if headers.get(header::AUTHORIZATION).is_none_or(|value| *value != *expected) {
        return StatusCode::UNAUTHORIZED;
    }
    forge.comments.lock().unwrap().push(body["body"].as_str().unwrap().to_owned());
    StatusCode::CREATED
}

async fn shown(State(forge): State<Arc<Shared>>) -> axum::Json<serde_json::Value> {
    forge.requests.fetch_add(1, Ordering::SeqCst);
    let comments = forge.comments.lock().unwrap();
    axum::Json(comments.iter().map(|text| serde_json::json!({"body": text})).collect())
}

async fn status(
    State(forge): State<Arc<Shared>>,
    UrlPath((owner, name, commit)): UrlPath<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let count = forge.requests.fetch_add(1, Ordering::SeqCst);
    let is_silent = forge.silent.lock().unwrap().as_ref() == Some(&format!("{owner}/{name}"));
    if is_silent {
        return std::future::pending().await;
    }
    match *forge.weather.lock().unwrap() {
        Weather::Away => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Weather::Storm if count % 3 != 0 => return StatusCode::BAD_GATEWAY.into_response(),
        Weather::Closed => return StatusCode::FORBIDDEN.into_response(),
        Weather::Storm | Weather::Fair => {}
    }
    if let Some(answer) = forge.answers.lock().unwrap().pop_front() {
        return answer.into_response();
    }
    let expected = format!("{} {TOKEN}", forge.scheme);
    if headers.get(header::AUTHORIZATION).is_none_or(|value| *value != *expected) {
        let message = serde_json::json!({"message": "Bad credentials"});
        return (StatusCode::UNAUTHORIZED, axum::Json(message)).into_response();
    }
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let repository = format!("{owner}/{name}");
    let mut posted = forge.posted.lock().unwrap();
    posted.push(Posted { repository, commit, status });
    forge.taken.send_replace(posted.len());
    (StatusCode::CREATED, axum::Json(serde_json::json!({"id": 1}))).into_response()
}

/// `git http-backend` behind a token.
pub(crate) struct GitServer {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl GitServer {
    pub(crate) async fn start(root: &Path, token: &str) -> Self {
        let encoded = base64::prelude::BASE64_STANDARD.encode(format!("x-access-token:{token}"));
        let state = Arc::new((root.to_owned(), format!("Basic {encoded}")));
        let router = Router::new().route("/{*path}", any(backend)).with_state(state);
        let (address, server) = serve(router).await;
        Self { address, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn backend(
    State(state): State<Arc<(PathBuf, String)>>,
    UrlPath(path): UrlPath<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (root, expected) = &*state;
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if text("authorization") != expected {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        // Pushing needs to know who pushes.
        .env("REMOTE_USER", "strata")
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", query.unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", text("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("GIT_PROTOCOL", text("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(output[end + 4..].to_vec().into()).unwrap()
}
