//! How much is behind, in numbers that do not look better while a registry is away.

use chrono::{DateTime, Utc};
use workflows::rebuild::{self, Condition, Observation, Observed, Plan};

use super::world::{Known, World};
use crate::store::watched::Answer;

/// What the metrics say of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Staleness {
    /// Images that stand on what moved, by the last answer of each registry.
    pub(crate) images: usize,
    /// When the first of them was behind.
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) failed: usize,
    pub(crate) blocked: usize,
    pub(crate) unknown: usize,
    /// References that their registries did not answer for.
    pub(crate) unanswered: usize,
}

impl Known {
    /// What the registries said last, where some of them do not answer now; `None` when all do. No
    /// rebuild begins by it: it is what people are told meanwhile.
    pub(super) fn last_said(&self) -> Option<Observed> {
        let is_silent = |answer: &Answer| matches!(answer, Answer::Failed(_));
        let mut silent = self.watched.iter().filter(|one| is_silent(&one.answer)).peekable();
        silent.peek()?;
        let mut observed = self.observed.clone();
        for one in silent {
            if let Some((target, _)) = &one.known {
                observed.insert(one.reference.clone(), Observation::Found(target.clone()));
            }
        }
        Some(observed)
    }
}

impl World {
    /// How many images are behind, since when, and how many of them no rebuild helps as it stands.
    pub(crate) fn staleness(&self, plan: &Plan) -> Staleness {
        let Known { graph, policy, observed, watched, .. } = &*self.known;
        let seen = self.seen();
        let last_said = self.known.last_said();
        let stale = rebuild::stale(graph, last_said.as_ref().unwrap_or(observed), policy);
        let since = |one: &rebuild::Stale| self.behind_since(&one.image, &seen);
        let conditions = self.conditions(plan);
        let count = |wanted| conditions.values().filter(|&&condition| condition == wanted).count();
        let is_silent = |answer: &Answer| matches!(answer, Answer::Failed(_));
        Staleness {
            images: stale.len(),
            since: stale.iter().filter_map(since).min(),
            failed: count(Condition::Failed),
            blocked: count(Condition::Blocked),
            unknown: count(Condition::Unknown),
            unanswered: watched.iter().filter(|one| is_silent(&one.answer)).count(),
        }
    }
}
