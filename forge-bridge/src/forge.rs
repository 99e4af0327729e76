//! Telling a forge what became of a commit.
//!
//! One kind of forge is one variant. What an answer means for the next try is decided in one
//! place for all of them, because it depends on status codes and headers, not on the API.

mod answer;
mod forgejo;
mod github;
mod gitlab;
mod note;
mod notes;
mod pagure;
mod program;
mod request;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use workflows::names::{CommitId, RepositoryName};
use workflows::status::StatusState;

use crate::config::{ConfigError, ForgeConfig, ForgeKind, read_secret};

/// How long one post may take, from connecting to the answer.
const POST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection to a forge may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A commit status as it is posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StatusPost {
    /// Its stable name.
    pub(crate) context: String,
    /// What the forge colours.
    pub(crate) state: StatusState,
    /// What people read.
    pub(crate) description: String,
    /// Where a click leads.
    pub(crate) target_url: String,
}

/// Why a status was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PostError {
    /// Try again, not before the time that the forge named.
    #[error("{why}")]
    Retry {
        /// From now, when the forge named one; it holds for all posts with this token.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// The same post will be refused again until a person changes something.
    #[error("{why}")]
    Refused {
        /// What happened and what to do.
        why: String,
    },
}

impl PostError {
    fn retry(why: impl Into<String>) -> Self {
        Self::Retry { after: None, why: why.into() }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }
}

/// A forge that takes statuses. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) enum Forge {
    /// github.com or GitHub Enterprise Server.
    Github(github::Github),
    /// Forgejo, and Gitea, whose API is the same.
    Forgejo(forgejo::Forgejo),
    /// GitLab.
    Gitlab(gitlab::Gitlab),
    /// Pagure, where a status is a flag.
    Pagure(pagure::Pagure),
    /// Bare repositories: statuses are git notes.
    Git(notes::Notes),
}

impl Forge {
    /// Reads the token file and makes a client. To be called inside of a Tokio runtime.
    ///
    /// # Errors
    /// [`ConfigError`] names the token file or the setting that is wrong.
    pub(crate) fn open(config: &ForgeConfig) -> Result<Self, ConfigError> {
        let token = config.token_file.as_deref().map(read_secret).transpose()?;
        match config.kind {
            ForgeKind::Github => {
                let (api_url, token) = api(config, token)?;
                github::Github::new(api_url, token).map(Self::Github)
            }
            ForgeKind::Forgejo | ForgeKind::Gitea => {
                let (api_url, token) = api(config, token)?;
                forgejo::Forgejo::new(api_url, token).map(Self::Forgejo)
            }
            ForgeKind::Gitlab => {
                let (api_url, token) = api(config, token)?;
                gitlab::Gitlab::new(api_url, token).map(Self::Gitlab)
            }
            ForgeKind::Pagure => {
                let (api_url, token) = api(config, token)?;
                pagure::Pagure::new(api_url, token).map(Self::Pagure)
            }
            ForgeKind::Git => Ok(Self::Git(notes::Notes::new(config, token))),
        }
    }

    /// Posts one status. The newest post of a context is what the forge shows.
    pub(crate) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), PostError> {
        match self {
            Self::Github(github) => github.post_status(repository, commit, post).await,
            Self::Forgejo(forgejo) => forgejo.post_status(repository, commit, post).await,
            Self::Gitlab(gitlab) => gitlab.post_status(repository, commit, post).await,
            Self::Pagure(pagure) => pagure.post_status(repository, commit, post).await,
            Self::Git(notes) => notes.post_status(repository, commit, post).await,
        }
    }
}

fn api(
    config: &ForgeConfig,
    token: Option<SecretString>,
) -> Result<(&str, SecretString), ConfigError> {
    match (config.api_url.as_deref(), token) {
        (Some(url), Some(token)) => Ok((url.trim_end_matches('/'), token)),
        _ => Err(ConfigError::Meaning(format!(
            "forge `{}` needs api_url and token_file to post statuses",
            config.name
        ))),
    }
}
