//! From what is stale to rebuilds under way.
//!
//! A turn writes down how rebuilds ended, reads the whole graph, and begins what the budgets let
//! begin. It remembers nothing: the next turn, of this process or of one after a kill, sees the
//! same and does what is left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use workflows::image::Reference;
use workflows::names::CommitId;
use workflows::rebuild::{self, Admission, Hindrance, ImageId, Moved, Plan, Tried, Wait};

use super::world::{Standing, World, Worlds};
use crate::level::Turn;
use crate::sources::Sources;
use crate::store::rebuilds::NewRebuild;
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

/// Longest cause of a run, in characters; a chain through a deep distribution has a tenth of it.
const MAX_CAUSE_CHARS: usize = 2_000;
/// When the plan is made again while a wave has nothing to do and cannot end yet.
const WAVE_PAUSE: TimeDelta = TimeDelta::seconds(5);
/// When the plan is made again while an hourly budget is spent, or a forge does not answer.
const BUDGET_PAUSE: TimeDelta = TimeDelta::minutes(1);

pub(crate) struct Planner {
    pub(crate) worlds: Worlds,
    pub(crate) store: Store,
    pub(crate) sources: Arc<Sources>,
    pub(crate) wakes: Wakes,
}

impl Planner {
    /// Settles what is over and begins what may.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let now = Utc::now();
        let settled = self.store.settle_rebuilds(now).await?;
        let Some(generation) = self.store.plan_due(now).await? else {
            return Ok(if settled > 0 { Turn::Busy } else { Turn::Idle });
        };
        let world = self.worlds.now(now).await?;
        for problem in &world.known.problems {
            tracing::warn!("rebuilds: {problem}");
        }
        self.follow(&world).await?;
        let plan = world.plan(now);
        let admission =
            rebuild::admit(&world.known.graph, &plan, &world.activity, &world.known.policy, now);
        let mut again_at = clock(&plan, &admission, now);
        for image in &admission.start {
            if !self.begin(&world, &plan, image, now).await? {
                again_at = Some(again_at.unwrap_or(now + BUDGET_PAUSE).min(now + BUDGET_PAUSE));
            }
        }
        if plan.is_empty() && world.wave.is_some() {
            match self.store.end_wave(generation, now).await? {
                true => tracing::info!("rebuilds: the wave is over"),
                // An answer of a registry is awaited.
                false => again_at = Some(now + WAVE_PAUSE),
            }
        }
        self.store.planned(generation, again_at, world.staleness(), now).await?;
        Ok(Turn::Busy)
    }

    /// Makes the watched references those that the graph follows.
    async fn follow(&self, world: &World) -> Result<(), StoreError> {
        let known: HashMap<&Reference, &[String]> = world
            .known
            .watched
            .iter()
            .map(|one| (&one.reference, one.releases.as_slice()))
            .collect();
        let watchers = world.known.graph.watchers(&world.known.policy);
        let mut wanted = Vec::new();
        for (reference, releases) in &watchers {
            let releases: Vec<String> = releases.iter().map(|&name| name.to_owned()).collect();
            if known.get(reference).is_none_or(|known| *known != releases) {
                wanted.push(((*reference).clone(), releases));
            }
        }
        let is_gone = |reference: &&&Reference| !watchers.contains_key(**reference);
        let gone: Vec<Reference> = known.keys().filter(is_gone).map(|&r| r.clone()).collect();
        if wanted.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.store.watch(&wanted, &gone).await?;
        self.wakes.watch.notify_one();
        Ok(())
    }

    /// Begins one rebuild; false when it has to be tried again later.
    async fn begin(
        &self,
        world: &World,
        plan: &Plan,
        image: &ImageId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Some(standing) = world.known.branches.get(image) else { return Ok(true) };
        let Some(commit) = self.commit(world, image, standing).await? else { return Ok(false) };
        let moved = plan.planned(image).map(|planned| planned.moved.as_slice()).unwrap_or_default();
        let new = NewRebuild {
            branch: standing.branch.clone(),
            commit,
            workflows: standing.workflows.clone(),
            tried: moved.iter().filter_map(tried).collect(),
            because: because(world, image, moved),
        };
        if !self.store.begin_rebuild(&new, now).await? {
            return Ok(false);
        }
        tracing::info!(image = %image, "rebuild of {image}: {}", new.because);
        self.wakes.intake.notify_one();
        Ok(true)
    }

    /// The commit to build; `None` when it cannot be told now, or the branch is gone.
    async fn commit(
        &self,
        world: &World,
        image: &ImageId,
        standing: &Standing,
    ) -> Result<Option<CommitId>, StoreError> {
        let release = world.known.graph.image(image).map(|image| image.release.as_str());
        let rules = release.and_then(|release| world.known.policy.releases.get(release));
        if !rules.is_some_and(|rules| standing.builds_head(rules.commit)) {
            return Ok(Some(standing.commit.clone()));
        }
        let branch = &standing.branch;
        let head = self.sources.head_of(&branch.forge, &branch.repository, &branch.ref_name).await;
        match head {
            Ok(Some(head)) => Ok(Some(head)),
            Ok(None) => {
                tracing::info!(image = %image, "{image} is gone: its branch does not exist any more");
                self.store.forget_branch(branch).await?;
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(image = %image, %error, "rebuild of {image} waits: {error}");
                Ok(None)
            }
        }
    }
}

/// The first moment at which the same graph makes another plan.
fn clock(plan: &Plan, admission: &Admission, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let pauses = plan.blocked.iter().filter_map(|blocked| match &blocked.hindrance {
        Hindrance::BackingOff { until, .. } => Some(*until),
        _ => None,
    });
    let waits = admission.waiting.iter().filter_map(|waiting| match &waiting.wait {
        Wait::Frozen { until, .. } => Some(*until),
        // What is under way may end as an event that made no run, of which nobody tells.
        Wait::Release(..) | Wait::Registry(..) | Wait::Building => Some(now + BUDGET_PAUSE),
        Wait::Parents(_) => None,
    });
    pauses.chain(waits).min()
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
    let cause_of = |source: &ImageId| {
        let branch = &world.known.branches.get(source)?.branch;
        let wave = world.wave.as_ref()?.id;
        let rebuilds = world.rebuilds.iter().rev();
        let begun = rebuilds.filter(|one| one.wave == wave).find(|one| one.branch == *branch)?;
        Some(format!(" (chain: {source} ← {})", begun.because))
    };
    let tell = |moved: &Moved| {
        let chain = sources.get(&moved.reference).and_then(|source| cause_of(source));
        format!("parent {moved}{}", chain.unwrap_or_default())
    };
    let all: Vec<String> = moved.iter().map(tell).collect();
    all.join("; ").chars().take(MAX_CAUSE_CHARS).collect()
}
