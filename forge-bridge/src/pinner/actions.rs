//! What the actions of a job's steps stand on: repositories, each at one commit, and images.
//!
//! Action files are read here to find what they use in turn; what they say is done by the runner,
//! which reads them again at exactly the same commits.

use strata_git::{GitError, Mirror};
use workflows::action::{Found, FoundImage, TooMany, Walk};
use workflows::diagnostic::{Diagnostic, Severity};
use workflows::event::Trust;
use workflows::gate::Content;
use workflows::image::Reference;
use workflows::job::{ActionPins, ActionSource, RepositoryPin};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::plan::DraftAction;
use workflows::release::ReleasePolicy;

use super::build::apart;
use super::files::content;
use super::{Pinner, Unpinnable};
use crate::sources::{Fetched, SourceError};
use crate::store::pinning::UnpinnedJob;

/// A tree that an action is part of.
struct Tree {
    forge: String,
    repository: RepositoryName,
    commit: CommitId,
    fetch_ref: Option<String>,
}

impl Pinner {
    /// Finds out what the actions of a job stand on.
    pub(super) async fn action_pins(
        &self,
        job: &UnpinnedJob,
        release: &ReleasePolicy,
    ) -> Result<ActionPins, Unpinnable> {
        let mut pins = ActionPins::default();
        let mut walk = Walk::new(used(job));
        let too_many = |error: TooMany| Unpinnable::failure(error.to_string());
        while let Some(source) = walk.next_action().map_err(too_many)? {
            let Some((tree, path)) = self.tree_of(job, &source, &mut pins).await? else {
                if let ActionSource::Image { image } = &source {
                    self.pin_image(&mut pins, image, release, &source.to_string()).await?;
                }
                continue;
            };
            let found = self.found_at(&tree, path).await.map_err(|error| told(&source, error))?;
            let (found, images) = apart(move || {
                let images = found.images();
                (found, images)
            })
            .await?;
            let action = match found.action {
                None => continue,
                Some(Ok(action)) => action,
                Some(Err(wrong)) => return Err(refused(&source, &wrong)),
            };
            let images = images.map_err(|why| Unpinnable::failure(format!("{source}: {why}")))?;
            self.pin_images(&mut pins, &source, images, release).await?;
            walk.found(&action);
        }
        if !pins.is_empty() {
            release.source_registry().clone_into(&mut pins.source_registry);
        }
        Ok(pins)
    }

    /// The tree and the path that an action is at; nothing for an image. A repository is pinned.
    async fn tree_of(
        &self,
        job: &UnpinnedJob,
        source: &ActionSource,
        pins: &mut ActionPins,
    ) -> Result<Option<(Tree, String)>, Unpinnable> {
        match source {
            ActionSource::Image { .. } => Ok(None),
            ActionSource::Local { path } => {
                let tree = Tree {
                    forge: job.forge.clone(),
                    repository: job.repository.clone(),
                    commit: job.commit.clone(),
                    fetch_ref: Some(job.fetch_ref.clone()),
                };
                Ok(Some((tree, path.clone())))
            }
            ActionSource::Remote { host, repository, path, reference } => {
                let forge = self.config.forge_of_action(host.as_deref(), &job.forge);
                let Some(forge) = forge else {
                    return Err(Unpinnable::failure(format!(
                        "action `{source}`: actions come only from the forges that the bridge is \
                         configured for, and this is none of them"
                    )));
                };
                let name = RepositoryName::parse(repository)
                    .map_err(|error| Unpinnable::failure(format!("action `{source}`: {error}")))?;
                let (commit, fetch_ref) = match pins.repository(source) {
                    Some((_, pin)) => (pin.commit.clone(), pin.fetch_ref.clone()),
                    None => {
                        if job.trust == Trust::Untrusted {
                            // Our token reads more than a stranger may hear of.
                            let open = self.sources.need_open(&forge.name, &name).await;
                            open.map_err(|error| told(source, error))?;
                        }
                        let found = self.commit_of(&forge.name, &name, reference, source).await?;
                        pins.repositories.push(RepositoryPin {
                            host: host.clone(),
                            repository: repository.clone(),
                            reference: reference.clone(),
                            clone_url: forge.clone_url_of(&name),
                            fetch_ref: found.1.clone(),
                            commit: found.0.clone(),
                            is_on_own_forge: forge.name == job.forge,
                        });
                        found
                    }
                };
                let tree = Tree { forge: forge.name.clone(), repository: name, commit, fetch_ref };
                Ok(Some((tree, path.clone())))
            }
        }
    }

    /// The commit that an action's ref names now, and the full ref.
    async fn commit_of(
        &self,
        forge: &str,
        repository: &RepositoryName,
        reference: &str,
        source: &ActionSource,
    ) -> Result<(CommitId, Option<String>), Unpinnable> {
        if let Ok(commit) = CommitId::parse(reference) {
            return Ok((commit, None));
        }
        if self.config.actions.require_commit {
            return Err(Unpinnable::failure(format!(
                "action `{source}` must be named by its whole commit, as in `{repository}@0123…`: \
                 a branch or a tag may be another one tomorrow"
            )));
        }
        for directory in ["refs/tags", "refs/heads"] {
            let Ok(name) = RefName::parse(&format!("{directory}/{reference}")) else { continue };
            let head = self.sources.head_of(forge, repository, &name).await;
            if let Some(commit) = head.map_err(|error| told(source, error))? {
                return Ok((commit, Some(name.to_string())));
            }
        }
        Err(Unpinnable::failure(format!(
            "action `{source}`: {repository} has no tag and no branch `{reference}`"
        )))
    }

    async fn found_at(&self, tree: &Tree, path: String) -> Result<Found, SourceError> {
        let commit = tree.commit.to_string();
        let read = move |fetched: &Fetched| found(&fetched.mirror, &commit, &path);
        let fetch_ref = tree.fetch_ref.as_deref();
        self.sources.at_commit(&tree.forge, &tree.repository, &tree.commit, fetch_ref, read).await
    }

    /// Pins the images that an action names.
    async fn pin_images(
        &self,
        pins: &mut ActionPins,
        source: &ActionSource,
        images: Vec<FoundImage>,
        release: &ReleasePolicy,
    ) -> Result<(), Unpinnable> {
        for FoundImage { written, expanded, place } in images {
            let Some(place) = place else {
                self.pin_image(pins, &written, release, &source.to_string()).await?;
                continue;
            };
            let at = format!("{source}: {place}");
            // What is no name at all is told when it is resolved.
            let meant = Reference::parse(&expanded, release.source_registry());
            let is_pinned = meant.map_or(Ok(false), |meant| pins.has(&written, &meant));
            if is_pinned.map_err(|why| Unpinnable::failure(format!("{at}: {why}")))? {
                continue;
            }
            let (pin, _) = self.resolve(&written, &expanded, release, &at).await?;
            pins.images.push(pin);
        }
        Ok(())
    }

    async fn pin_image(
        &self,
        pins: &mut ActionPins,
        image: &str,
        release: &ReleasePolicy,
        place: &str,
    ) -> Result<(), Unpinnable> {
        if pins.image(image).is_none() {
            let (pin, _) = self.resolve(image, image, release, place).await?;
            pins.images.push(pin);
        }
        Ok(())
    }
}

/// The actions that the job's own steps use.
fn used(job: &UnpinnedJob) -> impl Iterator<Item = ActionSource> {
    job.draft.steps.iter().filter_map(|step| match &step.action {
        DraftAction::Action { source, .. } => Some(source.clone()),
        _ => None,
    })
}

fn found(mirror: &Mirror, commit: &str, path: &str) -> Result<Found, GitError> {
    Found::at(path, |path, max_bytes| match content(mirror, commit, path, max_bytes)? {
        Content::Text(text) => Ok(Some(text)),
        _ => Ok(None),
    })
}

/// An action that is not there is the mistake of the one who wrote the step.
fn told(source: &ActionSource, error: SourceError) -> Unpinnable {
    match error {
        SourceError::Git(
            error @ (GitError::NotFound(_)
            | GitError::Auth(_)
            | GitError::CommitGone { .. }
            | GitError::Invalid(_)
            | GitError::TooLarge(_)),
        ) => Unpinnable::failure(format!("action `{source}`: {error}")),
        error => error.into(),
    }
}

fn refused(source: &ActionSource, wrong: &[Diagnostic]) -> Unpinnable {
    let first = wrong.iter().find(|one| one.severity == Severity::Error).or(wrong.first());
    let first = first.map(ToString::to_string).unwrap_or_default();
    Unpinnable::failure(format!("action `{source}` cannot be used: {first}"))
}
