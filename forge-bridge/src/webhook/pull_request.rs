//! Pull requests, which GitHub, Forgejo and Gitea write almost alike.

use serde::Deserialize;
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
    let body: Body = serde_json::from_slice(body)?;
    with_head(repository, action, body)
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
    body: Body,
) -> Result<Event, Undecoded> {
    let refuse = Undecoded::name_in(&repository);
    let Details { head, base, user } = body.pull_request;
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
    Ok(Event::PullRequest(PullRequest {
        number: body.number,
        action,
        head: head_commit,
        head_branch,
        head_repository,
        head_ref: None,
        base_ref,
        base: base_commit,
        author: user.and_then(Account::shown_name),
        repository,
    }))
}
