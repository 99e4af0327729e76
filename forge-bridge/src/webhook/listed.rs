//! Pull requests, and what is said of them, as a forge's API lists and shows them.
//!
//! Forges write them as in deliveries, or almost, so that both are read in one place and mean the
//! same: what a sweep makes up of a list has the identity of the delivery that did not come.

use chrono::{DateTime, Utc};
use serde_json::Value;
use workflows::event::{PullRequest, PullRequestClosed, PullRequestCommented};
use workflows::names::RepositoryName;

use super::decode::Undecoded;
use super::refs::instant;
use super::{comment, gitlab, pagure, pull_request};
use crate::config::ForgeKind;

/// An open pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As its opening would have been delivered.
    pub pull: PullRequest,
    /// The forge's id of the repository that it comes from, where the list does not name it.
    pub source: Option<u64>,
    /// When something happened to it last, a comment being something, by the forge's clock; `None` where
    /// the list does not say.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Reads a row of a list of open pull requests; `None` for one that cannot be built, be it that
/// it has no commit or that a name in it must not enter.
#[must_use]
pub fn listed(kind: ForgeKind, repository: &RepositoryName, row: &Value) -> Option<Listed> {
    let read = match kind {
        ForgeKind::Github | ForgeKind::Forgejo | ForgeKind::Gitea => {
            pull_request::listed(repository, row).map(|pull| Some((pull, None)))
        }
        ForgeKind::Gitlab => gitlab::listed(repository, row),
        ForgeKind::Pagure => {
            pagure::listed(repository, row).map(|found| found.map(|pull| (pull, None)))
        }
        ForgeKind::Git => Ok(None),
    };
    let (pull, source) = readable("a pull request", repository, read)?;
    let updated_at = row.get("updated_at").or_else(|| row.get("last_updated"));
    Some(Listed { pull, source, updated_at: updated_at.and_then(Value::as_str).and_then(instant) })
}

/// Reads a row of a list of comments on a pull request; `None` for one that asks for nothing, as an
/// edited one, whose words of the first moment nobody knows any more.
#[must_use]
pub fn listed_command(
    kind: ForgeKind,
    repository: &RepositoryName,
    number: u64,
    row: &Value,
) -> Option<PullRequestCommented> {
    let read = match kind {
        ForgeKind::Github | ForgeKind::Forgejo | ForgeKind::Gitea => {
            comment::listed(repository, number, row)
        }
        ForgeKind::Gitlab => comment::listed_note(repository, number, row),
        ForgeKind::Pagure => pagure::listed_comment(repository, number, row),
        ForgeKind::Git => Ok(None),
    };
    readable("a comment", repository, read)
}

/// What could be read of a row; one row that cannot be keeps none of the others from being read.
fn readable<T>(
    what: &str,
    repository: &RepositoryName,
    read: Result<Option<T>, Undecoded>,
) -> Option<T> {
    read.unwrap_or_else(|error| {
        let why = error.in_words();
        tracing::debug!(repo.name = %repository, "sweeper: {what} is not read: {why}");
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
