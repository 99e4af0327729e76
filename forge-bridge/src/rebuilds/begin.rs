//! One rebuild begins: which commit it builds, and why.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use workflows::event::{JobRef, WorkflowRef};
use workflows::image::{Digest, Reference};
use workflows::names::CommitId;
use workflows::rebuild::{self, ImageId, Moved, Parent, Plan, Tried};

use super::planner::Planner;
use super::world::{Known, Standing, World};
use crate::store::StoreError;
use crate::store::rebuilds::{MISSING, NewRebuild};

/// Longest cause of a run, in characters; a chain through a deep distribution has a tenth of it.
const MAX_CAUSE_CHARS: usize = 2_000;

impl Planner {
    /// Begins one rebuild; false when it has to be tried again later.
    pub(super) async fn begin(
        &self,
        world: &World,
        plan: &Plan,
        image: &ImageId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Some(standing) = world.known.branches.get(image) else { return Ok(true) };
        let moved = plan.planned(image).map(|planned| planned.moved.as_slice()).unwrap_or_default();
        let tried: Vec<Tried> = moved.iter().filter_map(tried).collect();
        let Some(head) = self.head(image, standing, &tried, now).await? else {
            return Ok(false);
        };
        if self.adopt(world, image, standing, &head, moved).await? {
            return Ok(false);
        }
        let release = world.known.graph.image(image).map(|image| image.release.as_str());
        let rules = release.and_then(|name| world.known.policy.releases.get(name));
        let builds_head = rules.is_some_and(|rules| standing.builds_head(rules.commit));
        let commit = if builds_head { head } else { standing.commit.clone() };
        let (workflows, current) = parts(world, image, standing, moved);
        let new = NewRebuild {
            branch: standing.branch.clone(),
            commit,
            workflows,
            current,
            tried,
            because: because(world, image, moved),
        };
        if !self.store.begin_rebuild(&new, now).await? {
            return Ok(false);
        }
        tracing::info!(image = %image, "rebuild of {image}: {}", new.because);
        self.wakes.intake.notify_one();
        Ok(true)
    }

    /// The head of the branch; `None` when it cannot be told now, or the branch is gone. The forge is
    /// asked whichever commit is built: of a branch that nobody has told us is gone, nothing is.
    async fn head(
        &self,
        image: &ImageId,
        standing: &Standing,
        tried: &[Tried],
        now: DateTime<Utc>,
    ) -> Result<Option<CommitId>, StoreError> {
        let branch = &standing.branch;
        let head = self.sources.head_of(&branch.forge, &branch.repository, &branch.ref_name).await;
        match head {
            Ok(Some(head)) => {
                self.worlds.put_off().forget(image);
                Ok(Some(head))
            }
            Ok(None) => {
                match self.store.branch_missing(branch, tried, now).await? {
                    true => {
                        tracing::info!(image = %image, "{image} is gone: it has no branch any more")
                    }
                    false => tracing::warn!(image = %image, "rebuild of {image} waits: {MISSING}"),
                }
                Ok(None)
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(image = %image, %error, "rebuild of {image} waits: {error}");
                self.worlds.put_off().again(image, now);
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(image = %image, %error, "rebuild of {image} fails: {error}");
                self.store.fail_rebuild(branch, tried, &error.to_string(), now).await?;
                Ok(None)
            }
        }
    }
}

/// The workflows that build what is stale, and the jobs of the branch that are not.
fn parts(
    world: &World,
    image: &ImageId,
    standing: &Standing,
    moved: &[Moved],
) -> (Vec<WorkflowRef>, Vec<JobRef>) {
    let Known { graph, policy, .. } = &*world.known;
    let is_stale = |(_, parents): &&(JobRef, Vec<Parent>)| {
        rebuild::concerns(graph, policy, image, parents, moved)
    };
    let (stale, current): (Vec<_>, Vec<_>) = standing.jobs.iter().partition(is_stale);
    let mut workflows: Vec<WorkflowRef> = Vec::new();
    for (job, _) in stale {
        if !workflows.contains(&job.workflow) {
            workflows.push(job.workflow.clone());
        }
    }
    (workflows, current.into_iter().map(|(job, _)| job.clone()).collect())
}

fn tried(moved: &Moved) -> Option<Tried> {
    Some(Tried { reference: moved.reference.clone(), digest: moved.to.clone()? })
}

/// Which parents moved, and behind each that is ours, why that one was built.
fn because(world: &World, image: &ImageId, moved: &[Moved]) -> String {
    let sources: BTreeMap<&Reference, &ImageId> = world
        .known
        .graph
        .parents_of(&world.known.policy, image)
        .filter_map(|(_, reference, source)| Some((reference, source?)))
        .collect();
    // A push may have built the parent since: then its chain is not the reason.
    let cause_of = |source: &ImageId, to: Option<&Digest>| {
        let branch = &world.known.branches.get(source)?.branch;
        let wave = world.wave.as_ref()?.id;
        let rebuilds = world.rebuilds.iter().rev();
        let mut of_wave = rebuilds.filter(|one| one.wave == wave && one.branch == *branch);
        let begun = of_wave.find(|one| to.is_some_and(|to| one.made.contains(to)))?;
        Some(format!(" (chain: {source} ← {})", begun.because))
    };
    let tell = |moved: &Moved| {
        let chain = sources.get(&moved.reference);
        let chain = chain.and_then(|source| cause_of(source, moved.to.as_ref()));
        format!("parent {moved}{}", chain.unwrap_or_default())
    };
    let mut all: Vec<String> = moved.iter().map(tell).collect();
    // Two jobs of a branch may stand on one parent by different digests; the reader needs one.
    all.dedup();
    all.join("; ").chars().take(MAX_CAUSE_CHARS).collect()
}
