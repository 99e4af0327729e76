//! Reading the files that the gate looks at, from the mirror, at the commit of the job.

use std::collections::BTreeMap;

use strata_git::{FileAt, GitError, Mirror};
use workflows::gate::{self, Asked, Content, Files};

use super::{Pinner, Unpinnable};
use crate::sources::Fetched;
use crate::store::pinning::UnpinnedJob;

impl Pinner {
    /// The files, and the commit's time in seconds since the epoch.
    pub(super) async fn read_files(
        &self,
        job: &UnpinnedJob,
        asked: &Asked,
    ) -> Result<(Files, i64), Unpinnable> {
        let commit = job.commit.to_string();
        let wanted = gate::wanted(asked);
        let read = move |fetched: &Fetched| {
            let mirror = &fetched.mirror;
            let (root, root_is_cut) = match mirror.list(&commit, "") {
                Ok(entries) => (entries.into_iter().map(|entry| entry.name).collect(), false),
                // Its names are looked at for slips only.
                Err(GitError::TooLarge(_)) => (Vec::new(), true),
                Err(error) => return Err(error),
            };
            let mut contents = BTreeMap::new();
            for (path, max_bytes) in wanted {
                let content = content(mirror, &commit, &path, max_bytes)?;
                contents.insert(path, content);
            }
            Ok((Files { root, root_is_cut, contents }, mirror.commit_facts(&commit)?.time))
        };
        let read = self.sources.at_commit(
            &job.forge,
            &job.repository,
            &job.commit,
            Some(&job.fetch_ref),
            read,
        );
        Ok(read.await?)
    }
}

pub(super) fn content(
    mirror: &Mirror,
    commit: &str,
    path: &str,
    max_bytes: usize,
) -> Result<Content, GitError> {
    let max_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    Ok(match mirror.read_file(commit, path, max_bytes)? {
        FileAt::Blob { bytes, .. } => {
            String::from_utf8(bytes).map_or(Content::NotText, Content::Text)
        }
        FileAt::Missing => Content::Missing,
        FileAt::Symlink => Content::Symlink,
        FileAt::Directory | FileAt::Submodule => Content::NotAFile,
        FileAt::TooLarge { bytes } => Content::TooLarge { bytes },
    })
}
