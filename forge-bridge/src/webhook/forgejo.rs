//! Deliveries of Forgejo, and of Gitea, whose child it is.

use serde::Deserialize;
use workflows::event::{Event, Ping};

use super::decode::{Undecoded, quoted};
use super::refs::{Account, RefChange, RefForm, RefMove, Repository};
use super::{comment, pull_request};

/// There is no `forced` flag; who wants to know asks the history. `commits` is cut after fifteen
/// and newest first, so nothing may be concluded from it and it is not read.
#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    ref_name: String,
    before: String,
    after: String,
    repository: Repository,
    pusher: Option<Account>,
    sender: Option<Account>,
}

#[derive(Deserialize)]
struct Envelope {
    repository: Option<Repository>,
}

pub(super) fn decode(event_name: &str, body: &[u8]) -> Result<Event, Undecoded> {
    match event_name {
        "push" => push(body),
        "pull_request" => pull_request::decode(body, "synchronized"),
        "issue_comment" => comment::decode(body),
        "create" => serde_json::from_slice::<RefChange>(body)?.created(RefForm::ShortOrFull),
        "delete" => serde_json::from_slice::<RefChange>(body)?.deleted(RefForm::ShortOrFull),
        other => {
            let envelope: Envelope = serde_json::from_slice(body)?;
            let repository = envelope.repository.map(|r| r.name()).transpose()?;
            Ok(Event::ignored(repository, format!("event {} changes no commit", quoted(other))))
        }
    }
}

fn push(body: &[u8]) -> Result<Event, Undecoded> {
    let push: Push = serde_json::from_slice(body)?;
    let repository = push.repository.name()?;
    // "Test delivery" is a push of the default branch onto itself.
    if push.before == push.after {
        return Ok(Event::Ping(Ping { repository: Some(repository) }));
    }
    RefMove {
        repository,
        ref_name: &push.ref_name,
        before: &push.before,
        after: &push.after,
        forced: false,
        actor: push.pusher.or(push.sender).and_then(Account::shown_name),
    }
    .event()
}

#[cfg(test)]
mod tests;
