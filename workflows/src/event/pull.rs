//! What happens to a pull request beside a new head.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::PullRequest;
use crate::names::RepositoryName;

crate::state::words! {
    /// What happened to a pull request.
    PullRequestAction {
        /// It is new.
        Opened = "opened",
        /// Its head moved.
        Synchronized = "synchronized",
        /// It was closed and is open again.
        Reopened = "reopened",
        /// It is closed or merged.
        Closed = "closed",
        /// A label came.
        Labeled = "labeled",
        /// A label went.
        Unlabeled = "unlabeled",
        /// Its title, its text or its base branch is another one.
        Edited = "edited",
        /// It is a draft no more.
        ReadyForReview = "ready_for_review",
        /// It is a draft.
        ConvertedToDraft = "converted_to_draft",
        /// Somebody is to care for it.
        Assigned = "assigned",
        /// Somebody does not any more.
        Unassigned = "unassigned",
        /// It belongs to a milestone.
        Milestoned = "milestoned",
        /// It does not any more.
        Demilestoned = "demilestoned",
        /// Somebody is asked to review it.
        ReviewRequested = "review_requested",
        /// Somebody is not any more.
        ReviewRequestRemoved = "review_request_removed",
        /// Only those who may write can comment.
        Locked = "locked",
        /// Everybody can again.
        Unlocked = "unlocked",
    }
}

impl PullRequestAction {
    /// The activity type, as `types` of a workflow and GitHub's deliveries name it.
    #[must_use]
    pub fn activity_type(self) -> &'static str {
        match self {
            Self::Synchronized => "synchronize",
            other => other.as_str(),
        }
    }

    /// Whether there is a head to check: one that is new, or of which nobody knew that it counts.
    #[must_use]
    pub fn brings_head(self) -> bool {
        matches!(self, Self::Opened | Self::Synchronized | Self::Reopened)
    }
}

/// Something happened to a pull request whose head stays as it is. It says nothing of the head that
/// others do not: a head is told by [`Event::PullRequest`](super::Event::PullRequest) alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestActivity {
    /// The pull request as it is now; its action says what happened.
    pub pull: PullRequest,
    /// The label that came or went, where the forge names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When, as the forge writes it; tells one from the next.
    pub moment: String,
    /// Who did it.
    pub actor: Option<String>,
}

impl PullRequestActivity {
    /// What makes two deliveries the same happening: what happened to which pull request, and when.
    /// Where the forge does not say when, only the delivery's own id tells.
    pub(super) fn identity(&self) -> Option<String> {
        let PullRequest { repository, number, action, .. } = &self.pull;
        let label = self.label.as_deref().unwrap_or("-");
        let Self { moment, .. } = self;
        (!moment.is_empty())
            .then(|| format!("{repository} pull {number} {action} {moment} {label}"))
    }
}

/// A pull request is over: closed or merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestClosed {
    /// The repository that the change would have gone into.
    pub repository: RepositoryName,
    /// Its number there.
    pub number: u64,
    /// True when the change went in.
    pub merged: bool,
    /// When, as the forge writes it; tells one closing from the next. Empty where it is not told.
    pub moment: String,
    /// Who did it.
    pub actor: Option<String>,
    /// The pull request as it ended, where the forge tells more than that it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Box<PullRequest>>,
}

/// Somebody asks for something in a comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestCommented {
    /// The repository that the change would go into.
    pub repository: RepositoryName,
    /// The pull request's number there.
    pub number: u64,
    /// The comment's number on the forge.
    pub comment: u64,
    /// Who wrote the comment.
    pub author: String,
    /// True when the forge says that no person wrote it.
    pub is_bot: bool,
    /// The line that asks, as [`crate::command::line_of`] finds it. Nothing else is kept.
    pub line: String,
    /// When it was written, by the forge's clock; `None` where that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<DateTime<Utc>>,
    /// True when a look found it and no delivery told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_found: bool,
}
