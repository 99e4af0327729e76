//! With a small GitLab, whose list of merge requests names the projects that they come from by number.

use std::sync::Mutex;

use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;
use workflows::event::Event;

use super::pulls::{advertise, head};
use super::*;
use crate::forge::tests::serve;

/// What it answers when it is asked for a fork.
type Mood = Arc<Mutex<StatusCode>>;

async fn fork(State(mood): State<Mood>, UrlPath(id): UrlPath<String>) -> Response {
    // The path of the project itself is its other name.
    let id: u64 = id.parse().unwrap_or(1);
    let path = if id == 1 { "containers/httpd" } else { "mina/httpd" };
    match *mood.lock().unwrap() {
        status if id != 1 && !status.is_success() => status.into_response(),
        _ => Json(json!({"id": id, "path_with_namespace": path})).into_response(),
    }
}

#[tokio::test]
async fn where_a_change_comes_from_is_asked_again_when_the_forge_does_not_say() {
    let mood = Mood::new(Mutex::new(StatusCode::SERVICE_UNAVAILABLE));
    let list = async || {
        Json(json!([{"iid": 1, "state": "opened", "sha": head(1), "source_branch": "fix",
            "target_branch": "f43", "source_project_id": 9, "target_project_id": 1,
            "author": {"id": 3, "username": "mina"}}]))
    };
    let router = Router::new()
        .route("/containers/httpd/info/refs", get(advertise))
        .route("/api/v4/projects/{id}", get(fork))
        .route("/api/v4/projects/{id}/merge_requests", get(list))
        .with_state(Arc::clone(&mood));
    let (address, _server) = serve(router).await;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().display();
    std::fs::write(directory.path().join("token"), "s3cret").unwrap();
    let text = format!(
        "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
         [[forge]]\nname = \"lab\"\nkind = \"gitlab\"\nwebhook_secret_file = \"/unused\"\n\
         token_file = \"{dir}/token\"\napi_url = \"http://{address}/api/v4\"\n\
         clone_url = \"http://{address}/{{repository}}\"\nallow_private = true\n\
         [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\nregistry = \"r.example\"\n\
         namespace = \"f43\"\ndist_tag = \"fc43\"\n"
    );
    let (store, sweeper) = sweeper(&text, directory.path()).await;
    let mut now = Utc::now();
    let name = RepositoryName::parse("containers/httpd").unwrap();
    store.meet_repository(&sweeper.vault, "lab", &name, Some("1"), now).await.unwrap();
    // All that is open is news.
    store.welcome_repository("lab", &name).await.unwrap();
    let found = async || {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT body FROM deliveries")
            .fetch_all(&store.reader)
            .await
            .unwrap();
        let read = |body: &Vec<u8>| serde_json::from_slice::<Event>(body).unwrap();
        rows.iter().map(read).filter(|event| event.kind() == "pull_request").collect::<Vec<_>>()
    };
    let mut look = async |seconds| {
        now += TimeDelta::seconds(seconds);
        while Arc::clone(&sweeper).turn(now).await.unwrap() == Turn::Busy {}
    };
    look(0).await;
    look(60).await;
    assert_eq!(found().await, []);
    *mood.lock().unwrap() = StatusCode::OK;
    look(3_600).await;
    look(60).await;
    let events = found().await;
    let [Event::PullRequest(pull)] = events.as_slice() else { panic!("{events:?}") };
    let from = pull.head_repository.as_ref().map(RepositoryName::as_str);
    assert_eq!(from, Some("mina/httpd"));
}
