//! Everything that can happen, as one enum.
//!
//! A delivery, a due schedule and a person's request all become an [`Event`]; to ignore one is a
//! variant with its reason, not an error, so that it stays listable.

mod landing;
mod pull;
pub mod repetition;
mod rerun;
pub mod standing;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::asked::BuildAsked;
use crate::dispatch::Dispatch;
use crate::image::Reference;
use crate::names::{CommitId, RefName, RepositoryName};
use crate::selection::Origin;
pub use landing::Landing;
pub use pull::{PullRequestAction, PullRequestActivity, PullRequestClosed, PullRequestCommented};
pub use rerun::{MAX_CHECK_BYTES, RerunAsked};

/// What a delivery, a tick or a person means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A branch moved or came into being with commits.
    Push(Push),
    /// A branch came into being; the forge may announce its commits in a push of its own.
    BranchCreated(RefCreated),
    /// A branch is gone.
    BranchDeleted(RefDeleted),
    /// A tag came into being or moved.
    TagCreated(RefCreated),
    /// A tag is gone.
    TagDeleted(RefDeleted),
    /// A pull request has a new head to check.
    PullRequest(PullRequest),
    /// Something happened to a pull request that brings no head.
    PullRequestActivity(PullRequestActivity),
    /// A pull request is closed or merged.
    PullRequestClosed(PullRequestClosed),
    /// A comment on a pull request asks for something.
    PullRequestCommented(PullRequestCommented),
    /// A person asked the forge to have checks made again.
    RerunAsked(RerunAsked),
    /// The forge tests its webhook.
    Ping(Ping),
    /// A workflow's schedule came due.
    Schedule(ScheduleDue),
    /// A person asked for a build.
    BuildAsked(BuildAsked),
    /// A person asked for a run of a workflow.
    Dispatch(Dispatch),
    /// A parent image changed, and an image that stands on it is built again.
    Rebuild(Rebuild),
    /// Understood, and nothing to do.
    Ignored(Ignored),
}

/// A branch moved from `before` to `after`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Where.
    pub repository: RepositoryName,
    /// The branch, as a full ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The old head as the forge tells it; `None` for a new branch. After a forced push it may
    /// be unreachable or, on Pagure, the merge base.
    pub before: Option<CommitId>,
    /// The new head.
    pub after: CommitId,
    /// True when the forge says that history was rewritten; false where it does not tell.
    pub forced: bool,
    /// Who pushed, as the forge names them.
    pub actor: Option<String>,
}

/// A ref came into being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefCreated {
    /// Where.
    pub repository: RepositoryName,
    /// The new ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// What it points to: a commit, or an annotated tag's own id; `None` where the forge does
    /// not tell (GitHub's `create`).
    pub after: Option<CommitId>,
    /// Who made it.
    pub actor: Option<String>,
}

/// A ref is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefDeleted {
    /// Where.
    pub repository: RepositoryName,
    /// The ref that was.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// What it pointed to, where the forge tells.
    pub before: Option<CommitId>,
    /// Who removed it.
    pub actor: Option<String>,
}

/// A pull request has a head to check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The repository that the change would go into.
    pub repository: RepositoryName,
    /// Its number there.
    pub number: u64,
    /// What happened.
    pub action: PullRequestAction,
    /// The commit to check.
    pub head: CommitId,
    /// The branch's short name on the source side.
    pub head_branch: String,
    /// The source repository; `None` when the fork is gone or there is none (AGit).
    pub head_repository: Option<RepositoryName>,
    /// Where the repository itself keeps the head, when that is not `refs/pull/NUMBER/head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_ref: Option<RefName>,
    /// The branch that the change would go into.
    pub base_ref: RefName,
    /// The head of that branch as the forge saw it.
    pub base: Option<CommitId>,
    /// Who wrote it.
    pub author: Option<String>,
}

impl PullRequest {
    /// The ref of the repository itself that leads to the head.
    #[must_use]
    pub fn fetch_ref(&self) -> String {
        match &self.head_ref {
            Some(head_ref) => head_ref.to_string(),
            None => format!("refs/pull/{}/head", self.number),
        }
    }

    /// Whether the change comes from a person who may push to the repository itself. Only a
    /// branch of the same repository shows that; a fork, a vanished fork and AGit do not.
    #[must_use]
    pub fn trust(&self) -> Trust {
        match &self.head_repository {
            Some(head) if *head == self.repository => Trust::Trusted,
            _ => Trust::Untrusted,
        }
    }
}

crate::state::words! {
    /// Whether a change may see secrets and push images.
    Trust {
        /// Pushed by someone who may write to the repository.
        Trusted = "trusted",
        /// From elsewhere than a branch of the repository itself: no secrets, no push.
        Untrusted = "untrusted",
    }
}

/// The forge tests its webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The repository, where the forge names one.
    pub repository: Option<RepositoryName>,
}

/// A workflow's schedule came due on one branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleDue {
    /// Where.
    pub repository: RepositoryName,
    /// The branch whose schedule it is.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The head of that branch now.
    pub head: CommitId,
    /// The workflow file.
    pub workflow: String,
    /// Whose file it is.
    pub origin: Origin,
    /// The five fields as written.
    pub cron: String,
    /// When it was due; a run may start later, see `late_by`.
    pub due_at: DateTime<Utc>,
    /// Seconds between the due time and now when that is worth telling; a service that was down
    /// makes up one run and says so.
    pub late_by_seconds: Option<u64>,
}

/// An image of a branch is built again because a parent changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// Where.
    pub repository: RepositoryName,
    /// The branch whose image it is.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// What is built, by the choice of the release.
    pub commit: CommitId,
    /// The number of the rebuild: each is one happening.
    pub number: i64,
    /// The parents that moved.
    pub parents: Vec<Reference>,
    /// The workflows that built the image the last time.
    pub workflows: Vec<WorkflowRef>,
    /// The jobs of the branch whose images stand on what their parents are now: they are not built
    /// again, because another one failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub current: Vec<JobRef>,
    /// Which parents moved, from what to what and by which chain; in words.
    pub because: String,
}

/// A workflow file of a repository or of the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRef {
    /// Whose file it is.
    pub origin: Origin,
    /// Where it lies.
    pub path: String,
}

/// A job of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRef {
    /// The file.
    pub workflow: WorkflowRef,
    /// Its key there; with the values behind it, for a job of a matrix.
    pub job: String,
}

/// Understood, and nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// The repository, where one could be read.
    pub repository: Option<RepositoryName>,
    /// Why, in words for the person who lists deliveries.
    pub reason: String,
}

impl Event {
    /// An event that is only recorded.
    #[must_use]
    pub fn ignored(repository: Option<RepositoryName>, reason: impl Into<String>) -> Self {
        Self::Ignored(Ignored { repository, reason: reason.into() })
    }

    /// The variant's name as stored and shown.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            Self::BranchCreated(_) => "branch_created",
            Self::BranchDeleted(_) => "branch_deleted",
            Self::TagCreated(_) => "tag_created",
            Self::TagDeleted(_) => "tag_deleted",
            Self::PullRequest(_) => "pull_request",
            Self::PullRequestActivity(_) => "pull_request_activity",
            Self::PullRequestClosed(_) => "pull_request_closed",
            Self::PullRequestCommented(_) => "pull_request_commented",
            Self::RerunAsked(_) => "rerun_asked",
            Self::Ping(_) => "ping",
            Self::Schedule(_) => "schedule",
            Self::BuildAsked(_) => "build_asked",
            Self::Dispatch(_) => "workflow_dispatch",
            Self::Rebuild(_) => "rebuild",
            Self::Ignored(_) => "ignored",
        }
    }

    /// The repository that the event is about, where there is one.
    #[must_use]
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Push(e) => Some(&e.repository),
            Self::BranchCreated(e) | Self::TagCreated(e) => Some(&e.repository),
            Self::BranchDeleted(e) | Self::TagDeleted(e) => Some(&e.repository),
            Self::PullRequest(e) => Some(&e.repository),
            Self::PullRequestActivity(e) => Some(&e.pull.repository),
            Self::PullRequestClosed(e) => Some(&e.repository),
            Self::PullRequestCommented(e) => Some(&e.repository),
            Self::RerunAsked(e) => Some(&e.repository),
            Self::Schedule(e) => Some(&e.repository),
            Self::BuildAsked(e) => Some(&e.repository),
            Self::Dispatch(e) => Some(&e.repository),
            Self::Rebuild(e) => Some(&e.repository),
            Self::Ping(e) => e.repository.as_ref(),
            Self::Ignored(e) => e.repository.as_ref(),
        }
    }

    /// The pull request whose workflows the event may fire; `None` where there is none, or where
    /// only its end is known.
    #[must_use]
    pub fn pull_request(&self) -> Option<&PullRequest> {
        match self {
            Self::PullRequest(pull) => Some(pull),
            Self::PullRequestActivity(activity) => Some(&activity.pull),
            Self::PullRequestClosed(closed) => closed.pull.as_deref(),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn pull_request_mut(&mut self) -> Option<&mut PullRequest> {
        match self {
            Self::PullRequest(pull) => Some(pull),
            Self::PullRequestActivity(activity) => Some(&mut activity.pull),
            Self::PullRequestClosed(closed) => closed.pull.as_deref_mut(),
            _ => None,
        }
    }

    /// The branch that the event is about and where it leaves it, `None` once it is gone. Nothing
    /// for events of other things, and where the forge does not tell (GitHub's `create`).
    #[must_use]
    pub fn branch_head(&self) -> Option<(&RefName, Option<&CommitId>)> {
        match self {
            Self::Push(e) => Some((&e.ref_name, Some(&e.after))),
            Self::BranchCreated(e) => e.after.as_ref().map(|after| (&e.ref_name, Some(after))),
            Self::BranchDeleted(e) => Some((&e.ref_name, None)),
            _ => None,
        }
    }

    /// What makes two deliveries the same happening: repository, ref, before and after, or the
    /// pull request and its head. `None` for events that cause nothing and need no second key, and
    /// for those whose words may be said again and meant again, as [`RerunAsked`].
    ///
    /// Forgejo replays under a new delivery id, a repository webhook and an App may both report
    /// a push, and a new branch is told as `create` and as `push`; all of these meet here.
    /// The forge's name is the other half of the key and is the store's to add.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        let id =
            |commit: &Option<CommitId>| commit.as_ref().map_or("-", CommitId::as_str).to_owned();
        match self {
            Self::Push(e) => {
                Some(format!("{} {} {} {}", e.repository, e.ref_name, id(&e.before), e.after))
            }
            Self::BranchCreated(e) => {
                e.after.as_ref().map(|after| format!("{} {} - {after}", e.repository, e.ref_name))
            }
            Self::TagCreated(e) => {
                Some(format!("{} {} tag {}", e.repository, e.ref_name, id(&e.after)))
            }
            Self::PullRequest(e) => Some(match e.action {
                // A pull request that is opened again may be checked again at the same head.
                PullRequestAction::Reopened => {
                    format!("{} pull {} reopened {} {}", e.repository, e.number, e.head, e.base_ref)
                }
                _ => format!("{} pull {} {} {}", e.repository, e.number, e.head, e.base_ref),
            }),
            Self::PullRequestActivity(e) => e.identity(),
            Self::PullRequestClosed(e) => {
                Some(format!("{} pull {} closed {}", e.repository, e.number, e.moment))
            }
            Self::PullRequestCommented(e) => {
                Some(format!("{} pull {} comment {}", e.repository, e.number, e.comment))
            }
            Self::Schedule(e) => Some(format!(
                "{} {} schedule {} {} {} {}",
                e.repository,
                e.ref_name,
                e.origin,
                e.workflow,
                e.cron,
                e.due_at.timestamp()
            )),
            Self::BuildAsked(e) => Some(format!("{} asked {}", e.repository, e.id)),
            Self::Dispatch(e) => Some(format!("{} dispatch {}", e.repository, e.id)),
            Self::Rebuild(e) => {
                Some(format!("{} {} rebuild {}", e.repository, e.ref_name, e.number))
            }
            Self::BranchDeleted(_)
            | Self::TagDeleted(_)
            | Self::RerunAsked(_)
            | Self::Ping(_)
            | Self::Ignored(_) => None,
        }
    }
}
