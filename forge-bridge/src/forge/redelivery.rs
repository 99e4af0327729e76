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
    use super::*;

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
