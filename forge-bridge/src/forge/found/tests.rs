//! Against small forges with pages.

use std::collections::HashMap;

use axum::extract::{Path, Query};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::config::{ForgeConfig, ForgeKind};
use crate::forge::tests::{TOKEN, serve};

async fn page(Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let row = |id: u64, name: &str| json!({"id": id, "full_name": name, "created_at": "2026-01-02T03:04:05Z"});
    Json(match query["page"].as_str() {
        "1" => json!([row(1, "containers/httpd"), row(2, "containers/.hidden")]),
        "2" => json!([row(3, "containers/nginx")]),
        _ => json!([]),
    })
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_unusable_names_left_out() {
    let router = Router::new().route("/users/containers/repos", get(page));
    let (address, _server) = serve(router).await;
    let api = Api::of(ForgeKind::Forgejo, &format!("http://{address}"), TOKEN);
    let forge = Forge::Forgejo(crate::forge::forgejo::Forgejo { api });
    let patterns = ["containers/*".to_owned(), "modules/one".to_owned()];
    let found = forge.repositories(&patterns).await.unwrap();
    let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["containers/httpd", "containers/nginx"]);
    assert_eq!(found[1].id.as_deref(), Some("3"));
    assert_eq!(found[1].created_at, "2026-01-02T03:04:05Z".parse().ok());
}

/// A key that was made for tests and opens nothing.
const KEY: &str = include_str!("../../../tests/data/app-key.pem");

/// A hundred owners on the first page, and one more on the second.
async fn installations(Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let row = |id: u64, owner: String| json!({"id": id, "account": {"login": owner}});
    Json(match query["page"].as_str() {
        "1" => (1..=100).map(|id| row(id, format!("owner-{id}"))).collect(),
        "2" => json!([row(101, "containers".to_owned())]),
        _ => json!([]),
    })
}

async fn token_of(Path(id): Path<u64>) -> (StatusCode, Json<Value>) {
    let token = json!({"token": format!("ghs_{id}"), "expires_at": "2099-01-01T00:00:00Z",
        "permissions": {}, "repositories": null});
    (StatusCode::CREATED, Json(token))
}

async fn repositories_of(
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Json<Value> {
    assert_eq!(headers["authorization"], "Bearer ghs_101");
    let rows = [json!({"id": 1, "full_name": "containers/httpd"})];
    let shown = if query["page"] == "1" { &rows[..] } else { &[] };
    Json(json!({"repositories": shown}))
}

#[tokio::test]
async fn the_repositories_of_an_owner_behind_the_first_hundred_are_found() {
    let router = Router::new()
        .route("/app/installations", get(installations))
        .route("/app/installations/{id}/access_tokens", post(token_of))
        .route("/installation/repositories", get(repositories_of));
    let (address, _server) = serve(router).await;
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, KEY).unwrap();
    let config: ForgeConfig = toml::from_str(&format!(
        "name = \"hub\"\nkind = \"github\"\napi_url = \"http://{address}\"\n\
         clone_url = \"/x/{{repository}}.git\"\nwebhook_secret_file = \"/s\"\n\
         app = {{ id = 5, private_key_file = \"{}\" }}\n",
        key.display()
    ))
    .unwrap();
    let found = Forge::open(&config).unwrap().repositories(&["containers/*".to_owned()]).await;
    let names: Vec<String> = found.unwrap().iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["containers/httpd"]);
}

#[test]
fn only_patterns_with_a_star_want_a_list() {
    let owners = |patterns: &[&str]| {
        owners(&patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(owners(&["a/b"]), (vec![], false));
    assert_eq!(owners(&["a/*", "a/x-*", "b/**"]), (vec!["a".to_owned(), "b".to_owned()], false));
    assert_eq!(owners(&["**"]), (vec![], true));
}

#[test]
fn each_forge_tells_in_its_own_words_when_a_repository_was_made() {
    for (row, seconds) in [
        (json!({"id": 1, "full_name": "a/b", "created_at": "2026-01-02T03:04:05Z"}), 1_767_323_045),
        (
            json!({"id": 1, "path_with_namespace": "a/b", "created_at": "2026-01-02T03:04:05.678Z"}),
            1_767_323_045,
        ),
        (json!({"id": 1, "fullname": "a/b", "date_created": "1767323045.347554"}), 1_767_323_045),
    ] {
        let found = serde_json::from_value::<Shown>(row).unwrap().found().unwrap();
        assert_eq!(found.created_at.map(|at| at.timestamp()), Some(seconds));
    }
    let bare = json!({"id": 1, "full_name": "a/b"});
    assert_eq!(serde_json::from_value::<Shown>(bare).unwrap().found().unwrap().created_at, None);
}

#[test]
fn a_row_with_one_part_of_it_bent_is_survived_and_holds_up_no_other() {
    let row = json!({"id": 1, "full_name": "a/b", "created_at": "2026-01-02T03:04:05Z"});
    let long = "x".repeat(20_000);
    for part in ["id", "full_name", "created_at"] {
        for bent in [
            json!(null),
            json!(-1),
            json!(u64::MAX),
            json!(1e300),
            json!([]),
            json!({}),
            json!(long),
        ] {
            let mut row = row.clone();
            row[part] = bent;
            let _ = serde_json::from_value::<Shown>(row).map(Shown::found);
        }
    }
    for seconds in [json!(i64::MAX), json!("99999999999999999.1"), json!(".5"), json!("")] {
        let row = json!({"id": 1, "fullname": "a/b", "date_created": seconds});
        let found = serde_json::from_value::<Shown>(row).unwrap().found().unwrap();
        assert_eq!(found.created_at, None);
    }
}
