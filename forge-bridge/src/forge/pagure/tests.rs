//! Against a small Pagure that keeps flags as the real one does.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::*;
use crate::config::ForgeKind;
use crate::forge::tests::{TOKEN, serve};

type Fields = HashMap<String, String>;
/// By commit and uid, whatever the project.
type Flags = Arc<Mutex<BTreeMap<(String, String), Fields>>>;

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

fn status(context: &str, state: StatusState) -> StatusPost {
    StatusPost {
        context: context.to_owned(),
        state,
        description: "Built; 100 % & more".to_owned(),
        target_url: "https://strata.example/runs/7".to_owned(),
        annotations: Vec::new(),
        place: Default::default(),
    }
}

async fn take(
    State(flags): State<Flags>,
    Path((_namespace, project, commit)): Path<(String, String, String)>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    if headers["authorization"] != format!("token {TOKEN}").as_str() {
        let refusal = json!({"error": "Invalid or expired token", "error_code": "EINVALIDTOK"});
        return (StatusCode::UNAUTHORIZED, axum::Json(refusal)).into_response();
    }
    if project == "none" {
        let refusal = json!({"error": "Project not found", "error_code": "ENOPROJECT"});
        return (StatusCode::NOT_FOUND, axum::Json(refusal)).into_response();
    }
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let fields: Fields = form_urlencoded::parse(&form).into_owned().collect();
    let known = ["success", "failure", "error", "pending", "canceled"];
    if !known.contains(&fields["status"].as_str()) || fields["uid"].len() > 32 {
        let refusal = json!({"error": "Invalid or incomplete input", "error_code": "EINVALIDREQ"});
        return (StatusCode::BAD_REQUEST, axum::Json(refusal)).into_response();
    }
    flags.lock().unwrap().insert((commit, fields["uid"].clone()), fields);
    axum::Json(json!({"message": "Flag added"})).into_response()
}

async fn start() -> (String, Flags, tokio::task::JoinHandle<()>) {
    let flags = Flags::default();
    let route = "/api/0/{namespace}/{project}/c/{commit}/flag";
    let router = Router::new().route(route, post(take)).with_state(Arc::clone(&flags));
    let (address, server) = serve(router).await;
    (format!("http://{address}/api/0"), flags, server)
}

#[tokio::test]
async fn a_later_flag_of_a_context_replaces_the_earlier_one() {
    let (url, flags, server) = start().await;
    let pagure = Pagure { api: Api::of(ForgeKind::Pagure, &url, TOKEN) };
    let (repository, commit) = (name("containers/c++"), CommitId::parse(&"1a".repeat(20)).unwrap());
    let posts = [
        status("build / image", StatusState::Pending),
        status("build / test", StatusState::Error),
        status("build / image", StatusState::Success),
    ];
    for post in &posts {
        pagure.post_status(&repository, &commit, post).await.unwrap();
    }
    let flags = flags.lock().unwrap();
    let shown = |field: &str| -> Vec<&str> {
        let mut shown: Vec<&str> = flags.values().map(|flag| flag[field].as_str()).collect();
        shown.sort_unstable();
        shown
    };
    assert_eq!(shown("username"), ["build / image", "build / test"]);
    assert_eq!(shown("status"), ["error", "success"]);
    assert_eq!(shown("percent"), ["100", "100"]);
    assert_eq!(shown("comment"), ["Built; 100 % & more"; 2]);
    assert_eq!(shown("url"), ["https://strata.example/runs/7"; 2]);
    server.abort();
}

#[tokio::test]
async fn refusals_are_final_and_repeat_what_pagure_says() {
    let (url, _, server) = start().await;
    let commit = CommitId::parse(&"1a".repeat(20)).unwrap();
    let post = status("build / image", StatusState::Pending);
    for (token, project, said) in [
        ("gu3ss", "containers/httpd", "Invalid or expired token"),
        (TOKEN, "containers/none", "Project not found"),
    ] {
        let pagure = Pagure { api: Api::of(ForgeKind::Pagure, &url, token) };
        match pagure.post_status(&name(project), &commit, &post).await {
            Err(ForgeError::Refused { why } | ForgeError::Denied { why }) => {
                assert!(why.contains(said) && !why.contains("gu3ss"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    server.abort();
}

#[test]
fn a_uid_fits_and_belongs_to_one_context_of_one_project() {
    let uids = [
        uid(&name("containers/httpd"), "build / image"),
        uid(&name("containers/httpd"), "build / test"),
        uid(&name("forks/mina/containers/httpd"), "build / image"),
    ];
    assert!(uids.iter().all(|uid| uid.len() == UID_CHARS), "{uids:?}");
    assert!(uids[0] != uids[1] && uids[0] != uids[2]);
    assert_eq!(uids[0], uid(&name("containers/httpd"), "build / image"));
}

#[test]
fn a_fork_is_asked_for_where_the_api_has_it() {
    assert_eq!(api_path(&name("containers/httpd")), "containers/httpd");
    assert_eq!(api_path(&name("forks/mina/containers/httpd")), "fork/mina/containers/httpd");
}
