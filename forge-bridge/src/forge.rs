//! Telling a forge what became of a commit.
//!
//! One kind of forge is one variant. What an answer means for the next try is decided in one
//! place for all of them, because it depends on status codes and headers, not on the API.

mod answer;
mod app;
mod check_run;
mod comment;
mod comments;
mod forgejo;
mod found;
mod github;
mod gitlab;
mod hook_test;
mod hooks;
mod identity;
mod note;
mod notes;
mod pagure;
mod program;
mod pulls;
mod quiet;
mod redelivery;
mod request;
mod rights;
mod strangers;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use serde::Serialize;
use workflows::log_commands::Annotation;
use workflows::names::{CommitId, RepositoryName};
use workflows::status::StatusState;

use crate::config::{ConfigError, ForgeConfig, ForgeKind, read_secret};
use request::Api;

pub(crate) use found::Found;
pub(crate) use hook_test::HookTest;
pub(crate) use hooks::{Hook, HookId};
pub(crate) use pulls::PullList;
pub(crate) use rights::Right;

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
    /// What the job's steps said about lines of files, for forges that show such remarks.
    #[serde(skip)]
    pub(crate) annotations: Vec<Annotation>,
    /// For forges that keep the statuses of a commit apart by this.
    #[serde(skip)]
    pub(crate) place: StatusPlace,
}

/// What a commit is the head of, by the run that says its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum StatusPlace {
    /// Nobody knows any more.
    #[default]
    Unknown,
    /// A branch or a tag, by its short name.
    Ref(String),
    /// A pull request from a branch of the repository itself.
    Pull {
        /// Its number.
        number: u64,
        /// The branch that it comes from.
        branch: String,
    },
    /// A pull request from elsewhere.
    Fork {
        /// Its number.
        number: u64,
    },
}

/// Why a forge did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ForgeError {
    /// Try again, not before the time that the forge named.
    #[error("{why}")]
    Retry {
        /// From now, when the forge named one; it holds for all requests with this token.
        after: Option<Duration>,
        /// The owner whose installation of an App has that token; `None` for the one that there is.
        holder: Option<String>,
        /// Whether the forge may have done it, or may still do it: the answer was lost, or came from
        /// somebody before the forge.
        may_be_done: bool,
        /// What happened.
        why: String,
    },
    /// The token may not, or must not know that it may not; another way may be open.
    #[error("{why}")]
    Denied {
        /// What happened and what to do.
        why: String,
    },
    /// The same request will be refused again until a person changes something.
    #[error("{why}")]
    Refused {
        /// What happened and what to do.
        why: String,
    },
}

impl ForgeError {
    fn retry(why: impl Into<String>) -> Self {
        Self::Retry { after: None, holder: None, may_be_done: true, why: why.into() }
    }

    /// The token that it is about.
    fn of(self, token: Option<String>) -> Self {
        match self {
            Self::Retry { after, may_be_done, why, .. } => {
                Self::Retry { after, holder: token, may_be_done, why }
            }
            other => other,
        }
    }

    /// Whether the forge may have done what it was asked.
    pub(crate) fn may_be_done(&self) -> bool {
        matches!(self, Self::Retry { may_be_done: true, .. })
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
        Ok(match config.kind {
            ForgeKind::Github => Self::Github(github::Github::new(Api::open(config, token)?)),
            ForgeKind::Forgejo | ForgeKind::Gitea => {
                Self::Forgejo(forgejo::Forgejo { api: Api::open(config, token)? })
            }
            ForgeKind::Gitlab => Self::Gitlab(gitlab::Gitlab::new(Api::open(config, token)?)),
            ForgeKind::Pagure => Self::Pagure(pagure::Pagure { api: Api::open(config, token)? }),
            ForgeKind::Git => Self::Git(notes::Notes::new(config, token)),
        })
    }

    /// The API that is asked; plain git has none.
    fn api(&self) -> Option<&Api> {
        match self {
            Self::Github(github) => Some(&github.api),
            Self::Forgejo(forgejo) => Some(&forgejo.api),
            Self::Gitlab(gitlab) => Some(&gitlab.api),
            Self::Pagure(pagure) => Some(&pagure.api),
            Self::Git(_) => None,
        }
    }

    /// Whether it is asked as a GitHub App.
    pub(crate) fn is_app(&self) -> bool {
        self.api().is_some_and(|api| api.app().is_some())
    }

    /// Posts one status. The newest post of a context is what the forge shows.
    pub(crate) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        match self {
            Self::Github(github) => github.post_status(repository, commit, post).await,
            Self::Forgejo(forgejo) => forgejo.post_status(repository, commit, post).await,
            Self::Gitlab(gitlab) => gitlab.post_status(repository, commit, post).await,
            Self::Pagure(pagure) => pagure.post_status(repository, commit, post).await,
            Self::Git(notes) => notes.post_status(repository, commit, post).await,
        }
    }
}
