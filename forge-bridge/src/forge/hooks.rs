//! Webhooks as the forges keep them: whether ours is there, and making it.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::request::{Api, Call};
use super::{Forge, ForgeError, github, gitlab, pagure};
use crate::config::ForgeKind;

/// The events that a run can come from, by the name that GitHub, Forgejo and Gitea share.
const EVENTS: [&str; 5] = ["push", "create", "delete", "pull_request", "issue_comment"];
/// The same of GitLab.
const GITLAB_EVENTS: [&str; 4] =
    ["push_events", "tag_push_events", "merge_requests_events", "note_events"];
/// Where Pagure keeps the addresses of webhooks, one a line.
const PAGURE_HOOKS: &str = "Web-hooks";

/// A forge's number of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct HookId(pub(super) u64);

/// What a forge has at the address of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hook {
    /// It is there and tells all that counts; the number where there are several, and each has one.
    There(Option<HookId>),
    /// It is there, and something of it is not as it must be.
    Wrong(String),
    /// None of the repository's webhooks goes to our address.
    Absent,
    /// The forge cannot be asked for it; the sentence says where to look.
    Untold(String),
}

#[derive(Deserialize)]
struct Shown {
    id: Option<HookId>,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    events: Vec<String>,
    config: ShownConfig,
    /// GitHub's.
    last_response: Option<LastResponse>,
}

#[derive(Deserialize)]
struct LastResponse {
    // `null` before the first delivery.
    code: Option<u16>,
}

#[derive(Deserialize)]
struct ShownConfig {
    #[serde(default)]
    url: String,
    #[serde(default)]
    content_type: String,
    /// GitHub's: `"1"` when it does not look at the certificate; old servers write a number.
    insecure_ssl: Option<Value>,
    /// GitHub's: stars when there is one. Forgejo and Gitea do not tell.
    secret: Option<String>,
}

impl ShownConfig {
    /// What is wrong with where and how it sends; `tells_secret` where the forge shows that there is
    /// one.
    fn fault(&self, tells_secret: bool) -> Option<&'static str> {
        let is_insecure = self.insecure_ssl.as_ref().is_some_and(|told| *told == "1" || *told == 1);
        if self.content_type != "json" {
            Some("the webhook sends forms; set its content type to JSON")
        } else if is_insecure && self.url.starts_with("https:") {
            Some("the webhook does not look at our certificate; enable SSL verification")
        } else if tells_secret && self.secret.as_deref().is_none_or(str::is_empty) {
            Some("the webhook has no secret; set that of webhook_secret_file")
        } else {
            None
        }
    }
}

/// What all forges say of one that is made.
#[derive(Deserialize)]
struct Made {
    id: HookId,
}

#[derive(Deserialize)]
struct AppEvents {
    #[serde(default)]
    events: Vec<String>,
}

#[derive(Deserialize)]
struct PagureOptions {
    settings: BTreeMap<String, Value>,
}

impl Forge {
    /// Looks for the webhook of a repository that goes to `url`.
    ///
    /// # Errors
    /// [`ForgeError::Denied`] when the token may not see webhooks, which statuses do not need.
    pub(crate) async fn hook(
        &self,
        repository: &RepositoryName,
        url: &str,
    ) -> Result<Hook, ForgeError> {
        match self {
            Self::Github(github) if github.api.app().is_some() => of_app(&github.api, url).await,
            Self::Github(github) => {
                github::check(repository)?;
                of_events(&github.api, repository, url, true).await
            }
            Self::Forgejo(forgejo) => of_events(&forgejo.api, repository, url, false).await,
            Self::Gitlab(gitlab) => of_gitlab(&gitlab.api, repository, url).await,
            Self::Pagure(pagure) => {
                let settings = settings(&pagure.api, repository).await?;
                let is_there = addresses(&settings).any(|known| known == url);
                Ok(if is_there { Hook::There(None) } else { Hook::Absent })
            }
            Self::Git(_) => Ok(Hook::Untold(
                "plain git: `strata hook` belongs into hooks/post-receive of each repository"
                    .to_owned(),
            )),
        }
    }

    /// Makes the webhook of a repository, to `url`, proved by `secret` where the forge takes one; the
    /// answer is its number, where it has one.
    ///
    /// # Errors
    /// [`ForgeError`] says why it cannot be made, and what to do.
    pub(crate) async fn create_hook(
        &self,
        kind: ForgeKind,
        repository: &RepositoryName,
        url: &str,
        secret: Option<&SecretString>,
    ) -> Result<Option<HookId>, ForgeError> {
        let secret = secret.map(ExposeSecret::expose_secret).unwrap_or_default();
        let (api, call) = match self {
            Self::Github(github) if github.api.app().is_some() => {
                return Err(ForgeError::refused(format!(
                    "an App has one webhook for all repositories; set its address to {url} in \
                     the App's settings"
                )));
            }
            Self::Github(github) => (&github.api, of_kind("web", repository, url, secret)),
            Self::Forgejo(forgejo) => {
                let word = if kind == ForgeKind::Gitea { "gitea" } else { "forgejo" };
                (&forgejo.api, of_kind(word, repository, url, secret))
            }
            Self::Gitlab(gitlab) => {
                let mut body = json!({"url": url, "token": secret});
                for event in GITLAB_EVENTS {
                    body[event] = true.into();
                }
                let path = format!("{}/hooks", gitlab::project(repository));
                (&gitlab.api, Call::post(Deed::Webhooks, path).of(repository).json(&body))
            }
            Self::Pagure(pagure) => {
                // What is not sent goes back to its default, so that all of it is.
                let mut settings = settings(&pagure.api, repository).await?;
                let all: Vec<&str> = addresses(&settings).chain([url]).collect();
                let all = all.join("\n");
                settings.insert(PAGURE_HOOKS.to_owned(), all.into());
                let path = format!("/{}/options/update", pagure::api_path(repository));
                let call = Call::post(Deed::Webhooks, path).of(repository);
                (&pagure.api, call.form(form(&settings)))
            }
            Self::Git(_) => {
                return Err(ForgeError::refused(
                    "a hook of plain git is a file; put `strata hook` into hooks/post-receive",
                ));
            }
        };
        let answer = api.ask(call).await?;
        Ok(serde_json::from_slice(&answer.body).ok().map(|Made { id }| id))
    }
}

/// The body that GitHub, Forgejo and Gitea take alike; `kind` goes by two names.
fn of_kind<'a>(kind: &str, repository: &'a RepositoryName, url: &str, secret: &str) -> Call<'a> {
    let body = json!({
        "name": "web", "type": kind, "active": true, "events": EVENTS,
        "config": {"url": url, "content_type": "json", "secret": secret},
    });
    Call::post(Deed::Webhooks, format!("/repos/{repository}/hooks")).of(repository).json(&body)
}

async fn of_app(api: &Api, url: &str) -> Result<Hook, ForgeError> {
    let call = Call::get(Deed::Webhooks, "/app/hook/config".to_owned()).of_app();
    let shown: ShownConfig = api.read(call).await?;
    if shown.url != url {
        let why = format!("the App's webhook goes to `{}`; set it to {url}", shown.url);
        return Ok(Hook::Wrong(why));
    }
    if let Some(why) = shown.fault(true) {
        return Ok(Hook::Wrong(why.to_owned()));
    }
    let call = Call::get(Deed::Identity, "/app".to_owned()).of_app();
    let AppEvents { events } = api.read(call).await?;
    Ok(missing_events(&missing(&events), None))
}

async fn of_events(
    api: &Api,
    repository: &RepositoryName,
    url: &str,
    tells_secret: bool,
) -> Result<Hook, ForgeError> {
    let call = Call::get(Deed::Webhooks, format!("/repos/{repository}/hooks")).of(repository);
    let hooks: Vec<Shown> = api.read(call.query("per_page", 100).query("limit", 50)).await?;
    let ours = hooks.into_iter().find(|hook| hook.config.url == url);
    Ok(ours.map_or(Hook::Absent, |hook| hook.judged(tells_secret)))
}

impl Shown {
    fn judged(self, tells_secret: bool) -> Hook {
        if !self.active {
            return Hook::Wrong("the webhook is switched off; make it active".to_owned());
        }
        if let Some(why) = self.config.fault(tells_secret) {
            return Hook::Wrong(why.to_owned());
        }
        let code = self.last_response.and_then(|last| last.code);
        if let Some(code @ 401 | code @ 403) = code {
            return Hook::Wrong(format!(
                "the last delivery was answered {code}: its secret is another one than that of \
                 webhook_secret_file; set it, and redeliver that delivery"
            ));
        }
        missing_events(&missing(&self.events), self.id)
    }
}

/// Which events are not told.
fn missing(events: &[String]) -> Vec<&'static str> {
    let told = |event: &str| events.iter().any(|one| one == event || one == "*");
    // Gitea and Forgejo tell comments on pull requests apart from those on issues.
    let is_told =
        |event: &str| told(event) || (event == "issue_comment" && told("pull_request_comment"));
    EVENTS.into_iter().filter(|event| !is_told(event)).collect()
}

async fn of_gitlab(api: &Api, repository: &RepositoryName, url: &str) -> Result<Hook, ForgeError> {
    let path = format!("{}/hooks", gitlab::project(repository));
    let call = Call::get(Deed::Webhooks, path).of(repository).query("per_page", 100);
    let hooks: Vec<Value> = api.read(call).await?;
    let Some(ours) = hooks.iter().find(|hook| hook["url"] == url) else {
        return Ok(Hook::Absent);
    };
    if ours["alert_status"].as_str().is_some_and(|status| status != "executable") {
        let why = "GitLab has switched the webhook off because deliveries failed; send a test";
        return Ok(Hook::Wrong(why.to_owned()));
    }
    if ours["enable_ssl_verification"] == false && url.starts_with("https:") {
        let why = "the webhook does not look at our certificate; enable SSL verification";
        return Ok(Hook::Wrong(why.to_owned()));
    }
    let filter = ours["push_events_branch_filter"].as_str().unwrap_or_default();
    if !filter.is_empty() && ours["branch_filter_strategy"] != "all_branches" {
        let why = "the webhook tells of pushes to some branches only; let it tell of all branches";
        return Ok(Hook::Wrong(why.to_owned()));
    }
    let missing: Vec<&str> =
        GITLAB_EVENTS.into_iter().filter(|&event| ours[event] != true).collect();
    Ok(missing_events(&missing, ours["id"].as_u64().map(HookId)))
}

fn missing_events(missing: &[&str], id: Option<HookId>) -> Hook {
    if missing.is_empty() {
        return Hook::There(id);
    }
    Hook::Wrong(format!("the webhook does not tell of {}; add that", missing.join(", ")))
}

async fn settings(
    api: &Api,
    repository: &RepositoryName,
) -> Result<BTreeMap<String, Value>, ForgeError> {
    let path = format!("/{}/options", pagure::api_path(repository));
    let options: PagureOptions = api.read(Call::get(Deed::Webhooks, path).of(repository)).await?;
    Ok(options.settings)
}

fn addresses(settings: &BTreeMap<String, Value>) -> impl Iterator<Item = &str> {
    let text = settings.get(PAGURE_HOOKS).and_then(Value::as_str).unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn form(settings: &BTreeMap<String, Value>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in settings {
        match value {
            Value::Null => {}
            Value::String(text) => drop(form.append_pair(name, text)),
            other => drop(form.append_pair(name, &other.to_string())),
        }
    }
    form.finish()
}

#[cfg(test)]
pub(super) mod tests;
