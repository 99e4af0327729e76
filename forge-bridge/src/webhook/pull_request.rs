//! Pull requests, which GitHub, Forgejo and Gitea write almost alike.

use serde::Deserialize;
use serde_json::Value;
use workflows::event::{
    Event, PullRequest, PullRequestAction, PullRequestActivity, PullRequestClosed,
};
use workflows::names::{CommitId, RefName, RepositoryName};

use super::decode::{Undecoded, quoted};
use super::refs::{Account, Repository, moment};

/// Longest label that is kept; a longer one is nobody's name for anything.
const MAX_LABEL_BYTES: usize = 255;

/// Enough to decide whether the rest matters.
#[derive(Deserialize)]
struct Envelope {
    action: String,
    repository: Repository,
}

/// What happened beside a new head.
#[derive(Deserialize)]
struct Touched {
    number: u64,
    pull_request: Details,
    label: Option<Label>,
    sender: Option<Account>,
    /// What was edited, by the names of what was before.
    changes: Option<Value>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
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
    updated_at: Option<String>,
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
        "closed" => return closed(repository, body),
        word if word == synchronized => PullRequestAction::Synchronized,
        word => {
            return match activity(word) {
                Some(action) => touched(repository, action, serde_json::from_slice(body)?),
                None => {
                    let reason = format!("pull_request action {} fires nothing", quoted(word));
                    Ok(Event::ignored(Some(repository), reason))
                }
            };
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
    let details = Details::deserialize(shown).ok();
    Ok((state != "open").then(|| PullRequestClosed {
        repository: repository.clone(),
        number,
        merged: ending.merged,
        moment: moment(ending.closed_at),
        actor: None,
        pull: at_its_end(repository, number, details),
    }))
}

fn closed(repository: RepositoryName, body: &[u8]) -> Result<Event, Undecoded> {
    let Closed { number, pull_request, sender } = serde_json::from_slice(body)?;
    let details = serde_json::from_slice(body).ok().map(|body: Body| body.pull_request);
    Ok(Event::PullRequestClosed(PullRequestClosed {
        pull: at_its_end(&repository, number, details),
        repository,
        number,
        merged: pull_request.merged,
        moment: moment(pull_request.closed_at),
        actor: sender.and_then(Account::shown_name),
    }))
}

/// A pull request as it ended. Its end counts also where nothing else of it makes sense.
fn at_its_end(
    repository: &RepositoryName,
    number: u64,
    details: Option<Details>,
) -> Option<Box<PullRequest>> {
    let pull = with_head(repository.clone(), PullRequestAction::Closed, number, details?);
    pull.ok().map(Box::new)
}

/// What the words of both forges say that brings no head; Forgejo's own come first.
fn activity(word: &str) -> Option<PullRequestAction> {
    match word {
        "label_updated" => Some(PullRequestAction::Labeled),
        "label_cleared" => Some(PullRequestAction::Unlabeled),
        // The other forge's word for a head that moved.
        "synchronize" | "synchronized" => None,
        word => word.parse().ok(),
    }
}

fn touched(
    repository: RepositoryName,
    action: PullRequestAction,
    body: Touched,
) -> Result<Event, Undecoded> {
    let Touched { number, mut pull_request, label, sender, changes } = body;
    // GitHub names the branch `base` here, Gitea and Forgejo `ref`.
    let is_moved = |changes: &Value| ["base", "ref"].iter().any(|name| changes.get(name).is_some());
    if action == PullRequestAction::Edited && changes.as_ref().is_some_and(is_moved) {
        // Another base is another change: other rules count, and another merge is built.
        let action = PullRequestAction::Synchronized;
        return with_head(repository, action, number, pull_request).map(Event::PullRequest);
    }
    let moment = moment(pull_request.updated_at.take());
    let label = label.map(|label| label.name);
    Ok(Event::PullRequestActivity(PullRequestActivity {
        pull: with_head(repository, action, number, pull_request)?,
        label: label.filter(|name| name.len() <= MAX_LABEL_BYTES),
        moment,
        actor: sender.and_then(Account::shown_name),
    }))
}

fn with_head(
    repository: RepositoryName,
    action: PullRequestAction,
    number: u64,
    details: Details,
) -> Result<PullRequest, Undecoded> {
    let refuse = Undecoded::name_in(&repository);
    let Details { head, base, user, .. } = details;
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
