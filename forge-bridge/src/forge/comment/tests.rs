//! Against small forges that know their members and keep comments.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::*;
use crate::config::ForgeKind;
use crate::forge::tests::{TOKEN, serve};

/// Path and text of each comment.
type Comments = Arc<Mutex<Vec<(String, String)>>>;
/// Answers by path what the real ones answer, in their shapes.
fn known(path: &str, query: &str) -> Option<Value> {
    let level = |name: &str, level: u32| json!({"id": 1, "username": name, "access_level": level});
    Some(match path {
        "/repos/containers/httpd/collaborators/alice/permission" => {
            json!({"permission": "admin", "role_name": "admin", "user": {"login": "alice"}})
        }
        "/repos/containers/httpd/collaborators/bob/permission" => {
            json!({"permission": "write", "role_name": "maintain", "user": {"login": "bob"}})
        }
        "/repos/containers/httpd/collaborators/carol/permission" => {
            json!({"permission": "read", "role_name": "read", "user": {"login": "carol"}})
        }
        "/repos/containers/httpd/collaborators/dependabot%5Bbot%5D/permission" => {
            json!({"permission": "none"})
        }
        "/projects/containers%2Fhttpd/members/all" => match query {
            q if q.contains("query=alice") => json!([level("alice", 50)]),
            q if q.contains("query=bob") => json!([level("bobby", 50), level("bob", 30)]),
            q if q.contains("query=carol") => json!([level("carol", 20)]),
            _ => json!([]),
        },
        "/containers/httpd" => json!({
            "fullname": "containers/httpd",
            "access_users": {"owner": ["alice"], "admin": [], "commit": [], "collaborator": ["eve"],
                "ticket": ["carol"]},
            "access_groups": {"admin": [], "commit": ["container-sig"], "collaborator": [],
                "ticket": []},
        }),
        "/group/container-sig" => json!({"name": "container-sig", "members": ["bob"]}),
        _ => return None,
    })
}

/// The comments under a pull request, as the forge of that path lists them.
fn shown(path: &str, comments: &[(String, String)]) -> Option<Value> {
    let under = |path: &str, name: &str| -> Value {
        let here = comments.iter().filter(|(at, _)| at == path);
        here.map(|(_, text)| json!({"id": 1, name: text})).collect()
    };
    if path.ends_with("/pull-request/7") {
        let comments = under(&format!("{path}/comment"), "comment");
        return Some(json!({"id": 7, "status": "Open", "comments": comments}));
    }
    let is_list = path.ends_with("/7/comments") || path.ends_with("/7/notes");
    is_list.then(|| under(path, "body"))
}

async fn answer(
    State(comments): State<Comments>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = value("private-token").or(value("authorization")).unwrap_or_default();
    if !token.ends_with(TOKEN) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if method == Method::POST {
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        let of_json = json.and_then(|json| Some(json.get("body")?.as_str()?.to_owned()));
        let of_form = || {
            let mut fields = form_urlencoded::parse(&body);
            fields.find(|(name, _)| name == "comment").map(|(_, text)| text.into_owned())
        };
        let Some(text) = of_json.or_else(of_form) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        comments.lock().unwrap().push((uri.path().to_owned(), text));
        return (StatusCode::CREATED, axum::Json(json!({"id": 1}))).into_response();
    }
    if let Some(shown) = shown(uri.path(), &comments.lock().unwrap()) {
        return axum::Json(shown).into_response();
    }
    if uri.path().ends_with("/permission") {
        comments.lock().unwrap().push((uri.path().to_owned(), "asked".to_owned()));
    }
    match known(uri.path(), uri.query().unwrap_or_default()) {
        Some(found) => axum::Json(found).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn start(kind: ForgeKind) -> (Forge, Comments, tokio::task::JoinHandle<()>) {
    let comments = Comments::default();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&comments));
    let (address, server) = serve(router).await;
    let api = Api::of(kind, &format!("http://{address}"), TOKEN);
    let forge = match kind {
        ForgeKind::Github => Forge::Github(github::Github::new(api)),
        ForgeKind::Gitlab => Forge::Gitlab(gitlab::Gitlab::new(api)),
        ForgeKind::Pagure => Forge::Pagure(pagure::Pagure { api }),
        _ => Forge::Forgejo(crate::forge::forgejo::Forgejo { api }),
    };
    (forge, comments, server)
}

fn httpd() -> RepositoryName {
    RepositoryName::parse("containers/httpd").unwrap()
}

#[tokio::test]
async fn who_may_write_is_the_forges_word() {
    for kind in [ForgeKind::Github, ForgeKind::Forgejo, ForgeKind::Gitlab, ForgeKind::Pagure] {
        let (forge, ..) = start(kind).await;
        let is = async |user: &str| forge.permission(&httpd(), user).await.unwrap();
        assert_eq!(is("alice").await, Permission::Admin, "{kind:?}");
        assert_eq!(is("bob").await, Permission::Write, "{kind:?}");
        assert!(is("carol").await < Permission::Write, "{kind:?}");
        for nobody in ["mallory", "eve", "dependabot[bot]"] {
            assert_eq!(is(nobody).await, Permission::None, "{kind:?} {nobody}");
        }
        for hostile in ["", "..", "alice/../bob", "alice?x", "alice%2f", "a\nb", &"x".repeat(300)] {
            assert_eq!(is(hostile).await, Permission::None, "{kind:?} {hostile:?}");
        }
    }
}

#[tokio::test]
async fn the_forge_is_asked_once_about_a_stranger_and_each_time_about_a_writer() {
    let (forge, asked, _server) = start(ForgeKind::Github).await;
    for (user, count) in [("carol", 1), ("mallory", 1), ("bob", 5)] {
        for _ in 0..5 {
            forge.permission(&httpd(), user).await.unwrap();
        }
        assert_eq!(std::mem::take(&mut *asked.lock().unwrap()).len(), count, "{user}");
    }
}

#[tokio::test]
async fn a_comment_arrives_under_its_pull_request() {
    for (kind, path) in [
        (ForgeKind::Github, "/repos/containers/httpd/issues/7/comments"),
        (ForgeKind::Gitea, "/repos/containers/httpd/issues/7/comments"),
        (ForgeKind::Gitlab, "/projects/containers%2Fhttpd/merge_requests/7/notes"),
        (ForgeKind::Pagure, "/containers/httpd/pull-request/7/comment"),
    ] {
        let (forge, comments, _server) = start(kind).await;
        forge.comment(&httpd(), 7, "Built & <pushed>", "a1").await.unwrap();
        forge.comment(&httpd(), 7, &"ü".repeat(100_000), "b2").await.unwrap();
        let said = comments.lock().unwrap().clone();
        let text = "Built & <pushed>\n\n<!-- strata a1 -->".to_owned();
        assert_eq!(said[0], (path.to_owned(), text), "{kind:?}");
        assert_eq!(said[1].1.matches('ü').count(), MAX_COMMENT_CHARS, "{kind:?}");
        for (marker, is_there) in [("a1", true), ("b2", true), ("c3", false), ("a", false)] {
            let found = forge.has_comment(&httpd(), 7, marker, Utc::now()).await.unwrap();
            assert_eq!(found, is_there, "{kind:?} {marker}");
        }
        comments.lock().unwrap().clear();
        assert!(!forge.has_comment(&httpd(), 7, "a1", Utc::now()).await.unwrap(), "{kind:?}");
    }
}
