//! Asking GitHub to send again what it could not deliver.
//!
//! It never tries by itself, but keeps a list of what failed for some days.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::LINK;
use serde::Deserialize;
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::request::{Api, Call};
use super::{Forge, ForgeError};

/// Most deliveries that are asked for again at once; others follow the next time.
const MAX_REDELIVERIES: usize = 50;
/// Deliveries of one page of a list, newest first; GitHub gives no more.
const LISTED: usize = 100;
/// Most pages of a list that are read at once.
const MAX_PAGES: usize = 10;
/// Attempts at one delivery after which it is left: what is refused each time must not keep the
/// others from being asked for.
const MAX_ATTEMPTS: usize = 4;
/// Lists of which is remembered how far they were looked at; a forgotten one is read again.
const MAX_LISTS: usize = 4096;

/// The last look at a list.
#[derive(Debug, Clone, Default)]
struct Look {
    /// The newest delivery of the last look that left nothing over; 0 for none.
    newest: u64,
    /// Attempts at those that were asked for, by guid.
    attempts: HashMap<String, usize>,
}

/// The last look at each list. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LookedAt(Arc<Mutex<HashMap<String, Look>>>);

impl LookedAt {
    fn last(&self, list: &str) -> Look {
        // A map of looks is whole after any panic.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(list).cloned().unwrap_or_default()
    }

    fn note(&self, list: &str, look: Look) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_LISTS {
            known.clear();
        }
        known.insert(list.to_owned(), look);
    }
}

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
        let (api, looked_at) = (&github.api, &github.looked_at);
        if api.app().is_some() {
            return redeliver(api, looked_at, None, "/app/hook/deliveries").await;
        }
        let path = format!("/repos/{repository}/hooks");
        let hooks: Vec<Hook> =
            api.read(Call::get(Deed::Webhooks, path.clone()).of(repository)).await?;
        let ours = hooks.iter().find(|hook| hook.config.url.as_deref() == Some(hook_url));
        let Some(hook) = ours else { return Ok(0) };
        let path = format!("{path}/{}/deliveries", hook.id);
        redeliver(api, looked_at, Some(repository), &path).await
    }
}

async fn redeliver(
    api: &Api,
    looked_at: &LookedAt,
    repository: Option<&RepositoryName>,
    path: &str,
) -> Result<usize, ForgeError> {
    let mut look = looked_at.last(path);
    let sent = sent_since(api, repository, path, look.newest).await?;
    let mut lost = lost(&sent, &look);
    if lost.len() <= MAX_REDELIVERIES {
        look.newest = sent.iter().map(|one| one.id).max().unwrap_or(look.newest);
    }
    lost.truncate(MAX_REDELIVERIES);
    look.attempts = lost.iter().map(|lost| (lost.guid.to_owned(), lost.attempts)).collect();
    for Lost { id, .. } in lost.iter().rev() {
        let call = Call::post(Deed::Webhooks, format!("{path}/{id}/attempts"));
        api.ask(about(call, repository)).await?;
    }
    looked_at.note(path, look);
    Ok(lost.len())
}

/// What was sent, newest first: a page, and as many more as there were since the last look.
async fn sent_since(
    api: &Api,
    repository: Option<&RepositoryName>,
    path: &str,
    known: u64,
) -> Result<Vec<Sent>, ForgeError> {
    let mut sent: Vec<Sent> = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let call = Call::get(Deed::Webhooks, path.to_owned()).query("per_page", LISTED);
        let call = match &cursor {
            Some(cursor) => call.query("cursor", cursor),
            None => call,
        };
        let answer = api.ask(about(call, repository)).await?;
        sent.extend(answer.json::<Vec<Sent>>()?);
        cursor = next_cursor(&answer.headers);
        let is_known = sent.iter().any(|one| one.id <= known);
        if is_known || cursor.is_none() {
            break;
        }
    }
    Ok(sent)
}

/// The `cursor` of the page that follows; no address that an answer names is asked.
fn next_cursor(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|links| links.to_str().ok());
    let next = links.flat_map(|links| links.split(',')).find(|one| one.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    let (_, query) = address.split_once('?')?;
    let mut fields = form_urlencoded::parse(query.as_bytes());
    fields.find(|(name, _)| name == "cursor").map(|(_, cursor)| cursor.into_owned())
}

/// About a repository's webhook, or about the App's own.
fn about<'a>(call: Call<'a>, repository: Option<&'a RepositoryName>) -> Call<'a> {
    match repository {
        Some(repository) => call.of(repository),
        None => call.of_app(),
    }
}

/// A delivery that never arrived.
#[derive(Debug, PartialEq, Eq)]
struct Lost<'a> {
    id: u64,
    guid: &'a str,
    attempts: usize,
}

/// Those that never arrived, newest first, of what was sent since the last look. A delivery that is
/// sent again keeps its guid, so that one success is enough; and one that failed often enough is left.
fn lost<'a>(sent: &'a [Sent], last: &Look) -> Vec<Lost<'a>> {
    let mut tried: HashMap<&str, (usize, bool)> = HashMap::new();
    for one in sent {
        let (count, is_taken) = tried.entry(&one.guid).or_default();
        *count += 1;
        *is_taken |= one.is_taken();
    }
    let mut lost = Vec::new();
    for one in sent.iter().filter(|one| one.id > last.newest) {
        // Taken out, so that the newest attempt stands for all.
        let Some((count, false)) = tried.remove(one.guid.as_str()) else { continue };
        let before = last.attempts.get(&one.guid).map_or(0, |before| before + 1);
        let attempts = count.max(before);
        if attempts < MAX_ATTEMPTS {
            lost.push(Lost { id: one.id, guid: &one.guid, attempts });
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::{Path, RawQuery, State};
    use axum::response::{IntoResponse, Response};
    use axum::routing::{MethodRouter, get, post};
    use axum::{Json, Router};
    use http::StatusCode;
    use serde_json::{Value, json};
    use tokio::task::JoinHandle;

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
        pages: usize,
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

    /// A GitHub with the webhooks of one repository; `listed` lists what was sent to ours.
    async fn hub(model: &Shared, listed: MethodRouter<Shared>) -> (Forge, JoinHandle<()>) {
        let path = "/repos/containers/httpd/hooks";
        let router = Router::new()
            .route(path, get(hooks))
            .route(&format!("{path}/4/deliveries"), listed)
            .route(&format!("{path}/4/deliveries/{{id}}/attempts"), post(again))
            .with_state(Arc::clone(model));
        let (address, server) = serve(router).await;
        let api = Api::of(ForgeKind::Github, &format!("http://{address}"), TOKEN);
        (Forge::Github(Github::new(api)), server)
    }

    #[tokio::test]
    async fn github_sends_again_what_failed_of_our_webhook_and_nothing_twice() {
        let one = |id: u64, guid: &str, status: u16| json!({"id": id, "guid": guid, "status_code": status});
        let sent = vec![one(12, "b", 502), one(11, "c", 202), one(10, "a", 0)];
        let model = Shared::new(Mutex::new(Model { sent, ..Model::default() }));
        let (forge, _server) = hub(&model, get(list)).await;
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
        let model = Shared::new(Mutex::new(Model { sent, ..Model::default() }));
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
        let ids = |sent: &[Sent], last: &Look| -> Vec<u64> {
            lost(sent, last).iter().map(|lost| lost.id).collect()
        };
        let first = Look::default();
        assert_eq!(ids(&list, &first), [8, 5]);
        assert_eq!(ids(&[], &first), [0; 0]);
        let often: Vec<Sent> = (0..MAX_ATTEMPTS as u64).map(|n| sent(n + 1, "a", 401)).collect();
        assert_eq!(ids(&often[1..], &first), [2]);
        assert_eq!(ids(&often, &first), [0; 0], "it is refused each time");
        let attempts = |count| HashMap::from([("a".to_owned(), count)]);
        let last = |count| Look { newest: 2, attempts: attempts(count) };
        assert_eq!(ids(&often[..3], &last(2)), [3], "told of since");
        assert_eq!(ids(&often[..3], &last(3)), [0; 0], "with those of earlier looks");
    }

    /// A hundred on each page, as GitHub's, where the next one is named by a cursor.
    async fn page(State(model): State<Shared>, RawQuery(query): RawQuery) -> Response {
        let query = query.unwrap();
        let from = query.split_once("cursor=v").map_or(0, |(_, at)| at.parse().unwrap());
        let mut model = model.lock().unwrap();
        model.pages += 1;
        let rows: Vec<Value> = model.sent.iter().skip(from).take(LISTED).cloned().collect();
        let next = from + rows.len();
        let link =
            format!("<https://elsewhere.example/x?per_page=100&cursor=v{next}>; rel=\"next\"");
        let link = if next < model.sent.len() { link } else { String::new() };
        ([("link", link)], Json(Value::from(rows))).into_response()
    }

    #[tokio::test]
    async fn what_is_lost_is_found_behind_what_is_refused_each_time_and_on_later_pages() {
        let one = |id: u64, guid: String, status: u16| json!({"id": id, "guid": guid, "status_code": status});
        let mut sent = vec![one(5000, "newest".to_owned(), 0)];
        // Sixty that our side refuses, each tried four times, and as many that arrived.
        sent.extend((0..240).map(|n| one(4000 - n, format!("bad {}", n % 60), 401)));
        sent.extend((0..60).map(|n| one(3000 - n, format!("good {n}"), 202)));
        sent.push(one(10, "oldest".to_owned(), 503));
        let model = Shared::new(Mutex::new(Model { sent, ..Model::default() }));
        let (forge, _server) = hub(&model, get(page)).await;
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        assert_eq!(forge.redeliver(&httpd, OURS).await, Ok(2));
        assert_eq!(model.lock().unwrap().again, [10, 5000]);
        assert_eq!(model.lock().unwrap().pages, 4);
        assert_eq!(forge.redeliver(&httpd, OURS).await, Ok(0));
        assert_eq!(model.lock().unwrap().pages, 5, "back to the last look, and no further");
    }
}
