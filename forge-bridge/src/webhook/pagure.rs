//! Pagure's deliveries.
//!
//! The headers are not signed, so what the delivery is stands in the body: its `topic`, its id
//! and its project. The reasons behind each choice are in docs/FORGES.md.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use workflows::event::{
    Event, PullRequest, PullRequestAction, PullRequestClosed, PullRequestCommented, RefCreated,
    RefDeleted,
};
use workflows::names::{CommitId, NameError, RefName, RepositoryName};

use super::comment;
use super::decode::{Undecoded, quoted};
use super::refs::{RefKind, RefMove, actor, moment};

/// What every delivery says about itself.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    /// What happened.
    pub(super) topic: String,
    /// Unique; the counter `i` beside it starts again with each process of the forge.
    pub(super) msg_id: String,
    msg: Subject,
}

#[derive(Debug, Deserialize)]
struct Subject {
    project_fullname: String,
}

impl Envelope {
    /// Reads a body's envelope.
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// The project that the delivery is about. The receiver compares it with the project whose
    /// key signed, so nothing else in the body may name the repository.
    pub(super) fn project(&self) -> Result<RepositoryName, NameError> {
        RepositoryName::parse(&self.msg.project_fullname)
    }
}

#[derive(Deserialize)]
struct Message<T> {
    msg: T,
}

#[derive(Deserialize)]
struct Received {
    branch: String,
    /// With a caret in front when the ref is new.
    old_commit: String,
    end_commit: String,
    #[serde(default)]
    forced: bool,
    agent: Option<String>,
}

#[derive(Deserialize)]
struct RefTopic {
    #[serde(rename = "branch", alias = "tag")]
    name: String,
    rev: Option<String>,
    agent: Option<String>,
}

#[derive(Deserialize)]
struct PullTopic {
    pullrequest: Pull,
    agent: Option<String>,
    #[serde(default)]
    merged: bool,
}

#[derive(Deserialize)]
struct Pull {
    id: u64,
    status: String,
    branch: String,
    branch_from: Option<String>,
    commit_stop: Option<String>,
    // `null` once the fork is deleted, or when the change comes from another server.
    repo_from: Option<Project>,
    user: Option<User>,
    #[serde(default)]
    comments: Vec<Comment>,
    closed_at: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    fullname: String,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

#[derive(Deserialize)]
struct Comment {
    /// Written by the forge and not by a person.
    #[serde(default)]
    notification: bool,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    comment: String,
    user: Option<User>,
    date_created: Option<String>,
    edited_on: Option<String>,
}

impl Comment {
    fn on(&self, project: &RepositoryName, number: u64) -> comment::Comment<'_> {
        comment::Comment {
            repository: project.clone(),
            number,
            comment: self.id,
            author: self.user.as_ref().and_then(|user| actor(user.name.clone())),
            is_bot: false,
            text: &self.comment,
            written_at: self.date_created.as_deref(),
        }
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Event, Undecoded> {
    let envelope = Envelope::read(body)?;
    let project = envelope.project()?;
    match envelope.topic.as_str() {
        "git.receive" => received(project, message(body)?),
        "git.branch.creation" => created(project, RefKind::Branch, message(body)?),
        "git.branch.deletion" => deleted(project, RefKind::Branch, message(body)?),
        "git.tag.creation" => created(project, RefKind::Tag, message(body)?),
        "git.tag.deletion" => deleted(project, RefKind::Tag, message(body)?),
        "pull-request.new" => pull_request(project, PullRequestAction::Opened, body),
        "pull-request.reopened" => pull_request(project, PullRequestAction::Reopened, body),
        "pull-request.updated" | "pull-request.rebased" => {
            pull_request(project, PullRequestAction::Synchronized, body)
        }
        "pull-request.comment.added" => commented(project, body),
        "pull-request.closed" => closed(project, message(body)?),
        topic if topic.contains(".flag.") => {
            // Ours come back too.
            Ok(Event::ignored(Some(project), "a flag is a status and changes no commit"))
        }
        topic => {
            let reason = format!("topic {} changes no commit", quoted(topic));
            Ok(Event::ignored(Some(project), reason))
        }
    }
}

fn message<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<Message<T>>(body).map(|message| message.msg)
}

/// A push. That of a new ref is left to the creation's own delivery, which says whether it is a
/// branch or a tag: here both have a short name.
fn received(project: RepositoryName, push: Received) -> Result<Event, Undecoded> {
    let before = push.old_commit.strip_prefix('^').unwrap_or(&push.old_commit);
    let is_new = CommitId::parse_or_null(before).map_err(Undecoded::name_in(&project))?.is_none();
    if is_new {
        let reason = format!(
            "{} is new; the delivery of its creation says whether it is a branch or a tag",
            quoted(&push.branch)
        );
        return Ok(Event::ignored(Some(project), reason));
    }
    // A tag that moved comes with its full name.
    let is_full = push.branch.starts_with("refs/");
    let ref_name =
        if is_full { push.branch.clone() } else { format!("refs/heads/{}", push.branch) };
    RefMove {
        repository: project,
        ref_name: &ref_name,
        before,
        after: &push.end_commit,
        forced: push.forced,
        actor: push.agent.and_then(actor),
    }
    .event()
}

fn created(project: RepositoryName, kind: RefKind, topic: RefTopic) -> Result<Event, Undecoded> {
    let (ref_name, after) = topic.parsed(&project, kind)?;
    let actor = topic.agent.and_then(actor);
    Ok(kind.created(RefCreated { repository: project, ref_name, after, actor }))
}

fn deleted(project: RepositoryName, kind: RefKind, topic: RefTopic) -> Result<Event, Undecoded> {
    let (ref_name, before) = topic.parsed(&project, kind)?;
    let actor = topic.agent.and_then(actor);
    Ok(kind.deleted(RefDeleted { repository: project, ref_name, before, actor }))
}

impl RefTopic {
    /// The full ref, and the commit or annotated tag that it names or named.
    fn parsed(
        &self,
        project: &RepositoryName,
        kind: RefKind,
    ) -> Result<(RefName, Option<CommitId>), Undecoded> {
        let refuse = Undecoded::name_in(project);
        let ref_name = RefName::parse(&format!("{}{}", kind.prefix(), self.name));
        let rev = self.rev.as_deref().map(CommitId::parse_or_null).transpose();
        Ok((ref_name.map_err(&refuse)?, rev.map_err(&refuse)?.flatten()))
    }
}

/// Servers without `pull-request.updated` tell a push by a comment of their own. Newer ones send
/// both, and the second is recognised as the same happening.
fn commented(project: RepositoryName, body: &[u8]) -> Result<Event, Undecoded> {
    let topic: PullTopic = message(body)?;
    if topic.pullrequest.comments.last().is_some_and(|comment| comment.notification) {
        return with_head(project, PullRequestAction::Synchronized, topic.pullrequest);
    }
    let Some(newest) = topic.pullrequest.comments.last() else {
        return Ok(Event::ignored(Some(project), "the delivery has no comment"));
    };
    Ok(newest.on(&project, topic.pullrequest.id).event())
}

/// A comment as the API shows it within its pull request.
pub(super) fn listed_comment(
    project: &RepositoryName,
    number: u64,
    row: &Value,
) -> Result<Option<PullRequestCommented>, Undecoded> {
    let row = Comment::deserialize(row)?;
    Ok(row.on(project, number).unless(row.notification || row.edited_on.is_some()))
}

fn closed(project: RepositoryName, topic: PullTopic) -> Result<Event, Undecoded> {
    Ok(Event::PullRequestClosed(PullRequestClosed {
        repository: project,
        number: topic.pullrequest.id,
        merged: topic.merged,
        moment: moment(topic.pullrequest.closed_at),
        actor: topic.agent.and_then(actor),
        pull: None,
    }))
}

fn pull_request(
    project: RepositoryName,
    action: PullRequestAction,
    body: &[u8],
) -> Result<Event, Undecoded> {
    let topic: PullTopic = message(body)?;
    with_head(project, action, topic.pullrequest)
}

/// An open pull request of the API's list, whose rows are as in deliveries; `None` for one that
/// cannot be built.
pub(super) fn listed(
    project: &RepositoryName,
    row: &Value,
) -> Result<Option<PullRequest>, Undecoded> {
    match with_head(project.clone(), PullRequestAction::Opened, Pull::deserialize(row)?)? {
        Event::PullRequest(pull) => Ok(Some(pull)),
        _ => Ok(None),
    }
}

/// The end of a pull request that the API shows; `None` while it is open.
pub(super) fn ended(
    project: &RepositoryName,
    shown: &Value,
) -> Result<Option<PullRequestClosed>, Undecoded> {
    let pull = Pull::deserialize(shown)?;
    Ok((pull.status != "Open").then(|| PullRequestClosed {
        repository: project.clone(),
        number: pull.id,
        merged: pull.status == "Merged",
        moment: moment(pull.closed_at),
        actor: None,
        pull: None,
    }))
}

fn with_head(
    project: RepositoryName,
    action: PullRequestAction,
    pull: Pull,
) -> Result<Event, Undecoded> {
    let not_now = |why: &str| Ok(Event::ignored(Some(project.clone()), why));
    if pull.status != "Open" {
        return not_now("the pull request is not open");
    }
    let Some(head) = pull.commit_stop.filter(|head| !head.is_empty()) else {
        return not_now("the pull request has no commit yet");
    };
    let refuse = Undecoded::name_in(&project);
    let head_repository = pull.repo_from.map(|from| RepositoryName::parse(&from.fullname));
    // Only shown; a name that is no branch's is left out.
    let head_branch = pull.branch_from.and_then(|name| RefName::branch(&name).ok());
    Ok(Event::PullRequest(PullRequest {
        number: pull.id,
        action,
        head: CommitId::parse(&head).map_err(&refuse)?,
        head_branch: head_branch.map(|name| name.short().to_owned()).unwrap_or_default(),
        head_repository: head_repository.transpose().map_err(&refuse)?,
        head_ref: None,
        base_ref: RefName::branch(&pull.branch).map_err(&refuse)?,
        base: None,
        author: pull.user.and_then(|user| actor(user.name)),
        repository: project,
    }))
}

#[cfg(test)]
mod tests;
