//! Which paths an event changed, as git itself says.

use strata_git::GitError;
use workflows::matching::ChangedPaths;

use super::{Before, Planner, Target};
use crate::sources::{Fetched, SourceError};

/// Most changed paths that filters look at; with more, and with more bytes of them than a mirror
/// tells, every path counts as changed.
const MAX_CHANGED_PATHS: usize = 20_000;

impl Planner {
    /// The changed paths, when a filter asks for them: finding out costs a diff.
    pub(super) async fn paths(
        &self,
        forge: &str,
        target: &Target,
        are_asked_for: bool,
    ) -> Result<ChangedPaths, SourceError> {
        if are_asked_for {
            return self.changed_paths(forge, target).await;
        }
        Ok(ChangedPaths::Everything { reason: "no filter asked which paths changed".to_owned() })
    }

    async fn changed_paths(
        &self,
        forge: &str,
        target: &Target,
    ) -> Result<ChangedPaths, SourceError> {
        let before = match &target.before {
            Before::Commit(before) => before.clone(),
            Before::Nothing(reason) => {
                return Ok(ChangedPaths::Everything { reason: reason.clone() });
            }
        };
        let after = target.commit.clone();
        let read = move |fetched: &Fetched| {
            fetched.fetch(before.as_str(), None)?;
            fetched.mirror.changed_paths(before.as_str(), after.as_str(), MAX_CHANGED_PATHS)
        };
        let changed = self
            .sources
            .at_commit(forge, &target.repository, &target.commit, Some(&target.fetch_ref), read)
            .await;
        let everything = |reason: &str| {
            Ok(ChangedPaths::Everything {
                reason: format!("{reason}: every path counts as changed"),
            })
        };
        match changed {
            Ok(paths) => Ok(ChangedPaths::Known(paths)),
            Err(SourceError::Git(GitError::CommitGone { .. })) => {
                everything("the old head cannot be reached")
            }
            Err(SourceError::Git(GitError::TooLarge(_))) => everything("too many paths changed"),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
