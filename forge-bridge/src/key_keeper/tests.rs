//! With a small Pagure that gives keys to those who may have them.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::forge::tests::serve;

#[derive(Default)]
struct Model {
    asked: AtomicUsize,
}

async fn token(State(model): State<Arc<Model>>, Path(repo): Path<String>) -> Response {
    let asked = model.asked.fetch_add(1, Ordering::SeqCst) + 1;
    if repo == "closed" {
        let error = "You do not have sufficient permissions to perform this action";
        let body = json!({"error": error, "error_code": "ENOTHIGHENOUGH"});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    Json(json!({"webhook": {"token": format!("key-{asked}")}, "status": "ok"})).into_response()
}

struct Scene {
    model: Arc<Model>,
    keeper: Arc<KeyKeeper>,
    wanted: Arc<Wanted>,
    keys: ProjectKeys,
    _server: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

async fn scene() -> Scene {
    let model = Arc::new(Model::default());
    let router = Router::new()
        .route("/api/0/containers/{repo}/webhook/token", get(token))
        .route("/api/0/fork/mina/containers/{repo}/webhook/token", get(token))
        .with_state(Arc::clone(&model));
    let (address, server) = serve(router).await;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().display();
    std::fs::write(directory.path().join("token"), "t").unwrap();
    let text = format!(
        "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
         [[forge]]\nname = \"pag\"\nkind = \"pagure\"\ntoken_file = \"{dir}/token\"\n\
         api_url = \"http://{address}/api/0\"\nclone_url = \"http://{address}/{{repository}}.git\"\n\
         repositories = [\"containers/*\", \"forks/*/containers/*\"]\n"
    );
    let config: Arc<Config> = Arc::new(toml::from_str(&text).unwrap());
    let forge = Forge::open(&config.forges[0]).unwrap();
    let forges = Arc::new(HashMap::from([("pag".to_owned(), forge)]));
    let wanted = Arc::new(Wanted::default());
    let keys = ProjectKeys::new(&config.keys_dir(&config.forges[0]).unwrap());
    let keeper = Arc::new(KeyKeeper::new(config, forges, Arc::clone(&wanted)));
    Scene { model, keeper, wanted, keys, _server: server, _directory: directory }
}

fn project(name: &str) -> RepositoryName {
    RepositoryName::parse(name).unwrap()
}

impl Scene {
    fn key(&self, name: &str) -> Option<String> {
        let keys = self.keys.of(&project(name)).unwrap();
        keys.first().map(|key| key.expose_secret().to_owned())
    }

    fn asked(&self) -> usize {
        self.model.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_key_is_fetched_once_a_day_and_forks_have_their_own() {
    let scene = scene().await;
    let now = Utc::now();
    for name in ["containers/httpd", "forks/mina/containers/httpd"] {
        scene.keeper.look_after("pag", &project(name), now).await;
        scene.keeper.look_after("pag", &project(name), now + TimeDelta::hours(2)).await;
    }
    assert_eq!(scene.key("containers/httpd").as_deref(), Some("key-1"));
    assert_eq!(scene.key("forks/mina/containers/httpd").as_deref(), Some("key-2"));
    assert_eq!(scene.asked(), 2);
    let tomorrow = now + TimeDelta::hours(25);
    scene.keeper.look_after("pag", &project("containers/httpd"), tomorrow).await;
    assert_eq!(scene.key("containers/httpd").as_deref(), Some("key-3"));
}

#[tokio::test]
async fn nobody_makes_us_ask_for_a_project_that_is_not_ours_nor_too_often() {
    let scene = scene().await;
    let now = Utc::now();
    scene.keeper.look_after("pag", &project("strangers/httpd"), now).await;
    scene.keeper.look_after("other", &project("containers/httpd"), now).await;
    assert_eq!(scene.asked(), 0);
    for _ in 0..5 {
        scene.keeper.look_after("pag", &project("containers/closed"), now).await;
    }
    assert_eq!((scene.asked(), scene.key("containers/closed")), (1, None));
    scene.keeper.look_after("pag", &project("containers/closed"), now + RETRY_INTERVAL).await;
    assert_eq!(scene.asked(), 2);
}

#[tokio::test]
async fn a_refused_delivery_has_its_key_fetched_though_the_old_one_is_young() {
    let scene = scene().await;
    scene.keys.put(&project("containers/httpd"), &"old".into()).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&scene.keeper).run(shutdown.clone()));
    scene.wanted.want("pag", project("containers/httpd"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while scene.key("containers/httpd").as_deref() != Some("key-1") {
        assert!(std::time::Instant::now() < deadline, "the key is not fetched");
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.unwrap();
}
