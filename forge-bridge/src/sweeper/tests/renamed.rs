//! A Pagure project that got another name, of which only deliveries and its API under the new name
//! tell: Pagure finds no project by its id.

use std::sync::Mutex;

use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::forge::tests::serve;
use crate::store::NewDelivery;
use crate::webhook::signature::tests::verified;

/// The project's id by its full name.
type Projects = Arc<Mutex<HashMap<String, u64>>>;

async fn project(
    State(projects): State<Projects>,
    UrlPath((namespace, name)): UrlPath<(String, String)>,
) -> Response {
    let fullname = format!("{namespace}/{name}");
    match projects.lock().unwrap().get(&fullname) {
        Some(id) => Json(json!({"id": id, "fullname": fullname, "date_created": "1700000000"}))
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What Pagure sends for a push to a known branch, in the form of a captured one.
fn push(fullname: &str, id: u64) -> Value {
    let user = json!({"name": "releng", "fullname": "Releng"});
    json!({
        "i": 4, "msg_id": "2026-a2b7a8a5-b443-438e-bd6c-a90496028209", "timestamp": 1_795_406_844,
        "topic": "git.receive",
        "msg": {
            "agent": "packager", "authors": [user], "branch": "f43", "changed_files": {},
            "start_commit": "2".repeat(40), "end_commit": "2".repeat(40),
            "old_commit": "1".repeat(40), "forced": false, "total_commits": 1,
            "pagure_instance": "http://127.0.0.1:5050/", "project_fullname": fullname,
            "pull_request_id": null,
            "repo": {"id": id, "fullname": fullname, "name": "toolbox",
                     "namespace": "containers", "parent": null, "user": user},
        },
    })
}

struct Moved {
    store: Store,
    sweeper: Arc<Sweeper>,
    projects: Projects,
    _server: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

impl Moved {
    /// `containers/toolbx`, which the forge calls 1, is known.
    async fn begin() -> Self {
        let projects = Projects::default();
        let route = "/api/0/{namespace}/{name}";
        let router = Router::new().route(route, get(project)).with_state(Arc::clone(&projects));
        let (address, server) = serve(router).await;
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().display();
        std::fs::write(directory.path().join("token"), "s3cret").unwrap();
        for project in ["toolbx", "toolbox"] {
            let path = directory.path().join(format!("git/containers/{project}.git"));
            std::fs::create_dir_all(&path).unwrap();
            git(&path, &["init", "-q", "--bare", "."]);
        }
        let text = format!(
            "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
             [[forge]]\nname = \"far\"\nkind = \"pagure\"\nwebhook_keys_dir = \"{dir}/keys\"\n\
             token_file = \"{dir}/token\"\napi_url = \"http://{address}/api/0\"\n\
             clone_url = \"{dir}/git/{{repository}}.git\"\nallow_private = true\n\
             [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\nregistry = \"r.example\"\n\
             namespace = \"f43\"\ndist_tag = \"fc43\"\n"
        );
        let (store, sweeper) = sweeper(&text, directory.path()).await;
        let old = name("containers/toolbx");
        store.meet_repository(&sweeper.vault, "far", &old, Some("1"), Utc::now()).await.unwrap();
        let mut tx = store.write().await.unwrap();
        sqlx::query(
            "INSERT INTO approvals (forge, repository, number, head, approver, way, approved_at)
             VALUES ('far', 'containers/toolbx', 3, 'x', 'rose', 'comment', 0)",
        )
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        Self { store, sweeper, projects, _server: server, _directory: directory }
    }

    fn is(&self, fullname: &str, id: u64) {
        self.projects.lock().unwrap().insert(fullname.to_owned(), id);
    }

    async fn deliver(&self, body: String) {
        let delivery = NewDelivery {
            forge: "far".into(),
            delivery: uuid::Uuid::new_v4().to_string(),
            event_name: "git.receive".into(),
            headers: "{}".into(),
            body: verified(body),
        };
        self.store.insert_deliveries(vec![delivery], Utc::now()).await.unwrap();
        let kinds = [("far".to_owned(), ForgeKind::Pagure)];
        let decoder = Decoder::new(self.store.clone(), kinds, Arc::default(), Arc::default());
        while decoder.decode_waiting().await.unwrap() > 0 {}
        let now = Utc::now();
        while Arc::clone(&self.sweeper).turn(now).await.unwrap() == Turn::Busy {}
    }

    /// Whose the history is.
    async fn history(&self) -> String {
        sqlx::query_scalar("SELECT repository FROM approvals")
            .fetch_one(&self.store.reader)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_delivery_under_a_new_name_brings_the_history_along() {
    // Kept outside the repository, where it is at hand.
    let captured = std::env::var_os("STRATA_SHARED").and_then(|shared| {
        let path = Path::new(&shared).join("payloads/pagure/03-git.branch.creation.json");
        let capture: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).unwrap();
        Some(capture["body_raw"].as_str().unwrap().to_owned())
    });
    for body in captured.into_iter().chain([push("containers/toolbox", 1).to_string()]) {
        let scene = Moved::begin().await;
        scene.is("containers/toolbox", 1);
        scene.deliver(body).await;
        assert_eq!(scene.history().await, "containers/toolbox");
        let names = ["far".to_owned()];
        let later = Utc::now() + TimeDelta::days(1);
        let watched = scene.store.sweeps_due(&names, later, 9).await.unwrap();
        let watched: Vec<_> = watched.iter().map(|one| one.repository.as_str()).collect();
        assert_eq!(watched, ["containers/toolbox"]);
    }
}

#[tokio::test]
async fn the_id_in_a_delivery_is_nobodys_word() {
    let scene = Moved::begin().await;
    scene.is("containers/toolbx", 1);
    scene.is("containers/toolbox", 2);
    // Who owns any project can sign this with its key.
    scene.deliver(push("containers/toolbox", 1).to_string()).await;
    assert_eq!(scene.history().await, "containers/toolbx", "the forge says another id");
}

#[tokio::test]
async fn who_takes_a_name_gets_nothing_of_who_had_it_and_that_one_finds_it_again() {
    let scene = Moved::begin().await;
    // The one that had it goes, and another one comes.
    scene.is("containers/toolbx", 2);
    scene.deliver(push("containers/toolbx", 2).to_string()).await;
    assert_eq!(scene.history().await, "containers/toolbx+1", "put away");
    scene.is("containers/toolbox", 1);
    scene.deliver(push("containers/toolbox", 1).to_string()).await;
    assert_eq!(scene.history().await, "containers/toolbox");
}
