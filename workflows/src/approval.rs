//! Whose changes wait for a person before anything of them runs.
//!
//! Approval protects what a build costs and what a sandbox might let through. It gives nothing:
//! a stranger's change has no secrets and pushes nothing, approved or not.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::command::Permission;
use crate::event::{PullRequest, Trust};

/// Which pull requests wait for approval, from `pull_requests` of a release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullRequestPolicy {
    /// Those whose code comes from somebody who could not push it to the repository.
    #[default]
    ApproveUnknown,
    /// All from forks, whoever wrote them.
    ApproveForks,
    /// None.
    Open,
}

/// Whether a change waits, as far as this can be told without asking the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// It does not.
    No,
    /// It does.
    Yes,
    /// It does unless this account may write to the repository.
    UnlessWriter(String),
}

/// Decides by policy and by where the change comes from.
#[must_use]
pub fn wait(policy: PullRequestPolicy, pull: &PullRequest) -> Wait {
    if pull.trust() == Trust::Trusted {
        return Wait::No;
    }
    match policy {
        PullRequestPolicy::Open => Wait::No,
        PullRequestPolicy::ApproveForks => Wait::Yes,
        PullRequestPolicy::ApproveUnknown => match &pull.author {
            Some(author) if is_own_fork(pull, author) => Wait::UnlessWriter(author.clone()),
            _ => Wait::Yes,
        },
    }
}

/// Whether somebody with this permission needs nobody's approval.
#[must_use]
pub fn is_writer(permission: Permission) -> bool {
    permission >= Permission::Write
}

/// Whether the source is the author's own. Anybody can open a pull request from a fork of
/// somebody else, who may push to it afterwards.
fn is_own_fork(pull: &PullRequest, author: &str) -> bool {
    let Some(source) = &pull.head_repository else { return false };
    // Pagure has forks below `forks/USER/`, everybody else below `USER/`.
    let path = source.as_str().strip_prefix("forks/").unwrap_or(source.as_str());
    path.split_once('/').is_some_and(|(owner, _)| owner == author)
}
