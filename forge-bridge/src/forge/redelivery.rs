//! Asking GitHub to send again what it could not deliver.
//!
//! It never tries by itself, but keeps a list of what failed for some days.

use std::collections::HashSet;

use serde::Deserialize;
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::request::{Api, Call};
use super::{Forge, ForgeError};

/// Most deliveries that are asked for again at once, the oldest first: others follow the next
/// time.
const MAX_REDELIVERIES: usize = 50;
/// Deliveries of a list, the newest; GitHub has no more in one.
const LISTED: usize = 100;

#[derive(Deserialize)]
struct Hook {
    id: u64,
    config: HookConfig,
}

#[derive(Deserialize)]
struct HookConfig {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Sent {
    id: u64,
    guid: String,
    status_code: u16,
}

impl Sent {
    fn is_taken(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

impl Forge {
    /// Has the deliveries of a repository that failed sent again, or those of the whole App, and
    /// says how many. Nothing on forges that keep no such list. `hook_url` is where ours go.
    pub(crate) async fn redeliver(
        &self,
        repository: &RepositoryName,
        hook_url: &str,
    ) -> Result<usize, ForgeError> {
        let Self::Github(github) = self else { return Ok(0) };
        let api = &github.api;
        if api.app().is_some() {
            return redeliver(api, None, "/app/hook/deliveries").await;
        }
        let path = format!("/repos/{repository}/hooks");
        let hooks: Vec<Hook> =
            api.read(Call::get(Deed::Webhooks, path.clone()).of(repository)).await?;
        let ours = hooks.iter().find(|hook| hook.config.url.as_deref() == Some(hook_url));
        let Some(hook) = ours else { return Ok(0) };
        redeliver(api, Some(repository), &format!("{path}/{}/deliveries", hook.id)).await
    }
}

async fn redeliver(
    api: &Api,
    repository: Option<&RepositoryName>,
    path: &str,
) -> Result<usize, ForgeError> {
    let call = Call::get(Deed::Webhooks, path.to_owned()).query("per_page", LISTED);
    let sent: Vec<Sent> = api.read(about(call, repository)).await?;
    let lost = lost(&sent);
    for id in &lost {
        let call = Call::post(Deed::Webhooks, format!("{path}/{id}/attempts"));
        api.ask(about(call, repository)).await?;
    }
    Ok(lost.len())
}

/// About a repository's webhook, or about the App's own.
fn about<'a>(call: Call<'a>, repository: Option<&'a RepositoryName>) -> Call<'a> {
    match repository {
        Some(repository) => call.of(repository),
        None => call.of_app(),
    }
}

/// Those that never arrived, oldest first. A delivery that is sent again keeps its guid, so that
/// one success is enough.
fn lost(sent: &[Sent]) -> Vec<u64> {
    let taken: HashSet<&str> =
        sent.iter().filter(|one| one.is_taken()).map(|one| one.guid.as_str()).collect();
    let mut seen = HashSet::new();
    let mut lost = Vec::new();
    for one in sent {
        if !taken.contains(one.guid.as_str()) && seen.insert(one.guid.as_str()) {
            lost.push(one.id);
        }
    }
    lost.reverse();
    lost.truncate(MAX_REDELIVERIES);
    lost
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::{Path, State};
    use axum::response::{IntoResponse, Response};
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::ForgeKind;
    use crate::forge::github::Github;
    use crate::forge::tests::{TOKEN, serve};

    const OURS: &str = "https://strata.example/hooks/hub";

    /// What GitHub keeps of one webhook, newest first, and how often it sent again.
    #[derive(Default)]
    struct Model {
        sent: Vec<Value>,
        again: Vec<u64>,
    }

    type Shared = Arc<Mutex<Model>>;

    async fn hooks() -> Json<Value> {
        let hook = |id: u64, url: Value| json!({"id": id, "config": {"url": url}});
        let other = hook(3, "https://elsewhere.example".into());
        Json(json!([hook(2, Value::Null), other, hook(4, OURS.into())]))
    }

    async fn list(State(model): State<Shared>) -> Json<Value> {
        Json(model.lock().unwrap().sent.clone().into())
    }

    /// Sends again, which this time succeeds: a new attempt under the same guid.
    async fn again(State(model): State<Shared>, Path(id): Path<u64>) -> Response {
        let mut model = model.lock().unwrap();
        let Some(found) = model.sent.iter().find(|one| one["id"] == id).cloned() else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let attempt = json!({"id": 1000 + id, "guid": found["guid"], "status_code": 202});
        model.sent.insert(0, attempt);
        model.again.push(id);
        (StatusCode::ACCEPTED, Json(json!({}))).into_response()
    }

    #[tokio::test]
    async fn github_sends_again_what_failed_of_our_webhook_and_nothing_twice() {
        let one = |id: u64, guid: &str, status: u16| json!({"id": id, "guid": guid, "status_code": status});
        let sent = vec![one(12, "b", 502), one(11, "c", 202), one(10, "a", 0)];
        let model = Shared::new(Mutex::new(Model { sent, again: Vec::new() }));
        let path = "/repos/containers/httpd/hooks";
        let router = Router::new()
            .route(path, get(hooks))
            .route(&format!("{path}/4/deliveries"), get(list))
            .route(&format!("{path}/4/deliveries/{{id}}/attempts"), post(again))
            .with_state(Arc::clone(&model));
        let (address, _server) = serve(router).await;
        let api = Api::of(ForgeKind::Github, &format!("http://{address}"), TOKEN);
        let forge = Forge::Github(Github::new(api));
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        assert_eq!(forge.redeliver(&httpd, OURS).await, Ok(2));
        assert_eq!(model.lock().unwrap().again, [10, 12], "the oldest first");
        assert_eq!(forge.redeliver(&httpd, OURS).await, Ok(0), "both have arrived");
        let elsewhere = "https://strata.example/hooks/other";
        assert_eq!(forge.redeliver(&httpd, elsewhere).await, Ok(0), "no webhook is ours");
    }

    /// The list of an App is asked for by the App itself, and is of all its repositories.
    #[tokio::test]
    async fn an_app_has_the_deliveries_of_its_one_webhook_sent_again() {
        let sent = vec![json!({"id": 7, "guid": "a", "status_code": 504})];
        let model = Shared::new(Mutex::new(Model { sent, again: Vec::new() }));
        let path = "/app/hook/deliveries";
        let router = Router::new()
            .route(path, get(list))
            .route(&format!("{path}/{{id}}/attempts"), post(again))
            .with_state(Arc::clone(&model));
        let (address, _server) = serve(router).await;
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key.pem");
        std::fs::write(&key, include_str!("../../tests/data/app-key.pem")).unwrap();
        let config = toml::from_str(&format!(
            "name = \"hub\"\nkind = \"github\"\napi_url = \"http://{address}\"\n\
             clone_url = \"http://{address}/{{repository}}.git\"\nwebhook_secret_file = \"/s\"\n\
             app = {{ id = 5, private_key_file = \"{}\" }}\n",
            key.display()
        ));
        let forge = Forge::open(&config.unwrap()).unwrap();
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        assert_eq!(forge.redeliver(&httpd, OURS).await, Ok(1));
        assert_eq!(forge.redeliver(&httpd, OURS).await, Ok(0));
        assert_eq!(model.lock().unwrap().again, [7]);
    }

    fn sent(id: u64, guid: &str, status_code: u16) -> Sent {
        Sent { id, guid: guid.to_owned(), status_code }
    }

    #[test]
    fn what_failed_and_never_arrived_is_asked_for_once_and_in_order() {
        // Newest first, as GitHub lists them.
        let list = [
            sent(9, "a", 200),
            sent(8, "b", 502),
            sent(7, "c", 202),
            sent(6, "b", 0),
            sent(5, "d", 503),
            sent(4, "a", 500),
        ];
        assert_eq!(lost(&list), [5, 8]);
        assert_eq!(lost(&[]), [0; 0]);
        let many: Vec<Sent> = (0..LISTED as u64).map(|n| sent(n, &n.to_string(), 500)).collect();
        assert_eq!(lost(&many).len(), MAX_REDELIVERIES);
    }
}
