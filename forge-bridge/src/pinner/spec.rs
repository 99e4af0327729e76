//! Puts the specification of a job together once everything is known. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use workflows::cache;
use workflows::dockerfile::LayeredLabels;
use workflows::gate::Gated;
use workflows::image::{Nvr, ParentPin, Reference, Tag, TagPlan};
use workflows::job::{
    BuildSpec, ImageNames, JobSpec, Limits, RebuildFacts, ServiceSpec, Source, StepAction,
};
use workflows::labels::{self, LabelFacts};
use workflows::plan::{DraftAction, StepDraft};
use workflows::release::ReleasePolicy;
use workflows::repositories;

use super::Facts;
use super::build::BuildFacts;
use crate::config::ForgeConfig;
use crate::store::pinning::UnpinnedJob;

/// The specification, complete.
pub(super) fn complete(
    job: &UnpinnedJob,
    release: &ReleasePolicy,
    forge: &ForgeConfig,
    facts: &Facts,
    nvr: Option<&Nvr>,
    now: DateTime<Utc>,
) -> JobSpec {
    let source = Source {
        forge: job.forge.clone(),
        repository: job.repository.clone(),
        clone_url: forge.clone_url_of(&job.repository),
        ref_name: job.ref_name.clone(),
        fetch_ref: job.fetch_ref.clone(),
        commit: job.commit.clone(),
    };
    let step = |draft: &StepDraft| {
        draft.spec(action(&draft.action, job, release, &source, facts, nvr, now))
    };
    JobSpec {
        name: job.draft.name.clone(),
        release: release.name.clone(),
        trust: job.trust,
        image: facts.image.clone(),
        credentials: job.draft.credentials.clone(),
        env: job.draft.env.clone(),
        steps: job.draft.steps.iter().map(step).collect(),
        source,
        limits: limits(&release.limits, job, facts),
        network: release.network,
        egress: release.egress_places(),
        runs_on: job.draft.runs_on.clone(),
        contexts: contexts(job, facts, nvr),
        env_templates: job.draft.env_templates.clone(),
        outputs: job.draft.outputs.clone(),
        services: services(job, facts),
        container: job.draft.container.clone(),
        actions: facts.actions.clone(),
    }
}

/// The services with their images pinned.
fn services(job: &UnpinnedJob, facts: &Facts) -> Vec<ServiceSpec> {
    let pinned = job.draft.services.iter().zip(&facts.services);
    pinned.map(|(draft, image)| draft.spec(image.clone())).collect()
}

/// What the runner's expressions can name that is known here.
fn contexts(job: &UnpinnedJob, facts: &Facts, nvr: Option<&Nvr>) -> BTreeMap<String, Json> {
    let mut contexts = known(job);
    if contexts.is_empty() {
        return contexts;
    }
    let pins = facts.build.iter().flat_map(|build| &build.pins);
    let parent = |pin: &ParentPin| {
        json!({
            "name": pin.written, "reference": pin.reference.to_string(),
            "digest": pin.digest.as_str()
        })
    };
    contexts.insert("parents".to_owned(), pins.map(parent).collect());
    if let Some(build) = &facts.build {
        let labels = &build.gated.labels;
        let image = json!({
            "component": labels.component, "name": labels.name, "version": labels.version,
            "release": release_of(job, nvr), "nvr": nvr.map(ToString::to_string),
            "mode": build.mode.to_string()
        });
        contexts.insert("image".to_owned(), image);
    }
    contexts
}

/// What is known before anything outside is asked. A job of an older version's run has none, and no
/// expression either.
pub(super) fn known(job: &UnpinnedJob) -> BTreeMap<String, Json> {
    let Some(known) = &job.facts else { return BTreeMap::new() };
    let matrix = job.draft.matrix.as_ref().map(|place| place.values.clone()).unwrap_or_default();
    let key = Some(job.draft.key.as_str());
    let mut known = known.clone();
    if let Some(within) = &job.draft.within {
        known = known.with_inputs(within.inputs.clone());
    }
    let mut contexts = known.values(&job.workflow, key, Some(&matrix), &job.draft.strategy());
    contexts.insert("needs".to_owned(), job.needs.clone().unwrap_or_else(|| json!({})));
    contexts
}

/// A workflow or a repository may ask for less time than the release grants, never for more.
fn limits(granted: &Limits, job: &UnpinnedJob, facts: &Facts) -> Limits {
    let of_repository = facts.build.as_ref().and_then(|build| build.gated.time_limit_seconds);
    let asked = job.draft.timeout_seconds.into_iter().chain(of_repository);
    let timeout_seconds = asked.fold(granted.timeout_seconds, u64::min);
    Limits { timeout_seconds, ..granted.clone() }
}

fn action(
    draft: &DraftAction,
    job: &UnpinnedJob,
    release: &ReleasePolicy,
    source: &Source,
    facts: &Facts,
    nvr: Option<&Nvr>,
    now: DateTime<Utc>,
) -> StepAction {
    match (draft, &facts.build) {
        (DraftAction::LayeredBuild { dockerfile, context, .. }, Some(build)) => {
            StepAction::LayeredBuild(Box::new(BuildSpec {
                dockerfile: dockerfile.clone(),
                context: context.clone(),
                pins: build.pins.clone(),
                source_registry: release.source_registry().to_owned(),
                sources: release.lookaside.clone(),
                artifacts: release.artifacts.clone(),
                add_url: release.policy.add_url,
                names: Some(names(&build.gated.labels)),
                parent_images: build.parent_images.clone(),
                build_args: build.build_args.clone(),
                labels: labels_of(job, release, &source.clone_url, build, nvr),
                stage_env: stage_env(job, build, nvr),
                repository_files: repositories::files(&release.repositories, &job.repository),
                notes: build.gated.notes.clone(),
                autorebuild: build.gated.autorebuild,
                rebuild: rebuild_facts(job, release, &build.gated),
                mode: build.mode,
                nvr: nvr.cloned(),
                target: target(release, &build.gated.labels.name),
                tags: tags(release, build, nvr, now),
                push: job.draft.may_push(job.trust),
                source_date_epoch: build.commit_time,
                cache: cache::decide(&release.cache, job.trust, build.mode, source),
                compression: release.compression,
            }))
        }
        // A layered build without facts cannot be: the pinner gathers them for each.
        (other, _) => other.plain().unwrap_or(StepAction::Checkout),
    }
}

/// By which the image that is built must call itself.
fn names(labels: &LayeredLabels) -> ImageNames {
    ImageNames {
        component: labels.component.clone(),
        name: labels.name.clone(),
        version: labels.version.clone(),
    }
}

/// What the next rebuild of the branch has to know.
fn rebuild_facts(job: &UnpinnedJob, release: &ReleasePolicy, gated: &Gated) -> RebuildFacts {
    RebuildFacts {
        skip_unchanged: job.is_rebuild && release.rebuild.skip_unchanged,
        unchanged_by: release.rebuild.unchanged_by,
        fixed_release: gated.release.clone().filter(|_| !gated.rebuild.add_timestamp),
        from_latest: gated.rebuild.from_latest,
    }
}

/// Where the image goes. A `name` label that begins with the namespace does not double it.
pub(super) fn target(release: &ReleasePolicy, image_name: &str) -> Reference {
    let namespace = release.namespace.trim_matches('/');
    let repository = match image_name.strip_prefix(namespace) {
        Some(rest) if rest.starts_with('/') => image_name.to_owned(),
        _ if namespace.is_empty() => image_name.to_owned(),
        _ => format!("{namespace}/{image_name}"),
    };
    Reference { registry: release.registry.clone(), repository, tag: None, digest: None }
}

fn tags(
    release: &ReleasePolicy,
    build: &BuildFacts,
    nvr: Option<&Nvr>,
    now: DateTime<Utc>,
) -> TagPlan {
    TagPlan {
        unique: unique_tag(&release.name, now),
        primary: nvr.and_then(primary_tag),
        floating: build.gated.floating.clone(),
    }
}

/// The tag that never moves.
pub(super) fn primary_tag(nvr: &Nvr) -> Option<Tag> {
    Tag::parse(&format!("{}-{}", nvr.version, nvr.release)).ok()
}

/// `<release>-<five random digits>-<time>`, as the first layered-image service wrote it. A
/// release name that cannot be part of a tag is left out.
fn unique_tag(release: &str, now: DateTime<Utc>) -> Tag {
    let digits = uuid::Uuid::new_v4().as_u128() % 100_000;
    let rest = format!("{digits:05}-{}", now.format("%Y%m%d%H%M%S"));
    Tag::parse(&format!("{release}-{rest}"))
        .or_else(|_| Tag::parse(&rest))
        .unwrap_or_else(|_| unreachable!("digits and dashes are a tag"))
}

/// Labels over those of the Dockerfile.
fn labels_of(
    job: &UnpinnedJob,
    release: &ReleasePolicy,
    clone_url: &str,
    build: &BuildFacts,
    nvr: Option<&Nvr>,
) -> BTreeMap<String, String> {
    let gated = &build.gated;
    let date = DateTime::from_timestamp(build.commit_time, 0).unwrap_or_default();
    let facts = LabelFacts {
        component: &gated.labels.component,
        name: &gated.labels.name,
        version: &gated.labels.version,
        release: &release_of(job, nvr),
        commit: &job.commit.to_string(),
        url: clone_url,
        date: &date.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        mode: build.mode,
        parent: build.parent.as_ref(),
    };
    labels::injected(&facts, &gated.own_labels, &gated.inherited_labels, &release.labels)
}

/// The release in the variable that the repository names for it.
fn stage_env(job: &UnpinnedJob, build: &BuildFacts, nvr: Option<&Nvr>) -> BTreeMap<String, String> {
    build.gated.release_env.iter().map(|name| (name.clone(), release_of(job, nvr))).collect()
}

/// The release; of a build that keeps none, a word that is lower than each that is kept and the
/// same whenever the commit is built.
fn release_of(job: &UnpinnedJob, nvr: Option<&Nvr>) -> String {
    let scratch = || format!("0.scratch.{:.12}", job.commit.to_string());
    nvr.map_or_else(scratch, |nvr| nvr.release.clone())
}
