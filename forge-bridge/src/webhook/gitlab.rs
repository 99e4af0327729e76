//! GitLab's deliveries, of projects, groups and the whole system.
//!
//! What they are is read from `object_kind`, which a signature covers and the event header not.

use serde::Deserialize;
use serde_json::Value;
use workflows::event::{Event, PullRequest, PullRequestAction, PullRequestClosed};
use workflows::names::{CommitId, NameError, RefName, RepositoryName};

use super::comment::Note;
use super::decode::{Undecoded, quoted};
use super::refs::{RefMove, actor, instant, moment};

#[derive(Deserialize)]
struct Envelope {
    // Some system hooks have none.
    object_kind: Option<String>,
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    path_with_namespace: String,
}

impl Project {
    fn name(&self) -> Result<RepositoryName, NameError> {
        RepositoryName::parse(&self.path_with_namespace)
    }
}

/// Branches and tags alike. `commits` is cut after twenty, and no flag tells a forced push.
#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    ref_name: String,
    before: String,
    // Of an annotated tag its own id; `checkout_sha` has the commit.
    after: String,
    project: Project,
    user_username: Option<String>,
}

#[derive(Deserialize)]
struct MergeRequest {
    project: Project,
    /// Who acted, who may be another than the author.
    user: Option<User>,
    object_attributes: Attributes,
    /// What was edited, each with what it was and is.
    changes: Option<Value>,
}

#[derive(Deserialize)]
struct User {
    id: Option<u64>,
    username: String,
}

#[derive(Deserialize)]
struct Attributes {
    iid: u64,
    // None in the sample that "Test" sends.
    action: Option<String>,
    /// The old head; only there when the head moved.
    oldrev: Option<String>,
    target_branch: String,
    source_branch: String,
    // `null` once the fork is deleted.
    source: Option<Project>,
    last_commit: Option<Commit>,
    author_id: Option<u64>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
}

pub(super) fn decode(body: &[u8]) -> Result<Event, Undecoded> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    match envelope.object_kind.as_deref() {
        Some("push" | "tag_push") => push(serde_json::from_slice(body)?),
        Some("merge_request") => merge_request(serde_json::from_slice(body)?),
        Some("note") => match envelope.project {
            Some(project) => Ok(serde_json::from_slice::<Note>(body)?.event(project.name()?)),
            None => Ok(Event::ignored(None, "a note that is in no project")),
        },
        other => {
            let project = envelope.project.map(|project| project.name()).transpose()?;
            let reason = match other {
                Some(kind) => format!("object_kind {} changes no commit", quoted(kind)),
                None => "missing field `object_kind`, as in system hooks without one".to_owned(),
            };
            Ok(Event::ignored(project, reason))
        }
    }
}

fn push(push: Push) -> Result<Event, Undecoded> {
    RefMove {
        repository: push.project.name()?,
        ref_name: &push.ref_name,
        before: &push.before,
        after: &push.after,
        forced: false,
        actor: push.user_username.and_then(actor),
    }
    .event()
}

fn merge_request(merge: MergeRequest) -> Result<Event, Undecoded> {
    // The hook belongs to the target; `source` may be any stranger's.
    let repository = merge.project.name()?;
    let attributes = merge.object_attributes;
    let action = match (attributes.action.as_deref(), &attributes.oldrev) {
        (Some("open"), _) => PullRequestAction::Opened,
        (Some("reopen"), _) => PullRequestAction::Reopened,
        (Some("update"), Some(_)) => PullRequestAction::Synchronized,
        // Another target is another change: other rules count, and another merge is built.
        (Some("update"), None) if moves_target(merge.changes.as_ref()) => {
            PullRequestAction::Synchronized
        }
        (Some(action @ ("close" | "merge")), _) => {
            return Ok(Event::PullRequestClosed(PullRequestClosed {
                repository,
                number: attributes.iid,
                merged: action == "merge",
                moment: ending_moment(attributes.updated_at),
                actor: merge.user.and_then(|user| actor(user.username)),
                pull: None,
            }));
        }
        (action, _) => {
            let action = quoted(action.unwrap_or("none"));
            let reason = format!("merge request action {action} changes no commit");
            return Ok(Event::ignored(Some(repository), reason));
        }
    };
    let Some(head) = attributes.last_commit else {
        return Ok(Event::ignored(Some(repository), "the merge request has no commit"));
    };
    let refuse = Undecoded::name_in(&repository);
    let head_repository = attributes.source.map(|source| source.name()).transpose();
    let is_author = |user: &User| user.id.is_some() && user.id == attributes.author_id;
    Ok(Event::PullRequest(PullRequest {
        number: attributes.iid,
        action,
        head: CommitId::parse(&head.id).map_err(&refuse)?,
        head_branch: RefName::branch(&attributes.source_branch)
            .map_err(&refuse)?
            .short()
            .to_owned(),
        head_repository: head_repository.map_err(&refuse)?,
        head_ref: Some(head_ref(attributes.iid).map_err(&refuse)?),
        base_ref: RefName::branch(&attributes.target_branch).map_err(&refuse)?,
        base: None,
        author: merge.user.filter(is_author).and_then(|user| actor(user.username)),
        repository,
    }))
}

fn moves_target(changes: Option<&Value>) -> bool {
    changes.is_some_and(|changes| changes.get("target_branch").is_some())
}

/// Where the target project keeps the head.
fn head_ref(iid: u64) -> Result<RefName, NameError> {
    RefName::parse(&format!("refs/merge-requests/{iid}/head"))
}

/// A row of the API's list: it names projects by number only.
#[derive(Deserialize)]
struct Row {
    iid: u64,
    // `null` while GitLab prepares it, and for one without commits.
    sha: Option<String>,
    source_branch: String,
    target_branch: String,
    source_project_id: Option<u64>,
    target_project_id: u64,
    author: Option<User>,
}

/// An open merge request of the API's list, and the number of the project that its source is in
/// when that is another one; `None` for one without commits.
pub(super) fn listed(
    repository: &RepositoryName,
    row: &Value,
) -> Result<Option<(PullRequest, Option<u64>)>, Undecoded> {
    let row = Row::deserialize(row)?;
    let refuse = Undecoded::name_in(repository);
    let Some(sha) = row.sha else { return Ok(None) };
    let is_inside = row.source_project_id == Some(row.target_project_id);
    let pull = PullRequest {
        repository: repository.clone(),
        number: row.iid,
        action: PullRequestAction::Opened,
        head: CommitId::parse(&sha).map_err(&refuse)?,
        head_branch: RefName::branch(&row.source_branch).map_err(&refuse)?.short().to_owned(),
        head_repository: is_inside.then(|| repository.clone()),
        head_ref: Some(head_ref(row.iid).map_err(&refuse)?),
        base_ref: RefName::branch(&row.target_branch).map_err(&refuse)?,
        base: None,
        author: row.author.and_then(|user| actor(user.username)),
    };
    Ok(Some((pull, row.source_project_id.filter(|_| !is_inside))))
}

#[derive(Deserialize)]
struct Shown {
    state: String,
    updated_at: Option<String>,
}

/// The end of a merge request that the API shows; `None` while it is open, or being merged.
pub(super) fn ended(
    repository: &RepositoryName,
    number: u64,
    shown: &Value,
) -> Result<Option<PullRequestClosed>, Undecoded> {
    let Shown { state, updated_at } = Shown::deserialize(shown)?;
    Ok(matches!(state.as_str(), "closed" | "merged").then(|| PullRequestClosed {
        repository: repository.clone(),
        number,
        merged: state == "merged",
        moment: ending_moment(updated_at),
        actor: None,
        pull: None,
    }))
}

/// A time as both deliveries (`2026-01-02 03:04:05 UTC`) and the API (`2026-01-02T03:04:05.678Z`)
/// are made to say it, to the second.
fn ending_moment(text: Option<String>) -> String {
    match text.as_deref().and_then(instant) {
        Some(at) => at.timestamp().to_string(),
        None => moment(text),
    }
}

#[cfg(test)]
mod tests;
