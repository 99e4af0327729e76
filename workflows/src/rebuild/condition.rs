//! Where each image stands, in one word.

use std::collections::{BTreeSet, HashMap};

use super::admit::Activity;
use super::graph::Graph;
use super::image::ImageId;
use super::plan::{Hindrance, Plan};
use super::policy::Policy;
use crate::image::{BuildMode, Reference};

crate::state::words! {
    /// Where an image stands.
    Condition {
        /// Built on what its parents are now.
        Current = "current",
        /// Planned, and waits for its parents or a budget.
        Waiting = "waiting",
        /// Under way.
        Building = "building",
        /// Its last rebuild failed.
        Failed = "failed",
        /// Stale, and something else stands in the way.
        Blocked = "blocked",
        /// A registry did not say what one of its parents is now.
        Unknown = "unknown",
        /// A scratch or isolated build, which has no part in rebuilds.
        Apart = "apart",
    }
}

impl Condition {
    /// In the order of the legend.
    pub(super) const ALL: [Self; 7] = [
        Self::Current,
        Self::Waiting,
        Self::Building,
        Self::Failed,
        Self::Blocked,
        Self::Unknown,
        Self::Apart,
    ];

    /// Fill and edge; dark text on each of these fills has a contrast of at least 7 to 1.
    pub(super) fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Current => ("#d9f2dc", "#2e7d32"),
            Self::Waiting => ("#fff3c4", "#b7791f"),
            Self::Building => ("#d3e7fb", "#1565c0"),
            Self::Failed => ("#fbd7d5", "#c62828"),
            Self::Blocked => ("#ecd9f5", "#7b1fa2"),
            Self::Unknown => ("#ffe2cc", "#c75000"),
            Self::Apart => ("#ececec", "#757575"),
        }
    }
}

/// Where each image stands.
#[must_use]
pub fn conditions(
    graph: &Graph,
    plan: &Plan,
    activity: &Activity,
    policy: &Policy,
) -> HashMap<ImageId, Condition> {
    let unseen: BTreeSet<&Reference> = plan.unseen.iter().map(|u| &u.reference).collect();
    let blocked: HashMap<&ImageId, &Hindrance> =
        plan.blocked.iter().map(|b| (&b.image, &b.hindrance)).collect();
    let condition = |place: usize| {
        let image = &graph.images()[place];
        if image.mode != BuildMode::Release {
            return Condition::Apart;
        }
        if activity.building.contains(&image.id) {
            return Condition::Building;
        }
        if plan.planned(&image.id).is_some() {
            return Condition::Waiting;
        }
        match blocked.get(&image.id) {
            Some(Hindrance::BackingOff { attempts: 0, .. }) => Condition::Blocked,
            Some(Hindrance::BackingOff { .. } | Hindrance::GaveUp { .. }) => Condition::Failed,
            Some(_) => Condition::Blocked,
            None if graph.followed(policy, place).any(|f| unseen.contains(f.reference)) => {
                Condition::Unknown
            }
            None => Condition::Current,
        }
    };
    (0..graph.images().len()).map(|p| (graph.images()[p].id.clone(), condition(p))).collect()
}
