//! Statuses of Forgejo and Gitea.

use workflows::names::{CommitId, RepositoryName};

use super::answer::Deed;
use super::request::{Api, Call};
use super::{ForgeError, StatusPost};

/// Forgejo or Gitea, whose API is the same.
#[derive(Debug, Clone)]
pub(crate) struct Forgejo {
    pub(super) api: Api,
}

impl Forgejo {
    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        let path = format!("/repos/{repository}/statuses/{commit}");
        self.api.ask(Call::post(Deed::Status, path).of(repository).json(post)).await.map(drop)
    }
}
