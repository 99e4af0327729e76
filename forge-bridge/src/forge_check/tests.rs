//! With a small Forgejo, and the receiving half of a real bridge.

use std::sync::Mutex;
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::forge::tests::{TOKEN, git, serve};
use crate::webhook::decoder::Decoder;
use crate::webhook::inbox::inbox;
use crate::webhook::receive::{Source, router};
use crate::webhook::trial::trial;

/// What the forge says.
#[derive(Clone)]
struct Model {
    push: bool,
    hooks: Value,
    /// What it signs its own deliveries with; without it they get lost.
    secret: Arc<Mutex<Option<&'static str>>>,
}

/// Sends a push of a branch onto itself to the webhook, as Forgejo does: after its answer.
async fn test(State(model): State<Model>) -> StatusCode {
    let url = model.hooks[0]["config"]["url"].as_str().unwrap().to_owned();
    let Some(secret) = *model.secret.lock().unwrap() else { return StatusCode::NO_CONTENT };
    let id = uuid::Uuid::new_v4().to_string();
    let httpd = RepositoryName::parse("containers/httpd").unwrap();
    let sent = trial(ForgeKind::Forgejo, &id, Some(&httpd), &secret.into(), Utc::now()).unwrap();
    let request = crate::outbound::Reach::anywhere().client().unwrap().post(url);
    let headers = sent.headers.into_iter();
    let request = headers.fold(request, |request, (name, value)| request.header(name, value));
    tokio::spawn(request.body(sent.body).send());
    StatusCode::NO_CONTENT
}

async fn user(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let is_known = headers["authorization"] == format!("token {TOKEN}");
    if is_known { Ok(Json(json!({"login": "strata-bot"}))) } else { Err(StatusCode::UNAUTHORIZED) }
}

async fn repository(State(model): State<Model>) -> Json<Value> {
    Json(json!({"id": 1, "full_name": "containers/httpd", "permissions": {"push": model.push}}))
}

struct Scene {
    checker: Checker,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    directory: tempfile::TempDir,
    secret: Arc<Mutex<Option<&'static str>>>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn scene(push: bool, token: &str) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().display().to_string();
    for (file, text) in [("token", token), ("secret", "hush")] {
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    let (stored, decoded) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inbox, writer) = inbox(store.clone(), Arc::clone(&stored));
    let source = Source::new("far", ForgeKind::Forgejo, vec!["hush".into()], 4096).unwrap();
    let (bridge, bridge_task) = serve(router(vec![source], inbox)).await;
    let kinds = [("far".to_owned(), ForgeKind::Forgejo)];
    let decoder = Decoder::new(store.clone(), kinds, stored, decoded);
    let secret = Arc::new(Mutex::new(Some("hush")));
    let hooks = json!([{"id": 12, "active": true, "events": ["*"],
        "config": {"url": format!("http://{bridge}/hooks/far"), "content_type": "json"}}]);
    let permission = async || Json(json!({"permission": "none"}));
    let forge = Router::new()
        .route("/api/v1/user", get(user))
        .route("/api/v1/repos/containers/httpd", get(repository))
        .route(
            "/api/v1/repos/containers/httpd/hooks",
            get(async |State(model): State<Model>| Json(model.hooks)),
        )
        .route("/api/v1/repos/containers/httpd/hooks/12/tests", post(test))
        .route(
            "/api/v1/repos/containers/httpd/collaborators/strata-check/permission",
            get(permission),
        )
        .with_state(Model { push, hooks, secret: Arc::clone(&secret) });
    let (forge, forge_task) = serve(forge).await;
    let text = format!(
        "state_dir = \"{dir}/state\"\npublic_url = \"http://{bridge}/\"\n[[forge]]\n\
         name = \"far\"\nkind = \"forgejo\"\nwebhook_secret_file = \"{dir}/secret\"\n\
         token_file = \"{dir}/token\"\napi_url = \"http://{forge}/api/v1\"\n\
         clone_url = \"{dir}/git/{{repository}}.git\"\nrepositories = [\"containers/httpd\"]\n"
    );
    let config: Arc<Config> = Arc::new(toml::from_str(&text).unwrap());
    let forges = HashMap::from([("far".to_owned(), Forge::open(&config.forges[0]).unwrap())]);
    let forges = Arc::new(forges);
    let keys = KeyKeeper::new(Arc::clone(&config), Arc::clone(&forges), Arc::default());
    let checker = Checker {
        sources: Arc::new(Sources::new(Arc::clone(&config), Arc::default())),
        keys: Arc::new(keys),
        config,
        store,
        forges,
    };
    let tasks =
        vec![bridge_task, forge_task, tokio::spawn(writer.run()), tokio::spawn(decoder.run())];
    Scene { checker, tasks, directory, secret }
}

impl Scene {
    async fn check(&self) -> ForgeCheck {
        let found = self.checker.check("far", &ForgeCheckRequest::default()).await;
        found.unwrap().expect("the forge is configured")
    }

    fn bare_repository(&self) {
        let path = self.directory.path().join("git/containers/httpd.git");
        std::fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q", "--bare", "."]);
    }

    fn first_commit(&self) {
        let path = self.directory.path().join("git/containers/httpd.git");
        let tree = git(&path, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let commit = git(&path, &["commit-tree", "-m", "Begin", &tree]);
        git(&path, &["update-ref", "refs/heads/main", &commit]);
    }

    /// Only the test delivery, which is waited for a moment.
    async fn tested(&self, patience: Duration) -> CheckedPart {
        let (config, client) = (&self.checker.config.forges[0], &self.checker.forges["far"]);
        let public_url = self.checker.config.public_url.trim_end_matches('/');
        let mut look = Look {
            checker: &self.checker,
            config,
            client,
            repository: None,
            hook_url: format!("{public_url}/hooks/far"),
            branches: Some(1),
            parts: Vec::new(),
        };
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        let hook = look.hook(&httpd, false).await;
        look.test(&httpd, hook, patience).await.unwrap();
        look.parts.pop().unwrap()
    }
}

fn part<'a>(found: &'a ForgeCheck, name: &str) -> &'a CheckedPart {
    found.parts.iter().find(|part| part.part == name).unwrap_or_else(|| panic!("{found:?}"))
}

#[tokio::test]
async fn a_configuration_that_works_is_good_in_every_part() {
    let scene = scene(true, TOKEN).await;
    scene.bare_repository();
    scene.first_commit();
    let found = scene.check().await;
    assert!(found.good, "{found:#?}");
    let states: Vec<_> =
        found.parts.iter().map(|part| (part.part.as_str(), part.state.as_str())).collect();
    assert_eq!(
        states,
        [
            ("api", "ok"),
            ("repository", "ok"),
            ("statuses", "ok"),
            ("comments", "skipped"),
            ("members", "ok"),
            ("branches", "ok"),
            ("hook", "ok"),
            ("delivery", "ok"),
            ("test", "ok"),
        ]
    );
    assert_eq!(part(&found, "api").message, "answers; the token is `strata-bot`'s");
    assert!(part(&found, "delivery").message.ends_with("it is delivery 1 of the inbox"));
    assert!(part(&found, "test").message.ends_with("it is delivery 2 of the inbox"));
    assert!(scene.check().await.good, "a second look is no duplicate");
    let events: Vec<(String, String)> = sqlx::query_as("SELECT kind, state FROM events")
        .fetch_all(&scene.checker.store.reader)
        .await
        .unwrap();
    assert!(
        events.iter().all(|(kind, state)| kind == "ping" && state == "skipped"),
        "none of them can begin a run: {events:?}"
    );
}

#[tokio::test]
async fn a_test_of_the_forge_that_does_not_arrive_is_told_with_what_to_do() {
    let scene = scene(true, TOKEN).await;
    for (secret, moment) in [(None, 0), (Some("another"), 1)] {
        *scene.secret.lock().unwrap() = secret;
        let test = scene.tested(Duration::from_secs(moment)).await;
        assert_eq!(test.state, PartState::Failed, "{secret:?}");
        assert!(test.message.contains("its secret is another one"), "{}", test.message);
        assert!(test.message.contains("recent deliveries"), "{}", test.message);
    }
    *scene.secret.lock().unwrap() = Some("hush");
    let test = scene.tested(ARRIVAL_TIMEOUT).await;
    assert_eq!(test.state, PartState::Ok, "{}", test.message);
}

#[tokio::test]
async fn an_empty_repository_and_a_hook_that_is_not_seen_are_no_failures() {
    let mut scene = scene(true, TOKEN).await;
    scene.bare_repository();
    let found = scene.check().await;
    assert_eq!(part(&found, "test").state, PartState::Skipped);
    assert!(part(&found, "test").message.contains("is empty"));
    let mut config = (*scene.checker.config).clone();
    config.public_url = format!("{}/elsewhere", config.public_url);
    scene.checker.config = Arc::new(config);
    assert!(scene.tested(ARRIVAL_TIMEOUT).await.message.starts_with("no webhook"));
}

#[tokio::test]
async fn each_failure_says_what_to_do() {
    let scene = scene(false, TOKEN).await;
    let found = scene.check().await;
    assert!(!found.good);
    let statuses = &part(&found, "statuses").message;
    assert!(statuses.contains("make it a collaborator with write access"), "{statuses}");
    let branches = &part(&found, "branches").message;
    assert!(branches.contains("look at clone_url and at clone_token_file"), "{branches}");
}

#[tokio::test]
async fn a_token_that_is_none_stops_the_questions_and_not_the_delivery() {
    let scene = scene(true, "gu3ss").await;
    let found = scene.check().await;
    let api = part(&found, "api");
    assert_eq!(api.state, PartState::Failed);
    assert!(api.message.contains("put a valid one into token_file"), "{}", api.message);
    assert!(!format!("{found:?}").contains("gu3ss"));
    assert!(found.parts.iter().all(|part| part.part != "statuses"), "{found:?}");
    assert_eq!(part(&found, "delivery").state, PartState::Ok);
}

#[tokio::test]
async fn a_public_url_that_leads_elsewhere_is_told() {
    let mut scene = scene(true, TOKEN).await;
    let mut config = (*scene.checker.config).clone();
    config.public_url = "http://127.0.0.1:9".to_owned();
    scene.checker.config = Arc::new(config);
    let found = scene.check().await;
    let delivery = &part(&found, "delivery").message;
    assert!(delivery.contains("cannot be reached from here"), "{delivery}");
    assert!(delivery.contains("look at public_url"), "{delivery}");
    assert!(part(&found, "hook").message.contains("--create-hook makes it"));
}
