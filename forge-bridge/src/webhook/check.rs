//! GitHub's checks. Its buttons ask the App that made them for them again, which is the one thing
//! that is told of them and does not come from an App itself.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use workflows::event::{Event, MAX_CHECK_BYTES, RerunAsked};
use workflows::names::{CommitId, RepositoryName};

use super::comment::Writer;
use super::decode::{Undecoded, quoted};
use super::refs::Repository;

/// What both events have, whatever their action.
#[derive(Deserialize)]
struct Envelope {
    action: String,
    repository: Repository,
}

#[derive(Deserialize)]
struct OfRun {
    check_run: CheckRun,
    sender: Option<Writer>,
}

#[derive(Deserialize)]
struct CheckRun {
    head_sha: String,
    name: String,
    // `null` or empty when the App gave it none.
    external_id: Option<String>,
    // `null` when the App is gone.
    app: Option<App>,
}

#[derive(Deserialize)]
struct OfSuite {
    check_suite: CheckSuite,
    sender: Option<Writer>,
}

#[derive(Deserialize)]
struct CheckSuite {
    head_sha: String,
    app: Option<App>,
}

#[derive(Deserialize)]
struct App {
    id: u64,
}

/// Decodes `check_run`: "Re-run" at one check. Our own are made with their name as external id;
/// those of others are not ours to make again.
pub(super) fn decode_run(body: &[u8]) -> Result<Event, Undecoded> {
    let (repository, OfRun { check_run, sender }) = match rerequested(body, "check_run")? {
        Ok(asked) => asked,
        Err(ignored) => return Ok(ignored),
    };
    let is_ours = check_run.external_id.as_ref() == Some(&check_run.name)
        && (1..=MAX_CHECK_BYTES).contains(&check_run.name.len());
    if !is_ours {
        let why = "the check is not ours: it has another external id";
        return Ok(Event::ignored(Some(repository), why));
    }
    asked(repository, &check_run.head_sha, Some(check_run.name), check_run.app, sender)
}

/// Decodes `check_suite`: "Re-run all checks" of a commit.
pub(super) fn decode_suite(body: &[u8]) -> Result<Event, Undecoded> {
    let (repository, OfSuite { check_suite, sender }) = match rerequested(body, "check_suite")? {
        Ok(asked) => asked,
        Err(ignored) => return Ok(ignored),
    };
    asked(repository, &check_suite.head_sha, None, check_suite.app, sender)
}

/// Reads the rest of an event that asks for checks again; another action is ignored, among them what
/// our own posts bring about, and `requested_action`, which a button of an App sends: we make none.
fn rerequested<T: DeserializeOwned>(
    body: &[u8],
    what: &str,
) -> Result<Result<(RepositoryName, T), Event>, Undecoded> {
    let Envelope { action, repository } = serde_json::from_slice(body)?;
    let repository = repository.name()?;
    if action != "rerequested" {
        let reason = format!("{what} action {} asks for nothing", quoted(&action));
        return Ok(Err(Event::ignored(Some(repository), reason)));
    }
    Ok(Ok((repository, serde_json::from_slice(body)?)))
}

fn asked(
    repository: RepositoryName,
    head: &str,
    check: Option<String>,
    app: Option<App>,
    sender: Option<Writer>,
) -> Result<Event, Undecoded> {
    let ignored = |repository, why: &str| Ok(Event::ignored(Some(repository), why));
    let Some(App { id: app }) = app else {
        return ignored(repository, "no App is named that made the checks");
    };
    let is_bot = sender.as_ref().is_some_and(Writer::is_bot);
    let Some(actor) = sender.and_then(Writer::shown_name) else {
        return ignored(repository, "nobody is named who asked for the checks");
    };
    let head = CommitId::parse(head).map_err(Undecoded::name_in(&repository))?;
    Ok(Event::RerunAsked(RerunAsked { repository, head, check, app, actor, is_bot }))
}

#[cfg(test)]
mod tests;
