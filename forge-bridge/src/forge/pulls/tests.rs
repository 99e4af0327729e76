//! Against small forges with lists in pages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use http::Uri;
use serde_json::json;

use super::*;
use crate::forge::tests::{TOKEN, serve};

fn httpd() -> RepositoryName {
    RepositoryName::parse("containers/httpd").unwrap()
}

fn forge(kind: ForgeKind, url: &str) -> Forge {
    let api = Api::of(kind, url, TOKEN);
    match kind {
        ForgeKind::Github => Forge::Github(github::Github::new(api)),
        ForgeKind::Gitlab => Forge::Gitlab(gitlab::Gitlab::new(api)),
        ForgeKind::Pagure => Forge::Pagure(pagure::Pagure { api }),
        _ => Forge::Forgejo(crate::forge::forgejo::Forgejo { api }),
    }
}

fn row(kind: ForgeKind, number: usize, description: &str) -> Value {
    let head = format!("{number:040x}");
    match kind {
        ForgeKind::Gitlab => json!({
            "iid": number, "sha": head, "source_branch": "fix", "target_branch": "f43",
            "source_project_id": 9, "target_project_id": 1, "author": {"id": 3, "username": "m"},
            "description": description,
        }),
        ForgeKind::Pagure => json!({
            "id": number, "status": "Open", "branch": "f43", "branch_from": "fix",
            "commit_stop": head, "repo_from": {"fullname": "forks/m/containers/httpd"},
            "user": {"name": "m"}, "initial_comment": description,
        }),
        _ => json!({
            "number": number, "state": "open", "user": {"login": "m"}, "body": description,
            "head": {"sha": head, "ref": "fix", "repo": {"full_name": "m/httpd"}},
            "base": {"sha": head, "ref": "f43"},
        }),
    }
}

/// A list of as many pull requests, on pages of at most `longest` rows.
struct Model {
    kind: ForgeKind,
    count: usize,
    longest: usize,
    description: String,
    requests: AtomicUsize,
}

impl Model {
    fn answer(&self, path: &str, query: &HashMap<String, String>) -> Response {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let expected = match self.kind {
            ForgeKind::Gitlab => "/projects/containers%2Fhttpd/merge_requests",
            ForgeKind::Pagure => "/containers/httpd/pull-requests",
            _ => "/repos/containers/httpd/pulls",
        };
        assert_eq!(path, expected);
        let rows = query.get("per_page").or(query.get("limit")).unwrap().parse::<usize>().unwrap();
        let (rows, page) = (rows.min(self.longest), query["page"].parse::<usize>().unwrap());
        let first = (page - 1) * rows;
        let last = (first + rows).min(self.count);
        let list: Vec<Value> =
            (first..last).map(|n| row(self.kind, n + 1, &self.description)).collect();
        let has_next = last < self.count;
        if self.kind == ForgeKind::Pagure {
            let next = has_next.then_some("https://pagure.example/?page=2");
            let body = json!({"requests": list, "pagination": {"next": next}});
            return axum::Json(body).into_response();
        }
        let link = if has_next { "<https://x.example/?page=2>; rel=\"next\"" } else { "" };
        ([("link", link), ("etag", "W/\"1\"")], axum::Json(list)).into_response()
    }
}

async fn model(
    kind: ForgeKind,
    count: usize,
    longest: usize,
    description: &str,
) -> (Forge, std::sync::Arc<Model>, tokio::task::JoinHandle<()>) {
    let description = description.to_owned();
    let model = Model { kind, count, longest, description, requests: AtomicUsize::new(0) };
    let model = std::sync::Arc::new(model);
    let answering = std::sync::Arc::clone(&model);
    let answer =
        move |uri: Uri, headers: HeaderMap, Query(query): Query<HashMap<String, String>>| {
            let answering = std::sync::Arc::clone(&answering);
            async move {
                let is_known = headers.get("if-none-match").is_some_and(|known| known == "W/\"1\"");
                if is_known {
                    StatusCode::NOT_MODIFIED.into_response()
                } else {
                    answering.answer(uri.path(), &query)
                }
            }
        };
    let (address, server) = serve(Router::new().fallback(answer)).await;
    (forge(kind, &format!("http://{address}")), model, server)
}

const KINDS: [ForgeKind; 5] =
    [ForgeKind::Github, ForgeKind::Forgejo, ForgeKind::Gitea, ForgeKind::Gitlab, ForgeKind::Pagure];

async fn open(forge: &Forge) -> OpenPulls {
    match forge.open_pulls(&httpd(), None).await.unwrap() {
        Some(PullList::Open(open)) => open,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_is_one_request_where_it_is_one_page() {
    for kind in KINDS {
        let (forge, model, _server) = model(kind, 49, 100, "").await;
        let found = open(&forge).await;
        assert!(found.is_whole, "{kind:?}");
        assert_eq!(found.pulls.len(), 49, "{kind:?}");
        assert_eq!(model.requests.load(Ordering::Relaxed), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn pages_are_followed_up_to_the_bound_also_where_a_server_makes_them_shorter() {
    for kind in KINDS {
        let (forge, _, _server) = model(kind, 75, 20, "").await;
        let found = open(&forge).await;
        assert_eq!((found.pulls.len(), found.is_whole), (75, true), "{kind:?}");
        assert_eq!(found.etag, None, "the name of a page is not that of the list");
        let (forge, model, _server) = self::model(kind, 10_000, 100, "").await;
        let found = open(&forge).await;
        assert_eq!((found.pulls.len(), found.is_whole), (500, false), "{kind:?}");
        assert_eq!(model.requests.load(Ordering::Relaxed), MAX_PAGES, "{kind:?}");
    }
}

#[tokio::test]
async fn descriptions_like_books_make_the_pages_smaller() {
    let book = "x".repeat(1024 * 1024);
    let (forge, model, _server) = model(ForgeKind::Gitlab, 12, 100, &book).await;
    let found = open(&forge).await;
    assert_eq!((found.pulls.len(), found.is_whole), (12, true));
    assert_eq!(model.requests.load(Ordering::Relaxed), 1 + 3);
    let library = "x".repeat(MAX_PAGE_BYTES);
    let (forge, _, _server) = self::model(ForgeKind::Gitlab, 2, 100, &library).await;
    let told = forge.open_pulls(&httpd(), None).await;
    assert!(matches!(told, Err(ForgeError::Refused { .. })), "{told:?}");
}

#[tokio::test]
async fn a_list_that_has_not_changed_costs_no_list() {
    let (forge, model, _server) = model(ForgeKind::Github, 3, 100, "").await;
    let etag = open(&forge).await.etag;
    assert_eq!(etag.as_deref(), Some("W/\"1\""));
    let again = forge.open_pulls(&httpd(), etag.as_deref()).await.unwrap();
    assert_eq!(again, Some(PullList::Unchanged));
    assert_eq!(model.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_is_gone_has_ended_and_a_project_that_is_only_a_number_gets_its_name() {
    let answer = async |uri: Uri| match uri.path() {
        "/projects/9" => {
            axum::Json(json!({"id": 9, "path_with_namespace": "m/httpd"})).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    };
    let (address, _server) = serve(Router::new().fallback(answer)).await;
    for kind in KINDS {
        let forge = forge(kind, &format!("http://{address}"));
        let end = forge.end_of_pull(&httpd(), 7).await.unwrap().unwrap();
        assert_eq!((end.number, end.merged), (7, false), "{kind:?}");
    }
    let gitlab = forge(ForgeKind::Gitlab, &format!("http://{address}"));
    let mut found = listed(ForgeKind::Gitlab, &httpd(), &row(ForgeKind::Gitlab, 1, "")).unwrap();
    gitlab.name_source(&mut found).await.unwrap();
    let name = found.pull.head_repository.as_ref().map(|name| name.as_str());
    assert_eq!((name, found.source), (Some("m/httpd"), None));
}

#[tokio::test]
async fn a_fork_of_pagure_is_asked_under_the_name_that_its_api_has() {
    let answer = async |uri: Uri| {
        assert_eq!(uri.path(), "/fork/m/containers/httpd/pull-requests");
        axum::Json(json!({"requests": []}))
    };
    let (address, _server) = serve(Router::new().fallback(answer)).await;
    let fork = RepositoryName::parse("forks/m/containers/httpd").unwrap();
    let found =
        forge(ForgeKind::Pagure, &format!("http://{address}")).open_pulls(&fork, None).await;
    let empty = OpenPulls { is_whole: true, ..OpenPulls::default() };
    assert_eq!(found, Ok(Some(PullList::Open(empty))));
}
