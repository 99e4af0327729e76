//! Against small forges that keep webhooks as the real ones do.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Form, Json, Router};

use super::*;
use crate::forge::tests::{TOKEN, serve};

const URL: &str = "https://strata.example/hooks/far";

type Kept = Arc<Mutex<Vec<Value>>>;

/// `POST` makes one of what was sent, `GET` lists them.
fn list_of_hooks(path: &str, kept: &Kept) -> Router {
    let list = async |State(kept): State<Kept>| Json(kept.lock().unwrap().clone());
    let add = async |State(kept): State<Kept>, Json(body): Json<Value>| {
        kept.lock().unwrap().push(body.clone());
        (http::StatusCode::CREATED, Json(body))
    };
    Router::new().route(path, get(list).post(add)).with_state(Arc::clone(kept))
}

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

#[tokio::test]
async fn a_webhook_that_is_made_is_found_and_tells_all_that_counts() {
    let secret = SecretString::from("hush");
    for (kind, path) in [
        (ForgeKind::Github, "/repos/containers/httpd/hooks"),
        (ForgeKind::Forgejo, "/repos/containers/httpd/hooks"),
        (ForgeKind::Gitea, "/repos/containers/httpd/hooks"),
        (ForgeKind::Gitlab, "/projects/containers%2Fhttpd/hooks"),
    ] {
        let kept = Kept::default();
        let (address, _server) = serve(list_of_hooks(path, &kept)).await;
        let forge = forge(kind, &format!("http://{address}"));
        assert_eq!(forge.hook(&httpd(), URL).await, Ok(Hook::Absent), "{kind:?}");
        forge.create_hook(kind, &httpd(), URL, Some(&secret)).await.unwrap();
        assert_eq!(forge.hook(&httpd(), URL).await, Ok(Hook::There), "{kind:?}");
        let made = kept.lock().unwrap().remove(0);
        let (told, shown) = match kind {
            ForgeKind::Gitlab => (made["url"].clone(), made["token"].clone()),
            _ => (made["config"]["url"].clone(), made["config"]["secret"].clone()),
        };
        assert_eq!((told, shown), (URL.into(), "hush".into()), "{kind:?}");
        if kind == ForgeKind::Gitea {
            assert_eq!(made["type"], "gitea");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_webhook_is_said() {
    let good = json!({"active": true, "events": EVENTS,
        "config": {"url": URL, "content_type": "json"}});
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let as_comments = json!(["push", "create", "delete", "pull_request", "pull_request_comment"]);
    for (hook, words) in [
        (with("/active", false.into()), "switched off"),
        (with("/config/content_type", "form".into()), "content type to JSON"),
        (with("/events", json!(["push", "issue_comment"])), "of create, delete, pull_request;"),
        (with("/config/url", "https://elsewhere.example".into()), "absent"),
        (with("/events", json!(["*"])), "there"),
        (with("/events", as_comments), "there"),
    ] {
        let kept: Kept = Arc::new(Mutex::new(vec![hook.clone()]));
        let (address, _server) = serve(list_of_hooks("/repos/containers/httpd/hooks", &kept)).await;
        let found = forge(ForgeKind::Forgejo, &format!("http://{address}"));
        match found.hook(&httpd(), URL).await.unwrap() {
            Hook::Wrong(why) => assert!(why.contains(words), "{why}"),
            Hook::Absent => assert_eq!(words, "absent", "{hook}"),
            Hook::There => assert_eq!(words, "there", "{hook}"),
            Hook::Untold(why) => panic!("{why}"),
        }
    }
}

#[tokio::test]
async fn a_webhook_that_gitlab_switched_off_is_not_there() {
    let mut hook = json!({"url": URL, "alert_status": "temporarily_disabled"});
    for event in GITLAB_EVENTS {
        hook[event] = true.into();
    }
    let kept: Kept = Arc::new(Mutex::new(vec![hook]));
    let (address, _server) =
        serve(list_of_hooks("/projects/containers%2Fhttpd/hooks", &kept)).await;
    let found = forge(ForgeKind::Gitlab, &format!("http://{address}"));
    let Hook::Wrong(why) = found.hook(&httpd(), URL).await.unwrap() else { panic!("not wrong") };
    assert!(why.contains("switched the webhook off"), "{why}");
}

#[tokio::test]
async fn pagures_other_options_and_addresses_stay() {
    type Options = Arc<Mutex<BTreeMap<String, Value>>>;
    let options: Options = Arc::new(Mutex::new(BTreeMap::from([
        ("Web-hooks".to_owned(), json!("https://first.example/")),
        ("always_merge".to_owned(), json!(true)),
        ("Minimum_score_to_merge_pull-request".to_owned(), json!(-1)),
        ("unset".to_owned(), Value::Null),
    ])));
    let read = async |State(options): State<Options>| {
        Json(json!({"settings": *options.lock().unwrap(), "status": "ok"}))
    };
    // As the real one: what is not sent is lost.
    let update = async |State(options): State<Options>, Form(form): Form<Vec<(String, String)>>| {
        *options.lock().unwrap() =
            form.into_iter().map(|(name, value)| (name, value.into())).collect();
        Json(json!({"status": "ok"}))
    };
    let router = Router::new()
        .route("/containers/httpd/options", get(read))
        .route("/containers/httpd/options/update", post(update))
        .with_state(Arc::clone(&options));
    let (address, _server) = serve(router).await;
    let pagure = forge(ForgeKind::Pagure, &format!("http://{address}"));
    assert_eq!(pagure.hook(&httpd(), URL).await, Ok(Hook::Absent));
    pagure.create_hook(ForgeKind::Pagure, &httpd(), URL, None).await.unwrap();
    assert_eq!(pagure.hook(&httpd(), URL).await, Ok(Hook::There));
    let kept = options.lock().unwrap().clone();
    assert_eq!(kept["Web-hooks"], format!("https://first.example/\n{URL}"));
    assert_eq!((&kept["always_merge"], kept.get("unset")), (&json!("true"), None));
    assert_eq!(kept["Minimum_score_to_merge_pull-request"], "-1");
}
