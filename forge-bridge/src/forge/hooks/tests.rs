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
    let add = async |State(kept): State<Kept>, Json(mut body): Json<Value>| {
        body["id"] = 12.into();
        kept.lock().unwrap().push(body.clone());
        (http::StatusCode::CREATED, Json(body))
    };
    Router::new().route(path, get(list).post(add)).with_state(Arc::clone(kept))
}

fn httpd() -> RepositoryName {
    RepositoryName::parse("containers/httpd").unwrap()
}

pub(in crate::forge) fn forge(kind: ForgeKind, url: &str) -> Forge {
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
        let made = forge.create_hook(kind, &httpd(), URL, Some(&secret)).await;
        assert_eq!(made, Ok(Some(HookId(12))), "{kind:?}");
        let found = forge.hook(&httpd(), URL).await;
        assert_eq!(found, Ok(Hook::There(Some(HookId(12)))), "{kind:?}");
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
            Hook::There(_) => assert_eq!(words, "there", "{hook}"),
            Hook::Untold(why) => panic!("{why}"),
        }
    }
}

#[tokio::test]
async fn a_webhook_of_gitlab_that_does_not_tell_all_is_wrong() {
    for (setting, words) in [
        (json!({"alert_status": "temporarily_disabled"}), "switched the webhook off"),
        (json!({"push_events_branch_filter": "never/*"}), "some branches only"),
        (json!({"enable_ssl_verification": false}), "certificate"),
        (json!({"push_events_branch_filter": "x", "branch_filter_strategy": "all_branches"}), ""),
    ] {
        let mut hook = setting.clone();
        hook["url"] = URL.into();
        for event in GITLAB_EVENTS {
            hook[event] = true.into();
        }
        let kept: Kept = Arc::new(Mutex::new(vec![hook]));
        let (address, _server) =
            serve(list_of_hooks("/projects/containers%2Fhttpd/hooks", &kept)).await;
        let found = forge(ForgeKind::Gitlab, &format!("http://{address}"));
        match found.hook(&httpd(), URL).await.unwrap() {
            Hook::Wrong(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            other => assert!(words.is_empty(), "{setting}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_webhook_of_github_shows_its_secret_and_how_it_went() {
    let good = json!({"active": true, "events": EVENTS, "last_response": {"code": 202},
        "config": {"url": URL, "content_type": "json", "insecure_ssl": "0", "secret": "********"}});
    for (pointer, value, words) in [
        ("/config/insecure_ssl", json!("1"), "SSL verification"),
        ("/config/secret", Value::Null, "no secret"),
        ("/last_response/code", json!(401), "its secret is another one"),
        ("/last_response/code", Value::Null, ""),
    ] {
        let mut hook = good.clone();
        *hook.pointer_mut(pointer).unwrap() = value;
        let kept: Kept = Arc::new(Mutex::new(vec![hook]));
        let (address, _server) = serve(list_of_hooks("/repos/containers/httpd/hooks", &kept)).await;
        let found = forge(ForgeKind::Github, &format!("http://{address}"));
        match found.hook(&httpd(), URL).await.unwrap() {
            Hook::Wrong(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            other => assert!(words.is_empty(), "{pointer}: {other:?}"),
        }
    }
}

/// An App with all that it needs, as `GET /app` and its webhook show it, but for one thing.
async fn app(
    pointer: &str,
    value: Value,
) -> (Forge, tempfile::TempDir, tokio::task::JoinHandle<()>) {
    let mut shown = json!({
        "app": {"slug": "strata", "events": EVENTS, "permissions":
            {"checks": "write", "contents": "read", "metadata": "read", "pull_requests": "write"}},
        "config": {"url": URL, "content_type": "json", "insecure_ssl": "0", "secret": "********"},
    });
    *shown.pointer_mut(pointer).unwrap() = value;
    let part = |name: &str| {
        let part = shown[name].clone();
        get(async move || Json(part))
    };
    let router = Router::new().route("/app", part("app")).route("/app/hook/config", part("config"));
    let (address, server) = serve(router).await;
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, include_str!("../../../tests/data/app-key.pem")).unwrap();
    let config = toml::from_str(&format!(
        "name = \"hub\"\nkind = \"github\"\napi_url = \"http://{address}\"\n\
         clone_url = \"http://{address}/{{repository}}.git\"\nwebhook_secret_file = \"/s\"\n\
         app = {{ id = 5, private_key_file = \"{}\" }}\n",
        key.display()
    ));
    (Forge::open(&config.unwrap()).unwrap(), directory, server)
}

#[tokio::test]
async fn what_an_app_lacks_is_told() {
    use crate::forge::Right;
    for (pointer, value, words) in [
        ("/app/slug", json!("strata"), ""),
        ("/app/events", json!([]), "tell of push, create, delete, pull_request, issue_comment"),
        ("/config/content_type", json!("form"), "JSON"),
        ("/config/insecure_ssl", json!("1"), "SSL verification"),
        ("/config/url", json!("https://elsewhere.example"), "elsewhere"),
        ("/app/permissions/pull_requests", json!("read"), "Pull requests: Read and write"),
        ("/app/permissions/contents", Value::String(String::new()), "Contents: Read-only"),
        ("/app/permissions/checks", json!("read"), "Checks: Read and write"),
    ] {
        let (forge, _directory, _server) = app(pointer, value).await;
        let mut told = String::new();
        if let Hook::Wrong(why) = forge.hook(&httpd(), URL).await.unwrap() {
            told += &why;
        }
        for right in [forge.may_set_statuses(&httpd()).await, forge.may_comment(&httpd()).await] {
            if let Right::No(why) = right.unwrap() {
                told += &why;
            }
        }
        assert_eq!(told.is_empty(), words.is_empty(), "{pointer}: {told}");
        assert!(told.contains(words), "{pointer}: {told}");
    }
}

#[tokio::test]
async fn a_token_that_may_only_read_is_found_out_whatever_its_user_may() {
    use crate::forge::Right;
    let user = json!({"permissions": {"push": true, "project_access": {"access_level": 40}}});
    for (kind, repository, statuses) in [
        (ForgeKind::Forgejo, "/repos/containers/httpd", "/repos/containers/httpd/statuses/{sha}"),
        (
            ForgeKind::Gitlab,
            "/projects/containers%2Fhttpd",
            "/projects/containers%2Fhttpd/statuses/{sha}",
        ),
    ] {
        for (answer, may) in [(403, false), (404, true)] {
            let answer = http::StatusCode::from_u16(answer).unwrap();
            let shown = user.clone();
            let router = Router::new()
                .route(repository, get(async move || Json(shown)))
                .route(statuses, post(async move || (answer, Json(json!({"message": "so"})))));
            let (address, _server) = serve(router).await;
            let right = forge(kind, &format!("http://{address}")).may_set_statuses(&httpd()).await;
            assert_eq!(matches!(right, Ok(Right::Yes(_))), may, "{kind:?}: {right:?}");
            assert_eq!(matches!(right, Ok(Right::No(_))), !may, "{kind:?}: {right:?}");
        }
    }
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
    assert_eq!(pagure.create_hook(ForgeKind::Pagure, &httpd(), URL, None).await, Ok(None));
    assert_eq!(pagure.hook(&httpd(), URL).await, Ok(Hook::There(None)));
    let kept = options.lock().unwrap().clone();
    assert_eq!(kept["Web-hooks"], format!("https://first.example/\n{URL}"));
    assert_eq!((&kept["always_merge"], kept.get("unset")), (&json!("true"), None));
    assert_eq!(kept["Minimum_score_to_merge_pull-request"], "-1");
}
