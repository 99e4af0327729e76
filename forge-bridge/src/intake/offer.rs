//! What a person may ask a branch for, as it is at its head now.

use workflows::names::{RefName, RepositoryName};
use workflows::release::release_of;
use workflows::selection::{self, Offer};

use super::Planner;
use super::apart::apart;
use crate::sources::SourceError;

impl Planner {
    /// The workflows of a branch that a person may ask for; in words, why there is no such branch.
    pub(crate) async fn offer(
        &self,
        forge: &str,
        repository: &RepositoryName,
        ref_name: &RefName,
    ) -> Result<Result<Offer, String>, SourceError> {
        let release = match release_of(&self.config.releases, ref_name) {
            Ok(release) => release,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(head) = self.sources.head_of(forge, repository, ref_name).await? else {
            let branch = ref_name.short();
            return Ok(Err(format!("{repository} has no branch `{branch}`")));
        };
        let found = self.files_at(forge, repository, &head, ref_name.as_str()).await?;
        let mut files = found.files;
        files.extend(self.files_of_operator(release).await?);
        apart(|| Ok(Offer::of(&selection::read(files)))).await
    }
}
