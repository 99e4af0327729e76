//! Resolves every image that a job names to a digest, before the job may be leased.
//!
//! Three answers differ on purpose: an image that does not exist and a registry that is not
//! allowed end the job in words for the packager; a registry that does not answer only makes it
//! wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use workflows::gate;
use workflows::image::{ParentPin, Reference};
use workflows::job::{ActionPins, Login};
use workflows::names::RepositoryName;
use workflows::release::ReleasePolicy;
use workflows::state::Fault;
use workflows::status;

use crate::config::Config;
use crate::level::{Turn, UnderWay, retry_at};
use crate::rebuilds::world::Worlds;
use crate::registry::{Registries, RegistryError, ResolvedImage};
use crate::sources::{SourceError, Sources};
use crate::store::jobs::Ending;
use crate::store::pinning::{ReserveError, UnpinnedJob};
use crate::store::{Store, StoreError};
use crate::vault::Vault;
use crate::wakes::Wakes;

mod actions;
mod build;
mod files;
mod logins;
mod spec;
#[cfg(test)]
mod tests;

use build::BuildFacts;

/// Jobs that one turn begins to pin.
const BATCH: u32 = 8;
/// How long a registry or forge may be out of reach before its jobs end as an error.
const MAX_PATIENCE: TimeDelta = TimeDelta::days(1);

pub(crate) struct Pinner {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) registries: Arc<Registries>,
    pub(crate) worlds: Worlds,
    pub(crate) wakes: Wakes,
    /// Repositories whose jobs are being pinned.
    pub(crate) under_way: Arc<UnderWay<RepositoryName>>,
}

/// Why a job cannot be pinned.
#[derive(Debug)]
enum Unpinnable {
    /// It never will be: the job ends.
    Ends(Ending),
    /// Not now.
    Later { registry: Option<String>, fault: Fault, why: String },
}

impl Unpinnable {
    fn failure(message: impl Into<String>) -> Self {
        Self::Ends(Ending::failure(message))
    }
}

impl From<SourceError> for Unpinnable {
    fn from(error: SourceError) -> Self {
        if error.is_transient() {
            Self::Later { registry: None, fault: Fault::Forge, why: error.to_string() }
        } else {
            Self::Ends(Ending::error(Fault::Forge, error.to_string()))
        }
    }
}

impl Unpinnable {
    /// In the packager's words; `place` is `Dockerfile:3` or the like.
    fn from_registry(error: RegistryError, place: &str) -> Self {
        match error {
            RegistryError::Unavailable { ref host, .. } => Self::Later {
                registry: Some(host.clone()),
                fault: Fault::Registry,
                why: error.to_string(),
            },
            RegistryError::Unknown { .. } | RegistryError::NotAllowed { .. } => {
                Self::failure(format!("{place}: {error}"))
            }
            RegistryError::Unauthorised { .. } | RegistryError::Malformed { .. } => {
                Self::Ends(Ending::error(Fault::Registry, format!("{place}: {error}")))
            }
        }
    }
}

impl Pinner {
    /// Begins to pin every job that is due, each repository on its own: one whose forge or registry
    /// hangs holds up none of the others.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let without = (self.under_way.full(), self.under_way.claimed());
        let due = self.store.unpinned(Utc::now(), BATCH, (&without.0, &without.1)).await?;
        let mut turn = Turn::Idle;
        for ((forge, repository), jobs) in by_repository(due) {
            let Some(claim) = self.under_way.begin(&forge, repository) else { continue };
            turn = Turn::Busy;
            let pinner = Arc::clone(&self);
            tokio::spawn(async move {
                let pinned = pinner.pin(&jobs).await;
                drop(claim);
                match pinned {
                    Ok(()) => pinner.wakes.pinner.notify_one(),
                    Err(error) => tracing::error!(%error, "pinner: jobs of {forge}: {error}"),
                }
            });
        }
        Ok(turn)
    }

    /// All of a repository's jobs ask at once; they are recorded in their order, so that of builds
    /// that were asked for together the newer one has the higher release, as the tags that move to
    /// the newest build will tell.
    async fn pin(&self, jobs: &[UnpinnedJob]) -> Result<(), StoreError> {
        let facts = futures_util::future::join_all(jobs.iter().map(|job| self.facts(job))).await;
        for (job, facts) in jobs.iter().zip(facts) {
            self.settle(job, facts).await?;
        }
        Ok(())
    }

    /// Records what was found out about a job, or why it was not.
    async fn settle(
        &self,
        job: &UnpinnedJob,
        facts: Result<(&ReleasePolicy, Facts), Unpinnable>,
    ) -> Result<(), StoreError> {
        let now = Utc::now();
        let recorded = match facts {
            Ok((release, facts)) => self.record(job, release, &facts, now).await,
            Err(unpinnable) => Err(unpinnable),
        };
        match recorded {
            Ok(()) => self.wakes.after_pins(),
            Err(Unpinnable::Ends(ending)) => {
                tracing::info!(job.id = %job.id, "job {} ends unpinned: {}", job.id, ending.message);
                self.store.end_job(job.id, &ending, now).await?;
                self.wakes.after_job();
            }
            Err(Unpinnable::Later { registry, fault, why }) => {
                tracing::warn!(job.id = %job.id, "job {} cannot be pinned yet: {why}", job.id);
                if now - job.created_at > MAX_PATIENCE {
                    let ending = Ending::error(fault, why);
                    self.store.end_job(job.id, &ending, now).await?;
                } else {
                    let sentence = match registry {
                        Some(registry) => status::registry_down(&registry),
                        None => status::forge_down(&job.forge),
                    };
                    let until = retry_at(now, job.tries, job.id.0);
                    self.store.defer_pinning(job.id, until, &sentence, now).await?;
                }
                self.wakes.reporter.notify_one();
            }
        }
        Ok(())
    }

    /// Everything outside that the specification needs.
    async fn facts(&self, job: &UnpinnedJob) -> Result<(&ReleasePolicy, Facts), Unpinnable> {
        let release = self.config.releases.iter().find(|release| release.name == job.release);
        let Some(release) = release else {
            return Err(Unpinnable::failure(format!(
                "release `{}` is not configured any more",
                job.release
            )));
        };
        let logins = self.logins(job).await?;
        let image = match &job.draft.image {
            Some(written) => {
                let place = match &job.draft.image_label {
                    Some(label) => format!("job {}, image of label `{label}`", job.draft.name),
                    None => format!("job {}", job.draft.name),
                };
                Some(self.resolve_as(logins.container, written, release, &place).await?)
            }
            None => None,
        };
        let mut services = Vec::with_capacity(job.draft.services.len());
        for (service, login) in job.draft.services.iter().zip(logins.services) {
            let place = format!("service {} of job {}", service.name, job.draft.name);
            services.push(self.resolve_as(login, &service.image, release, &place).await?);
        }
        let build = self.build_facts(job, release).await?;
        let actions = self.action_pins(job, release).await?;
        Ok((release, Facts { image, services, build, actions }))
    }

    async fn record(
        &self,
        job: &UnpinnedJob,
        release: &ReleasePolicy,
        facts: &Facts,
        now: DateTime<Utc>,
    ) -> Result<(), Unpinnable> {
        let forge = self.config.forge(&job.forge).ok_or_else(|| {
            Unpinnable::failure(format!("forge `{}` is not configured any more", job.forge))
        })?;
        let request = facts.build.as_ref().and_then(|build| build.nvr.clone());
        let pins: Vec<ParentPin> = facts
            .image
            .iter()
            .chain(&facts.services)
            .chain(facts.build.iter().flat_map(|build| &build.pins))
            .cloned()
            .collect();
        let complete = |nvr: Option<&_>| spec::complete(job, release, forge, facts, nvr, now);
        let recorded = self.store.record_pins(job, request.as_ref(), &pins, complete, now).await;
        recorded.map_err(|error| match error {
            ReserveError::Taken { .. } | ReserveError::Held { .. } | ReserveError::Refused(_) => {
                Unpinnable::failure(error.to_string())
            }
            ReserveError::Store(error) => {
                Unpinnable::Later { registry: None, fault: Fault::Bug, why: error.to_string() }
            }
        })
    }

    /// Hosts of the registries that the operator allows.
    fn hosts(&self) -> Vec<String> {
        self.config.registries.iter().map(|registry| registry.host.clone()).collect()
    }

    /// Resolves one image as written somewhere, if its release takes images from there.
    async fn resolve(
        &self,
        written: &str,
        expanded: &str,
        release: &ReleasePolicy,
        place: &str,
    ) -> Result<(ParentPin, ResolvedImage), Unpinnable> {
        let reference = self.admitted(expanded, release, place)?;
        let resolved = self.registries.resolve(&reference).await;
        let resolved = resolved.map_err(|error| Unpinnable::from_registry(error, place))?;
        Ok((pin(written, reference, &resolved), resolved))
    }

    /// Resolves the image of a container as the user that its workflow names, if it names one.
    async fn resolve_as(
        &self,
        login: Option<Login>,
        written: &str,
        release: &ReleasePolicy,
        place: &str,
    ) -> Result<ParentPin, Unpinnable> {
        let Some(login) = login else {
            return Ok(self.resolve(written, written, release, place).await?.0);
        };
        let reference = self.admitted(written, release, place)?;
        let registries = self.registries.as_user(&reference.registry, login);
        match registries.resolve(&reference).await {
            Ok(resolved) => Ok(pin(written, reference, &resolved)),
            // They are the packager's, not the operator's.
            Err(error @ RegistryError::Unauthorised { .. }) => {
                Err(Unpinnable::failure(format!("{place}: {error} in `credentials`")))
            }
            Err(error) => Err(Unpinnable::from_registry(error, place)),
        }
    }

    /// An image as written somewhere, if its release takes images from there.
    fn admitted(
        &self,
        written: &str,
        release: &ReleasePolicy,
        place: &str,
    ) -> Result<Reference, Unpinnable> {
        let refused = |why: String| Unpinnable::failure(format!("{place}: {why}"));
        let reference = Reference::parse(written, release.source_registry())
            .map_err(|error| refused(error.to_string()))?;
        gate::admit(written, &reference, release, &self.hosts()).map_err(refused)?;
        Ok(reference)
    }
}

fn pin(written: &str, reference: Reference, resolved: &ResolvedImage) -> ParentPin {
    ParentPin {
        written: written.to_owned(),
        reference,
        digest: resolved.digest.clone(),
        kind: None,
        form: Some(resolved.form),
    }
}

/// The jobs of each repository, in their order.
fn by_repository(due: Vec<UnpinnedJob>) -> BTreeMap<(String, RepositoryName), Vec<UnpinnedJob>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for job in due {
        groups.entry((job.forge.clone(), job.repository.clone())).or_default().push(job);
    }
    groups
}

/// What the world outside says about a job.
struct Facts {
    /// The image of its `run` steps.
    image: Option<ParentPin>,
    /// Those of its services, in their order.
    services: Vec<ParentPin>,
    /// Its layered build.
    build: Option<BuildFacts>,
    /// What its actions stand on.
    actions: ActionPins,
}
