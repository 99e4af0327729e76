//! What happens to a pull request beside a new head.

use serde::{Deserialize, Serialize};

use crate::names::RepositoryName;

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
}
