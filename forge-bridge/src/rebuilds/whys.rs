//! Why an image that is behind is not built yet, and why of another nothing can be said.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use workflows::image::Reference;
use workflows::rebuild::{self, Condition, Hindrance, ImageId, Plan, UnseenReason, Wait};

use super::world::{Known, World};

/// Most parents of one image that are told of; who mends these sees the next.
const MAX_UNSEEN: usize = 3;

/// What is said of the images under one plan.
pub(super) struct Whys<'a> {
    known: &'a Known,
    planned: HashMap<&'a ImageId, Why<'a>>,
    unseen: HashMap<&'a Reference, Vec<&'a UnseenReason>>,
    /// What would stand in the way by the last answers of registries that are silent now.
    hindered: HashMap<ImageId, Hindrance>,
}

/// Why a stale image is not built yet.
enum Why<'a> {
    Starts,
    Waits(Wait),
    Blocked(&'a Hindrance),
}

impl World {
    /// What each image waits for, what stands in its way, or why nothing can be said of it.
    pub(super) fn whys<'a>(&'a self, plan: &'a Plan, now: DateTime<Utc>) -> Whys<'a> {
        let known = &*self.known;
        let Known { graph, policy, .. } = known;
        let admission = rebuild::admit(graph, plan, &self.activity, policy, now);
        let mut waits: HashMap<ImageId, Wait> =
            admission.waiting.into_iter().map(|one| (one.image, one.wait)).collect();
        let planned = plan.waves.iter().flatten().map(|planned| {
            let wait = waits.remove(&planned.image);
            (&planned.image, wait.map_or(Why::Starts, Why::Waits))
        });
        let blocked = plan.blocked.iter().map(|one| (&one.image, Why::Blocked(&one.hindrance)));
        let mut unseen: HashMap<&Reference, Vec<&UnseenReason>> = HashMap::new();
        for one in &plan.unseen {
            unseen.entry(&one.reference).or_default().push(&one.reason);
        }
        let by_last = known.last_said().map(|said| rebuild::plan(graph, &said, policy, now));
        let hindered = by_last.into_iter().flat_map(|plan| plan.blocked);
        let hindered = hindered.map(|one| (one.image, one.hindrance)).collect();
        Whys { known, planned: blocked.chain(planned).collect(), unseen, hindered }
    }
}

impl Whys<'_> {
    /// In words; empty when there is nothing to say.
    pub(super) fn of(&self, image: &ImageId, condition: Condition) -> String {
        match self.planned.get(image) {
            Some(why) => why.to_string(),
            None if condition == Condition::Unknown => self.unknown(image),
            None => String::new(),
        }
    }

    /// What would be said if the silent registries had answered as before, and which they are.
    fn unknown(&self, image: &ImageId) -> String {
        let mut told: Vec<String> =
            self.hindered.get(image).map(ToString::to_string).into_iter().collect();
        let parents = self.known.graph.parents_of(&self.known.policy, image);
        let mut unseen = Vec::new();
        for (parent, reference, _) in parents {
            let reasons = self.unseen.get(reference).into_iter().flatten();
            // One reference may have many children, and some of them a digest to compare with.
            let mut own =
                reasons.filter(|reason| ***reason != UnseenReason::NoPin || parent.pin.is_none());
            unseen.extend(own.next().map(|reason| format!("{reference} {reason}")));
        }
        unseen.sort();
        unseen.dedup();
        let more = unseen.len().saturating_sub(MAX_UNSEEN);
        unseen.truncate(MAX_UNSEEN);
        told.append(&mut unseen);
        told.extend((more > 0).then(|| format!("and {more} more parents")));
        told.join("; ")
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starts => f.write_str("starts"),
            Self::Waits(wait) => wait.fmt(f),
            Self::Blocked(hindrance) => hindrance.fmt(f),
        }
    }
}
