//! Pull requests as a forge's API lists and shows them.
//!
//! Forges write them as in deliveries, or almost, so that both are read in one place and mean the
//! same: what a sweep makes up of a list has the identity of the delivery that did not come.

use serde_json::Value;
use workflows::event::{PullRequest, PullRequestClosed};
use workflows::names::RepositoryName;

use super::decode::Undecoded;
use super::{gitlab, pagure, pull_request};
use crate::config::ForgeKind;

/// An open pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As its opening would have been delivered.
    pub pull: PullRequest,
    /// The forge's id of the repository that it comes from, where the list does not name it.
    pub source: Option<u64>,
}

/// Reads a row of a list of open pull requests; `None` for one that cannot be built, be it that
/// it has no commit or that a name in it must not enter.
#[must_use]
pub fn listed(kind: ForgeKind, repository: &RepositoryName, row: &Value) -> Option<Listed> {
    let read = match kind {
        ForgeKind::Github | ForgeKind::Forgejo | ForgeKind::Gitea => {
            pull_request::listed(repository, row).map(|pull| Some(Listed { pull, source: None }))
        }
        ForgeKind::Gitlab => gitlab::listed(repository, row)
            .map(|found| found.map(|(pull, source)| Listed { pull, source })),
        ForgeKind::Pagure => pagure::listed(repository, row)
            .map(|found| found.map(|pull| Listed { pull, source: None })),
        ForgeKind::Git => Ok(None),
    };
    read.unwrap_or_else(|error| {
        let why = error.in_words();
        tracing::debug!(repo.name = %repository, "sweeper: a pull request is not read: {why}");
        None
    })
}

/// Reads what the API shows of one pull request; `None` while it is open.
///
/// # Errors
/// In words, when it is not as the forge documents it.
pub fn ended(
    kind: ForgeKind,
    repository: &RepositoryName,
    number: u64,
    shown: &Value,
) -> Result<Option<PullRequestClosed>, String> {
    let read = match kind {
        ForgeKind::Github | ForgeKind::Forgejo | ForgeKind::Gitea => {
            pull_request::ended(repository, number, shown)
        }
        ForgeKind::Gitlab => gitlab::ended(repository, number, shown),
        ForgeKind::Pagure => pagure::ended(repository, shown),
        ForgeKind::Git => Ok(None),
    };
    read.map_err(|error: Undecoded| error.in_words())
}

#[cfg(test)]
mod tests;
