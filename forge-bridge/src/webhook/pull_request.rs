//! Pull requests, which GitHub, Forgejo and Gitea write almost alike.

use serde::Deserialize;
use serde_json::Value;
use workflows::event::{Event, PullRequest, PullRequestAction, PullRequestClosed};
use workflows::names::{CommitId, RefName, RepositoryName};

use super::decode::{Undecoded, quoted};
use super::refs::{Account, Repository, moment};

/// Enough to decide whether the rest matters.
#[derive(Deserialize)]
struct Envelope {
    action: String,
    repository: Repository,
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct Changes {
    base: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Closed {
    number: u64,
    pull_request: Ending,
    sender: Option<Account>,
}

#[derive(Deserialize)]
struct Ending {
    #[serde(default)]
    merged: bool,
    closed_at: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    number: u64,
    pull_request: Details,
}

/// A row of the API's list, which has what a delivery has in `pull_request`.
#[derive(Deserialize)]
struct Row {
    number: u64,
    #[serde(flatten)]
    details: Details,
}

/// One pull request as the API shows it, as far as its end is concerned.
#[derive(Deserialize)]
struct Shown {
    state: String,
    #[serde(flatten)]
    ending: Ending,
}

#[derive(Deserialize)]
struct Details {
    head: Side,
    base: Side,
    user: Option<Account>,
}

#[derive(Deserialize)]
struct Side {
    sha: String,
    #[serde(rename = "ref")]
    ref_name: String,
    // `null` once the fork is deleted.
    repo: Option<Repository>,
}

/// Decodes a `pull_request` body; `synchronized` is the forge's word for a head that moved.
pub(super) fn decode(body: &[u8], synchronized: &str) -> Result<Event, Undecoded> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    let repository = envelope.repository.name()?;
    let action = match envelope.action.as_str() {
        "opened" => PullRequestAction::Opened,
        "reopened" => PullRequestAction::Reopened,
        "closed" => return closed(repository, serde_json::from_slice(body)?),
        word if word == synchronized => PullRequestAction::Synchronized,
        word => {
            let moved = envelope.changes.is_some_and(|changes| changes.base.is_some());
            let reason = if moved {
                "the pull request has another base branch; its next push is checked".to_owned()
            } else {
                format!("pull_request action {} changes no commit", quoted(word))
            };
            return Ok(Event::ignored(Some(repository), reason));
        }
    };
    let Body { number, pull_request } = serde_json::from_slice(body)?;
    with_head(repository, action, number, pull_request).map(Event::PullRequest)
}

/// An open pull request of the API's list.
pub(super) fn listed(repository: &RepositoryName, row: &Value) -> Result<PullRequest, Undecoded> {
    let Row { number, details } = Row::deserialize(row)?;
    with_head(repository.clone(), PullRequestAction::Opened, number, details)
}

/// The end of a pull request that the API shows; `None` while it is open.
pub(super) fn ended(
    repository: &RepositoryName,
    number: u64,
    shown: &Value,
) -> Result<Option<PullRequestClosed>, Undecoded> {
    let Shown { state, ending } = Shown::deserialize(shown)?;
    Ok((state != "open").then(|| PullRequestClosed {
        repository: repository.clone(),
        number,
        merged: ending.merged,
        moment: moment(ending.closed_at),
        actor: None,
    }))
}

fn closed(repository: RepositoryName, body: Closed) -> Result<Event, Undecoded> {
    Ok(Event::PullRequestClosed(PullRequestClosed {
        repository,
        number: body.number,
        merged: body.pull_request.merged,
        moment: moment(body.pull_request.closed_at),
        actor: body.sender.and_then(Account::shown_name),
    }))
}

fn with_head(
    repository: RepositoryName,
    action: PullRequestAction,
    number: u64,
    details: Details,
) -> Result<PullRequest, Undecoded> {
    let refuse = Undecoded::name_in(&repository);
    let Details { head, base, user } = details;
    let head_commit = CommitId::parse(&head.sha).map_err(&refuse)?;
    let base_ref = RefName::branch(&base.ref_name).map_err(&refuse)?;
    let base_commit = match base.sha.as_str() {
        // Forgejo, when the base branch is gone.
        "" => None,
        sha => CommitId::parse_or_null(sha).map_err(&refuse)?,
    };
    // AGit pull requests have no source branch, and Forgejo names the target as their source
    // repository; taken by its word, a stranger's change would look like one from inside. A
    // vanished fork leaves the same ref behind.
    let without_source = head.ref_name.starts_with("refs/");
    let head_ref = if without_source {
        RefName::parse(&head.ref_name)
    } else {
        RefName::branch(&head.ref_name)
    };
    let head_branch = head_ref.map_err(&refuse)?.short().to_owned();
    let head_repository = match head.repo {
        Some(repo) if !without_source => Some(repo.name().map_err(&refuse)?),
        _ => None,
    };
    Ok(PullRequest {
        number,
        action,
        head: head_commit,
        head_branch,
        head_repository,
        head_ref: None,
        base_ref,
        base: base_commit,
        author: user.and_then(Account::shown_name),
        repository,
    })
}
