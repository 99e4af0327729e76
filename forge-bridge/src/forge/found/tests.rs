//! Against small forges with pages.

use std::collections::HashMap;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;
use crate::config::ForgeKind;
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
