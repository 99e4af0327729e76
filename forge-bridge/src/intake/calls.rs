//! The workflow files that jobs call: of the repository at the commit of the definitions, or of
//! another one of a configured forge, pinned to the commit that its ref names now.

use std::collections::BTreeMap;

use strata_git::{FileAt, GitError};
use workflows::event::Trust;
use workflows::job::ActionSource;
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::selection::Candidate;
use workflows::workflow::{CalledFile, MAX_FILE_BYTES};

use super::apart::apart;
use super::{Planner, Target};
use crate::sources::{Fetched, SourceError};

/// A file at a commit.
struct Place {
    forge: String,
    repository: RepositoryName,
    commit: CommitId,
    fetch_ref: Option<String>,
}

/// Repositories as their callers name them, each at one commit for all files of an event.
type Pins = BTreeMap<(Option<String>, String, String), Result<Place, String>>;

impl Planner {
    /// Finds the files that the workflows call.
    pub(super) async fn find_called(
        &self,
        forge: &str,
        target: &Target,
        definitions: &CommitId,
        candidates: &mut [Candidate],
    ) -> Result<(), SourceError> {
        let mut pins = Pins::new();
        for workflow in candidates.iter_mut().filter_map(|one| one.workflow.as_mut().ok()) {
            while let Some(name) = workflow.called.missing(workflow) {
                let source = ActionSource::parse(&name);
                let file = match source {
                    Err(why) => CalledFile::Missing(why),
                    Ok(ActionSource::Image { .. }) => {
                        CalledFile::Missing("an image is no workflow".to_owned())
                    }
                    Ok(ActionSource::Local { path }) => {
                        let fetch_ref = if target.definitions_from_base {
                            target.ref_name.to_string()
                        } else {
                            target.fetch_ref.clone()
                        };
                        let place = Place {
                            forge: forge.to_owned(),
                            repository: target.repository.clone(),
                            commit: definitions.clone(),
                            fetch_ref: Some(fetch_ref),
                        };
                        workflow.called.pin(&name, place.commit.clone());
                        self.file_at(&place, path).await?
                    }
                    Ok(ActionSource::Remote { host, repository, path, reference }) => {
                        let key = (host, repository, reference);
                        if !pins.contains_key(&key) {
                            let place = self.place_of(forge, target, &key).await?;
                            pins.insert(key.clone(), place);
                        }
                        match &pins[&key] {
                            Ok(place) => {
                                workflow.called.pin(&name, place.commit.clone());
                                self.file_at(place, path).await?
                            }
                            Err(why) => CalledFile::Missing(why.clone()),
                        }
                    }
                };
                let mut called = std::mem::take(&mut workflow.called);
                let take_in = move || {
                    called.insert(name, file);
                    called
                };
                workflow.called = apart(take_in).await?;
            }
        }
        Ok(())
    }

    /// Where a repository is, and the commit that its ref names now; the inner error is the author's.
    async fn place_of(
        &self,
        own: &str,
        target: &Target,
        (host, repository, reference): &(Option<String>, String, String),
    ) -> Result<Result<Place, String>, SourceError> {
        // An explanation knows one repository.
        if self.variables.is_none() {
            return Ok(Err("workflows of other repositories are not looked at here".to_owned()));
        }
        let Some(forge) = self.config.forge_of_action(host.as_deref(), own) else {
            return Ok(Err("called workflows come only from the forges that the bridge is \
                           configured for, and this is none of them"
                .to_owned()));
        };
        let name = match RepositoryName::parse(repository) {
            Ok(name) => name,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if target.trust == Trust::Untrusted {
            // Our token reads more than a stranger may hear of.
            let open = self.sources.need_open(&forge.name, &name).await;
            if let Err(why) = of_author(open)? {
                return Ok(Err(why));
            }
        }
        let place = |commit, fetch_ref| {
            let (forge, repository) = (forge.name.clone(), name.clone());
            Ok(Ok(Place { forge, repository, commit, fetch_ref }))
        };
        if let Ok(commit) = CommitId::parse(reference) {
            return place(commit, None);
        }
        if self.config.actions.require_commit {
            return Ok(Err(format!(
                "it must be named by its whole commit, as in `{repository}/…@0123…`: a branch or a \
                 tag may be another one tomorrow"
            )));
        }
        for directory in ["refs/tags", "refs/heads"] {
            let Ok(full) = RefName::parse(&format!("{directory}/{reference}")) else { continue };
            match of_author(self.sources.head_of(&forge.name, &name, &full).await)? {
                Ok(Some(commit)) => return place(commit, Some(full.to_string())),
                Ok(None) => {}
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Err(format!("{repository} has no tag and no branch `{reference}`")))
    }

    async fn file_at(&self, place: &Place, path: String) -> Result<CalledFile, SourceError> {
        let Place { forge, repository, commit, fetch_ref } = place;
        let at = commit.to_string();
        let read =
            move |fetched: &Fetched| fetched.mirror.read_file(&at, &path, MAX_FILE_BYTES as u64);
        let found = self.sources.at_commit(forge, repository, commit, fetch_ref.as_deref(), read);
        Ok(match of_author(found.await)? {
            Ok(found) => file(found),
            Err(why) => CalledFile::Missing(why),
        })
    }
}

fn file(found: FileAt) -> CalledFile {
    let why = match found {
        FileAt::Blob { bytes, .. } => match String::from_utf8(bytes) {
            Ok(text) => return CalledFile::Text(text),
            Err(_) => "the file is not UTF-8 text".to_owned(),
        },
        FileAt::TooLarge { bytes } => {
            format!("the file has {bytes} bytes; at most {MAX_FILE_BYTES} are read")
        }
        FileAt::Symlink => {
            "the file is a symbolic link; write the workflow itself there".to_owned()
        }
        FileAt::Directory | FileAt::Submodule => "this is not a file".to_owned(),
        FileAt::Missing => "there is no such file".to_owned(),
    };
    CalledFile::Missing(why)
}

/// Tells what the author of the call has to hear from what a later try may mend.
fn of_author<T>(found: Result<T, SourceError>) -> Result<Result<T, String>, SourceError> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(SourceError::Git(
            error @ (GitError::NotFound(_)
            | GitError::Auth(_)
            | GitError::CommitGone { .. }
            | GitError::Invalid(_)
            | GitError::TooLarge(_)),
        )) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}
