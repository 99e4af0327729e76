//! Which change may run, and what that freed.

use serde::{Deserialize, Serialize};
use workflows::ids::RunId;
use workflows::names::{CommitId, RepositoryName};

/// A request to let a change run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case", deny_unknown_fields)]
pub enum ApprovalRequest {
    /// The head that a run is of.
    Run {
        /// The run.
        run: RunId,
    },
    /// The head of a pull request.
    Pull {
        /// The forge's configured name; may be left out when there is one forge.
        #[serde(default)]
        forge: Option<String>,
        /// The repository's path on it.
        repository: RepositoryName,
        /// The pull request's number there.
        number: u64,
        /// The head that was looked at; refused when it is another one now.
        #[serde(default)]
        head: Option<CommitId>,
    },
}

/// What was approved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Approved {
    /// The repository.
    pub repository: RepositoryName,
    /// The pull request.
    pub number: u64,
    /// The head; a new push has to be approved again.
    pub head: CommitId,
    /// Jobs that waited for it.
    pub jobs: usize,
}
