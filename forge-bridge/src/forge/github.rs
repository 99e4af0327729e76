//! Statuses of GitHub: commit statuses with a token, check runs as an App.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use workflows::names::{CommitId, RepositoryName};

use super::answer::Deed;
use super::check_run::Kept;
use super::redelivery::LookedAt;
use super::request::{Api, Call};
use super::{ForgeError, StatusPost};

/// Which check run: that of a context on a commit.
pub(super) type CheckRunKey = (RepositoryName, CommitId, String);

/// github.com or GitHub Enterprise Server.
#[derive(Debug, Clone)]
pub(crate) struct Github {
    pub(super) api: Api,
    /// The check run of each context.
    pub(super) check_runs: Arc<Mutex<HashMap<CheckRunKey, Kept>>>,
    /// How far the lists of deliveries were looked at.
    pub(super) looked_at: LookedAt,
}

impl Github {
    pub(super) fn new(api: Api) -> Self {
        Self { api, check_runs: Arc::default(), looked_at: LookedAt::default() }
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        check(repository)?;
        if self.api.app().is_some() {
            return self.post_check_run(repository, commit, post).await;
        }
        let path = format!("/repos/{repository}/statuses/{commit}");
        self.api.ask(Call::post(Deed::Status, path).of(repository).json(post)).await.map(drop)
    }
}

/// A path of two parts; another one would be another call.
pub(super) fn check(repository: &RepositoryName) -> Result<(), ForgeError> {
    if repository.as_str().split('/').count() == 2 {
        return Ok(());
    }
    Err(ForgeError::refused(format!(
        "`{repository}` is no repository of GitHub, where they are `owner/name`"
    )))
}
