//! Check runs as GitHub keeps them: an App makes them with the token of its installation, and people
//! press buttons that ask the App for them again.

use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use serde_json::{Value, json};

use super::{Forge, Shared};

/// The number of the App.
pub const APP: u64 = 5;
/// A key that was made for tests and opens nothing.
pub const APP_KEY: &str = include_str!("../../../forge-bridge/tests/data/app-key.pem");
const INSTALLATION: u64 = 77;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/repos/{owner}/{repo}/installation", get(installation))
        .route("/app/installations/{id}/access_tokens", post(token))
        .route("/repos/{owner}/{repo}/check-runs", post(create))
        .route("/repos/{owner}/{repo}/check-runs/{id}", patch(update))
        .route("/repos/{owner}/{repo}/commits/{sha}/check-runs", get(list))
}

impl Forge {
    /// The check runs of a name on a commit, oldest first: each its conclusion, or its status while it
    /// has none.
    #[must_use]
    pub fn checks(&self, commit: &str, name: &str) -> Vec<String> {
        let checks = self.shared.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let of = checks.iter().filter(|one| one["head_sha"] == commit && one["name"] == name);
        of.map(|one| {
            one["conclusion"].as_str().or(one["status"].as_str()).expect("a word").to_owned()
        })
        .collect()
    }

    /// Takes the end of the newest check run of a name away, as older servers do when somebody presses
    /// its button.
    pub fn take_end_away(&self, commit: &str, name: &str) {
        let mut checks = self.shared.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |one: &&mut Value| one["head_sha"] == commit && one["name"] == name;
        let check = checks.iter_mut().rfind(is_it).expect("a check run of that name");
        check["status"] = "queued".into();
        check["conclusion"] = Value::Null;
    }

    /// Somebody presses "Re-run" at the newest check run of a name, which stays as it is. The answer is
    /// the body of the delivery, `check_run`.
    #[must_use]
    pub fn press(&self, commit: &str, name: &str, by: &str) -> Value {
        let checks = self.shared.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |one: &&Value| one["head_sha"] == commit && one["name"] == name;
        let check = checks.iter().rfind(is_it).expect("a check run of that name");
        let mut body = asked(&check["repository"], by);
        body["check_run"] = check.clone();
        body
    }

    /// Somebody presses "Re-run all checks" of a commit. The answer is the body of the delivery,
    /// `check_suite`.
    #[must_use]
    pub fn press_all(&self, commit: &str, by: &str) -> Value {
        let checks = self.shared.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let check = checks.iter().find(|one| one["head_sha"] == commit).expect("a check run");
        let mut body = asked(&check["repository"], by);
        body["check_suite"] = json!({"id": 3, "head_sha": commit, "app": {"id": APP}});
        body
    }
}

fn asked(repository: &Value, by: &str) -> Value {
    json!({
        "action": "rerequested", "repository": {"full_name": repository},
        "sender": {"login": by, "type": "User"},
    })
}

/// Whether the App itself asks, with what it signed.
fn is_app(headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
    let signed = shown.and_then(|shown| shown.strip_prefix("Bearer "));
    signed.is_some_and(|signed| signed.split('.').count() == 3)
}

async fn installation(headers: HeaderMap) -> Response {
    if !is_app(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let url = "https://github.example/x";
    let account = json!({
        "login": "containers", "id": 1, "node_id": "x", "avatar_url": url, "gravatar_id": "",
        "url": url, "html_url": url, "followers_url": url, "following_url": url,
        "gists_url": url, "starred_url": url, "subscriptions_url": url,
        "organizations_url": url, "repos_url": url, "events_url": url,
        "received_events_url": url, "type": "Organization", "site_admin": false,
    });
    axum::Json(json!({
        "id": INSTALLATION, "account": account, "access_tokens_url": null,
        "repositories_url": null, "html_url": url, "app_id": APP, "target_id": 1,
        "target_type": "Organization", "permissions": {}, "events": [],
        "single_file_name": null, "repository_selection": "all",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }))
    .into_response()
}

async fn token(
    State(forge): State<Arc<Shared>>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    if !is_app(&headers) || id != INSTALLATION {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let token = json!({
        "token": forge.token, "expires_at": "2999-01-01T00:00:00Z", "permissions": {},
        "repositories": null,
    });
    (StatusCode::CREATED, axum::Json(token)).into_response()
}

/// Whether GitHub would take it: what has ended has a conclusion, and nothing else has one.
fn is_valid(check: &Value) -> bool {
    let ends = ["success", "failure", "cancelled"];
    let (status, end) = (check["status"].as_str(), check["conclusion"].as_str());
    check["name"].as_str().is_some_and(|name| !name.is_empty())
        && check["output"]["title"].is_string()
        && match status {
            Some("completed") => end.is_some_and(|end| ends.contains(&end)),
            Some("queued" | "in_progress") => end.is_none(),
            _ => false,
        }
}

async fn create(
    State(forge): State<Arc<Shared>>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
    axum::Json(mut check): axum::Json<Value>,
) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    if !is_valid(&check) || !check["head_sha"].is_string() {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let mut checks = forge.checks.lock().unwrap_or_else(PoisonError::into_inner);
    check["id"] = checks.len().into();
    check["app"] = json!({"id": APP, "slug": "strata"});
    check["repository"] = format!("{owner}/{repo}").into();
    checks.push(check.clone());
    (StatusCode::CREATED, axum::Json(check)).into_response()
}

async fn update(
    State(forge): State<Arc<Shared>>,
    Path((_, _, id)): Path<(String, String, usize)>,
    headers: HeaderMap,
    axum::Json(change): axum::Json<Value>,
) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    if !is_valid(&change) {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let mut checks = forge.checks.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(check) = checks.get_mut(id) else { return StatusCode::NOT_FOUND.into_response() };
    for key in ["name", "external_id", "details_url", "status", "conclusion", "output"] {
        check[key] = change[key].clone();
    }
    axum::Json(check.clone()).into_response()
}

/// All of them are on the first page.
async fn list(
    State(forge): State<Arc<Shared>>,
    Path((_, _, commit)): Path<(String, String, String)>,
    Query(query): Query<std::collections::BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = forge.refusal(&headers) {
        return refused;
    }
    let checks = forge.checks.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |one: &&Value| {
        one["head_sha"] == commit
            && query.get("check_name").is_none_or(|name| one["name"] == **name)
    };
    let found: Vec<&Value> = checks.iter().filter(of).collect();
    axum::Json(json!({"total_count": found.len(), "check_runs": found})).into_response()
}
