//! Checks that a person asks the forge to have made again.

use serde::{Deserialize, Serialize};

use crate::names::{CommitId, RepositoryName};

/// Longest name of a check that may be ours, in bytes. Names of workflows and of jobs have a hundred
/// and twenty characters each at most; calls put some of them one behind the other.
pub const MAX_CHECK_BYTES: usize = 1024;

/// A person pressed a button of the forge that asks for checks of a commit once more.
///
/// It has no [`identity`](super::Event::identity): the same button may be pressed again, in the same
/// words, and mean it. What tells one press from the next is the id of its delivery, which GitHub
/// keeps when it sends the delivery again. No other webhook tells of the press, so that there is no
/// second delivery to meet, and a sweep finds none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunAsked {
    /// Where.
    pub repository: RepositoryName,
    /// The commit that the checks stand on.
    pub head: CommitId,
    /// The one check that is asked for, by the context of its status, at most [`MAX_CHECK_BYTES`]
    /// long; `None` for all checks of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The App that made the checks, by the forge's number.
    pub app: u64,
    /// Who asks.
    pub actor: String,
    /// Whether the forge says that it is a program.
    pub is_bot: bool,
}
