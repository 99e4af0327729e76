//! Whether a forge's configuration works, part by part.

use serde::{Deserialize, Serialize};
use workflows::names::RepositoryName;

/// What to look at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForgeCheckRequest {
    /// The repository to look at; one that is watched when it is left out.
    pub repository: Option<RepositoryName>,
    /// Make the webhook where it is missing.
    pub create_hook: bool,
}

/// What a look at a forge found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgeCheck {
    /// The forge's configured name.
    pub forge: String,
    /// Its kind, as in the configuration.
    pub kind: String,
    /// The repository that was looked at, where there is one.
    pub repository: Option<RepositoryName>,
    /// Where its webhook has to go.
    pub hook_url: String,
    /// Whether nothing failed.
    pub good: bool,
    /// Each part, in the order in which they were looked at.
    pub parts: Vec<CheckedPart>,
}

/// One part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckedPart {
    /// `api`, `repository`, `statuses`, `comments`, `members`, `branches`, `key`, `hook`, `delivery`
    /// or `test`; there may be more.
    pub part: String,
    /// How it is.
    pub state: PartState,
    /// What was seen; of what failed, also what to do.
    pub message: String,
}

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// As it must be.
    Ok,
    /// Not as it must be.
    Failed,
    /// Nothing can be said of it.
    Skipped,
}

impl PartState {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
