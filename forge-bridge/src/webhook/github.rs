//! GitHub's deliveries.

use serde::Deserialize;
use workflows::event::{Event, Ping};

use super::decode::{Undecoded, quoted};
use super::refs::{Account, RefChange, RefForm, RefMove, Repository};
use super::{check, comment, pull_request};

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    ref_name: String,
    before: String,
    after: String,
    #[serde(default)]
    forced: bool,
    repository: Repository,
    pusher: Option<Account>,
    sender: Option<Account>,
}

/// What any delivery may have; an organisation's ping names no repository.
#[derive(Deserialize)]
struct Envelope {
    repository: Option<Repository>,
}

pub(super) fn decode(event_name: &str, body: &[u8]) -> Result<Event, Undecoded> {
    match event_name {
        "push" => push(body),
        "pull_request" => pull_request::decode(body, "synchronize"),
        "issue_comment" => comment::decode(body),
        "check_run" => check::decode_run(body),
        "check_suite" => check::decode_suite(body),
        "create" => serde_json::from_slice::<RefChange>(body)?.created(RefForm::Short),
        "delete" => serde_json::from_slice::<RefChange>(body)?.deleted(RefForm::Short),
        "ping" => {
            let envelope: Envelope = serde_json::from_slice(body)?;
            let repository = envelope.repository.map(|r| r.name()).transpose()?;
            Ok(Event::Ping(Ping { repository }))
        }
        other => {
            let envelope: Envelope = serde_json::from_slice(body)?;
            let repository = envelope.repository.map(|r| r.name()).transpose()?;
            Ok(Event::ignored(repository, format!("event {} changes no commit", quoted(other))))
        }
    }
}

fn push(body: &[u8]) -> Result<Event, Undecoded> {
    let push: Push = serde_json::from_slice(body)?;
    // A deploy key's push has a `pusher` named after the key's owner and the same `sender`.
    let actor = push.sender.or(push.pusher).and_then(Account::shown_name);
    RefMove {
        repository: push.repository.name()?,
        ref_name: &push.ref_name,
        before: &push.before,
        after: &push.after,
        forced: push.forced,
        actor,
    }
    .event()
}

#[cfg(test)]
mod tests;
