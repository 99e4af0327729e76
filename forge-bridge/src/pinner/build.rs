//! What a layered build needs to know before it is queued: its files through the gate, its
//! parents, its NVR.

use std::collections::BTreeMap;

use workflows::event::Trust;
use workflows::gate::{self, Admission, Asked, Gated, Inspection, ParentFacts};
use workflows::image::{BuildMode, ParentPin, Reference};
use workflows::plan::DraftAction;
use workflows::rebuild::ParentKind;
use workflows::release::ReleasePolicy;
use workflows::state::Fault;

use super::spec::{primary_tag, target};
use super::{Pinner, Unpinnable};
use crate::registry::{RegistryError, ResolvedImage};
use crate::store::jobs::Ending;
use crate::store::pinning::{Claim, NvrRequest, UnpinnedJob};

/// Most numbers that are stepped over for one build; each is a question to the registry.
const MAX_NUMBERS_THERE: usize = 200;

/// A layered build with everything known.
pub(super) struct BuildFacts {
    pub(super) pins: Vec<ParentPin>,
    /// Which of the pins the image stands on; `None` for an image from nothing.
    pub(super) parent: Option<ParentPin>,
    /// What the FROM lines name, in their order.
    pub(super) parent_images: Vec<String>,
    /// Those of the workflow, over those of the release.
    pub(super) build_args: BTreeMap<String, String>,
    pub(super) mode: BuildMode,
    pub(super) gated: Gated,
    pub(super) nvr: Option<NvrRequest>,
    pub(super) commit_time: i64,
}

/// What registries said about the images of a Dockerfile.
#[derive(Default)]
struct Pinned {
    pins: Vec<ParentPin>,
    /// Facts and pin of the image that a stage stands on.
    parents: BTreeMap<usize, (ParentPin, ParentFacts)>,
    /// The first answer that is nobody's mistake in the repository.
    stopped: Option<Unpinnable>,
}

impl Pinner {
    /// Facts of the job's layered build; `None` when it has none.
    pub(super) async fn build_facts(
        &self,
        job: &UnpinnedJob,
        release: &ReleasePolicy,
    ) -> Result<Option<BuildFacts>, Unpinnable> {
        let Some(mut asked) = asked(job) else { return Ok(None) };
        let mode = asked.mode;
        let (files, commit_time) = self.read_files(job, &asked).await?;
        let build_args = release.build_args_with(&asked.build_args, commit_time);
        asked.build_args.clone_from(&build_args);
        let hosts = self.hosts();
        let policy = release.clone();
        let mut inspection =
            apart(move || gate::inspect(asked, &files, policy, Admission::ByRelease(&hosts)))
                .await?;
        let pinned = self.pin_all(&mut inspection, release).await?;
        // Nobody should wait for a registry to learn that the Dockerfile is wrong.
        if let (Some(stopped), false) = (pinned.stopped, inspection.is_refused()) {
            return Err(stopped);
        }
        let facts =
            pinned.parents.iter().map(|(stage, (_, facts))| (*stage, facts.clone())).collect();
        let gated = apart(move || inspection.finish(&facts)).await?;
        let gated = gated.map_err(|refusal| Unpinnable::Ends(Ending::refused(&refusal)))?;
        let nvr = (mode != BuildMode::Scratch).then(|| NvrRequest {
            name: gated.labels.component.clone(),
            version: gated.labels.version.clone(),
            release: release_of(job, &gated),
            place: gated.release_place.clone(),
            dist_tag: release.dist_tag.clone(),
            there: Vec::new(),
            claim: Some(Claim {
                target: target(release, &gated.labels.name),
                assigned: release.holder_of(&gated.labels.component, &gated.labels.name).cloned(),
            }),
        });
        let nvr = match nvr {
            Some(request) => Some(self.beside_the_registry(request).await),
            None => None,
        };
        let parent = gated.base_stage.and_then(|stage| pinned.parents.get(&stage));
        let parent = parent.map(|(pin, _)| pin.clone());
        let mut pins = pinned.pins;
        for pin in &mut pins {
            if parent.as_ref().is_some_and(|parent| parent.reference == pin.reference) {
                pin.kind = Some(ParentKind::Parent);
            }
        }
        let parent_images = pinned.parents.into_values().map(|(pin, _)| pin.written).collect();
        Ok(Some(BuildFacts {
            pins,
            parent,
            parent_images,
            build_args,
            mode,
            gated,
            nvr,
            commit_time,
        }))
    }

    /// Steps over the numbers whose tags the registry has. A primary tag never moves, so that a
    /// build with such a number would fail at its end; a registry that does not answer stops nobody.
    async fn beside_the_registry(&self, mut request: NvrRequest) -> NvrRequest {
        let Some(claim) = request.claim.clone().filter(|_| request.release.is_none()) else {
            return request;
        };
        while request.there.len() < MAX_NUMBERS_THERE {
            let Ok(nvr) = self.store.next_nvr(&request).await else { break };
            let Some(tag) = primary_tag(&nvr) else { break };
            if self.registries.digest_of(&claim.target.tagged(&tag)).await.is_err() {
                break;
            }
            tracing::warn!("{nvr} is in the registry and not in this database: it is stepped over");
            request.there.insert(0, nvr.release);
        }
        request
    }

    /// Pins every image that the Dockerfile names; what is wrong with one goes to the inspection.
    async fn pin_all(
        &self,
        inspection: &mut Inspection,
        release: &ReleasePolicy,
    ) -> Result<Pinned, Unpinnable> {
        let world = self.worlds.known().await.map_err(|error| Unpinnable::Later {
            registry: None,
            fault: Fault::Bug,
            why: error.to_string(),
        })?;
        let mut pinned = Pinned::default();
        let mut known: BTreeMap<Reference, Result<ResolvedImage, String>> = BTreeMap::new();
        for image in inspection.images().to_vec() {
            if !known.contains_key(&image.reference) {
                let place =
                    world.graph.place_of(&world.policy, &release.name, &image.reference).clone();
                let answer = match self.resolve_at(&place, &image.reference).await {
                    Ok((resolved, note)) => {
                        if let Some(note) = note {
                            inspection.add_note(image.line, note);
                        }
                        Ok(resolved)
                    }
                    Err(error) if !error.may_pass() => Err(error.to_string()),
                    Err(error) => {
                        let place = format!("{}:{}", inspection.dockerfile(), image.line);
                        pinned.stopped.get_or_insert(Unpinnable::from_registry(error, &place));
                        continue;
                    }
                };
                known.insert(image.reference.clone(), answer);
            }
            match known.get(&image.reference) {
                Some(Ok(resolved)) => {
                    let digest = resolved.digest.clone();
                    let pin = ParentPin {
                        written: image.written,
                        reference: image.reference,
                        digest,
                        kind: Some(ParentKind::Builder),
                        form: Some(resolved.form),
                    };
                    if let Some(stage) = image.stage {
                        let facts = ParentFacts {
                            env: resolved.facts.env.clone(),
                            labels: resolved.facts.labels.clone(),
                            on_build: resolved.facts.on_build.clone(),
                        };
                        pinned.parents.insert(stage, (pin.clone(), facts));
                    }
                    if !pinned.pins.iter().any(|known| known.written == pin.written) {
                        pinned.pins.push(pin);
                    }
                }
                Some(Err(message)) => inspection.add_problem(image.line, message),
                None => {}
            }
        }
        Ok(pinned)
    }

    /// What a parent is now at the side of promotion that the release chooses, with a word for
    /// the log where that is another name than the Dockerfile has. One that was never promoted is
    /// taken by the name that it has there: the first build of a line stands on something too.
    async fn resolve_at(
        &self,
        place: &Reference,
        named: &Reference,
    ) -> Result<(ResolvedImage, Option<String>), RegistryError> {
        if place == named {
            return Ok((self.registries.resolve(named).await?, None));
        }
        match self.registries.resolve(place).await {
            Ok(resolved) => {
                let note =
                    format!("{named} is taken as {place}, as the release says in `propagate`");
                Ok((resolved, Some(note)))
            }
            Err(RegistryError::Unknown { .. }) => {
                let note = format!("{named} is taken as it is: {place} does not exist yet");
                Ok((self.registries.resolve(named).await?, Some(note)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Works on a stranger's text on a thread of its own: patterns in a megabyte of variables can
/// take seconds, and the threads that answer forges must not wait for them.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unpinnable> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Unpinnable::Ends(Ending::error(Fault::Bug, error.to_string())))
}

/// The release that was given; of a rebuild, where the repository asks for that, with the time
/// behind it, because the given one is taken by the build before.
fn release_of(job: &UnpinnedJob, gated: &Gated) -> Option<String> {
    let given = gated.release.as_ref()?;
    Some(if job.is_rebuild && gated.rebuild.add_timestamp {
        format!("{given}.{}", job.created_at.format("%Y%m%d%H%M%S"))
    } else {
        given.clone()
    })
}

/// The layered build of a job; `workflows::plan` refuses a second one.
fn asked(job: &UnpinnedJob) -> Option<Asked> {
    job.draft.steps.iter().find_map(|step| match &step.action {
        DraftAction::LayeredBuild {
            dockerfile,
            context,
            build_args,
            mode,
            release,
            follows_parents,
        } => Some(Asked {
            dockerfile: dockerfile.clone(),
            context: context.clone(),
            build_args: build_args.clone(),
            mode: if job.is_push() { *mode } else { BuildMode::Scratch },
            release: release.clone(),
            follows_parents: *follows_parents,
        }),
        DraftAction::Run { .. }
        | DraftAction::Checkout
        | DraftAction::TestImage { .. }
        | DraftAction::Action { .. } => None,
    })
}

impl UnpinnedJob {
    /// Whether the job builds the head of a release branch for those who may write to it, and so
    /// may keep an NVR and move tags. What a pull request begins is for anybody to begin.
    fn is_push(&self) -> bool {
        let is_of_branch = !self.is_of_pull && self.fetch_ref == self.ref_name.as_str();
        is_of_branch && self.trust == Trust::Trusted
    }
}
