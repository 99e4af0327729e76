//! From what is stale to rebuilds under way.
//!
//! A turn writes down how rebuilds ended, reads the whole graph, and begins what the budgets let
//! begin. It remembers nothing: the next turn, of this process or of one after a kill, sees the
//! same and does what is left.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use workflows::image::Reference;
use workflows::rebuild::{self, Admission, Hindrance, Plan, Started, Wait};

use super::problems::Logged;
use super::world::{Known, World, Worlds};
use crate::level::Turn;
use crate::registry::Registries;
use crate::sources::Sources;
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

/// How often one turn looks for others in the place of what could not begin; the next turn goes on.
const MAX_ROUNDS: usize = 8;
/// When the plan is made again while a wave has nothing to do and cannot end yet.
const WAVE_PAUSE: TimeDelta = TimeDelta::seconds(5);
/// When the plan is made again while an hourly budget is spent, or a forge does not answer.
const BUDGET_PAUSE: TimeDelta = TimeDelta::minutes(1);

pub(crate) struct Planner {
    pub(crate) worlds: Worlds,
    pub(crate) store: Store,
    pub(crate) sources: Arc<Sources>,
    pub(crate) registries: Arc<Registries>,
    pub(crate) wakes: Wakes,
    /// What is wrong with the configuration and told in the log.
    pub(crate) logged: Logged,
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
        self.follow(&world).await?;
        let look = move |world: &World| {
            let plan = world.plan(now);
            let staleness = world.staleness(&plan);
            // Worked out here, where it keeps nobody waiting.
            world.known.problems();
            (plan, staleness)
        };
        let (plan, staleness) = Arc::clone(&world).apart(look).await?;
        for problem in self.logged.news(world.known.problems()) {
            tracing::warn!("rebuilds: {problem}");
        }
        let mut again_at = self.begin_all(&world, &plan, now).await?;
        if plan.is_empty() && world.wave.is_some() {
            match self.store.end_wave(generation, now).await? {
                true => tracing::info!("rebuilds: the wave is over"),
                // An answer of a registry is awaited.
                false => again_at = Some(now + WAVE_PAUSE),
            }
        }
        self.store.planned(generation, again_at, staleness, now).await?;
        Ok(Turn::Busy)
    }

    /// Begins what the budgets admit; the answer is when to plan again. What cannot begin now takes
    /// nothing from a budget: the next one in the plan begins in its place.
    async fn begin_all(
        &self,
        world: &World,
        plan: &Plan,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let Known { graph, policy, .. } = &*world.known;
        let mut activity = world.activity.clone();
        for _ in 0..MAX_ROUNDS {
            let admission = rebuild::admit(graph, plan, &activity, policy, now);
            let mut all_began = true;
            for image in admission.start {
                let began = self.begin(world, plan, &image, now).await?;
                activity.building.insert(image.clone());
                if began {
                    activity.rebuilds.push(Started { image, at: now, under_way: true });
                }
                all_began &= began;
            }
            activity.silent = self.worlds.put_off().images(now);
            if all_began {
                break;
            }
        }
        let admission = rebuild::admit(graph, plan, &activity, policy, now);
        Ok(clock(plan, &admission, now))
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
}

/// The first moment at which the same graph makes another plan.
fn clock(plan: &Plan, admission: &Admission, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let pauses = plan.blocked.iter().filter_map(|blocked| match &blocked.hindrance {
        Hindrance::BackingOff { until, .. } => Some(*until),
        _ => None,
    });
    let waits = admission.waiting.iter().filter_map(|waiting| match &waiting.wait {
        Wait::Frozen { until, .. } => Some(*until),
        Wait::Forge(until) => Some((*until).max(now + BUDGET_PAUSE)),
        // What is under way may end as an event that made no run, of which nobody tells.
        Wait::Release(..) | Wait::Registry(..) | Wait::Building | Wait::ParentsBuilding(_) => {
            Some(now + BUDGET_PAUSE)
        }
        Wait::Parents(_) => None,
    });
    pauses.chain(waits).min()
}
