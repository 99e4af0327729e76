//! The world as people see it.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use workflows::image::Reference;
use workflows::rebuild::{self, Graph, Hindrance, Image, ImageId, Plan, Wait};

use super::world::{Known, World};
use crate::store::watched::{Answer, Watched};
use crate::views::{
    MAX_SHOWN_IMAGES, MAX_SHOWN_PLAN, ParentView, PlanView, Planning, Stale, StaleImage, WaveView,
};

/// What the metrics say of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Staleness {
    pub(crate) images: usize,
    pub(crate) since: Option<DateTime<Utc>>,
}

impl World {
    /// The plan of the moment.
    pub(crate) fn show_plan(&self, now: DateTime<Utc>) -> PlanView {
        let plan = self.plan(now);
        let Known { graph, policy, .. } = &*self.known;
        let planning = Planning { graph, policy, activity: &self.activity, plan: &plan, at: now };
        PlanView::new(planning, self.known.problems(), MAX_SHOWN_PLAN, false)
    }

    /// Every image of a release, or of all, with its parents. Of those that are not shown, only
    /// what decides about the order is worked out.
    pub(crate) fn show_stale(&self, release: Option<&str>, now: DateTime<Utc>) -> Stale {
        let plan = self.plan(now);
        let conditions = self.conditions(&plan);
        let seen = self.seen();
        let images = self.known.graph.images().iter();
        let wanted = images.filter(|image| release.is_none_or(|wanted| image.release == wanted));
        let mut all: Vec<_> =
            wanted.map(|image| (self.behind_since(&image.id, &seen), image)).collect();
        all.sort_by_key(|(since, _)| (since.is_none(), *since));
        let more = all.len().saturating_sub(MAX_SHOWN_IMAGES);
        all.truncate(MAX_SHOWN_IMAGES);
        let mut whys = self.whys(&plan, now);
        let view = |(behind_since, image): (_, &Image)| {
            Some(StaleImage {
                image: image.id.clone(),
                release: image.release.clone(),
                condition: *conditions.get(&image.id)?,
                behind_since,
                built_at: self.known.branches.get(&image.id)?.built_at,
                parents: self.parents(&image.id, &seen),
                why: whys.remove(&image.id).map(|why| why.to_string()).unwrap_or_default(),
            })
        };
        Stale {
            at: now,
            wave: self.show_wave(),
            checked_at: self.known.watched.iter().filter_map(|one| one.asked_at).max(),
            images: all.into_iter().filter_map(view).collect(),
            more,
            problems: self.known.problems(),
        }
    }

    /// What each image that is stale waits for, or what stands in its way.
    fn whys<'a>(&self, plan: &'a Plan, now: DateTime<Utc>) -> HashMap<&'a ImageId, Why<'a>> {
        let Known { graph, policy, .. } = &*self.known;
        let admission = rebuild::admit(graph, plan, &self.activity, policy, now);
        let mut waits: HashMap<ImageId, Wait> =
            admission.waiting.into_iter().map(|one| (one.image, one.wait)).collect();
        let planned = plan.waves.iter().flatten().map(|planned| {
            let wait = waits.remove(&planned.image);
            (&planned.image, wait.map_or(Why::Starts, Why::Waits))
        });
        let blocked = plan.blocked.iter().map(|one| (&one.image, Why::Blocked(&one.hindrance)));
        blocked.chain(planned).collect()
    }

    /// How many images are behind, and since when.
    pub(crate) fn staleness(&self) -> Staleness {
        let seen = self.seen();
        let stale = rebuild::stale(&self.known.graph, &self.known.observed, &self.known.policy);
        let since = |one: &rebuild::Stale| self.behind_since(&one.image, &seen);
        Staleness { images: stale.len(), since: stale.iter().filter_map(since).min() }
    }

    /// A picture of the images of a release; `None` when there are none.
    pub(crate) fn picture(&self, release: &str, now: DateTime<Utc>) -> Option<String> {
        let states = self.conditions(&self.plan(now));
        let of_release = |image: &&Image| image.release == release;
        let images: Vec<Image> =
            self.known.graph.images().iter().filter(of_release).cloned().collect();
        if images.is_empty() {
            return None;
        }
        // A part of a graph breaks no bound that the whole keeps.
        let graph = Graph::new(images).ok()?;
        Some(rebuild::svg(&graph, &states))
    }

    fn show_wave(&self) -> Option<WaveView> {
        let wave = self.wave.as_ref()?;
        let members = || self.rebuilds.iter().filter(|one| one.wave == wave.id);
        Some(WaveView {
            id: wave.id,
            started_at: wave.started_at,
            begun: members().count(),
            under_way: members().filter(|one| one.is_open).count(),
        })
    }

    fn seen(&self) -> HashMap<&Reference, &Watched> {
        self.known.watched.iter().map(|one| (&one.reference, one)).collect()
    }

    /// Since when a parent is not what was built on. As in a plan, a reference that names nothing any
    /// more has not moved.
    fn behind_since(
        &self,
        image: &ImageId,
        seen: &HashMap<&Reference, &Watched>,
    ) -> Option<DateTime<Utc>> {
        let since = |(parent, reference, _): (&rebuild::Parent, &Reference, _)| {
            let watched = seen.get(reference).filter(|one| one.answer != Answer::Missing)?;
            let ((now, since), pin) = (watched.known.as_ref()?, parent.pin.as_ref()?);
            (pin.digest() != now.digest()).then_some(*since)
        };
        self.known.graph.parents_of(&self.known.policy, image).filter_map(since).min()
    }

    fn parents(&self, image: &ImageId, seen: &HashMap<&Reference, &Watched>) -> Vec<ParentView> {
        let view = |(parent, reference, _): (&rebuild::Parent, &Reference, _)| {
            let watched = seen.get(reference);
            let known = watched.and_then(|one| one.known.as_ref());
            ParentView {
                reference: reference.clone(),
                pin: parent.pin.as_ref().map(|pin| pin.digest().clone()),
                now: known.map(|(target, _)| target.digest().clone()),
                since: known.map(|(_, since)| *since),
                checked_at: watched.and_then(|one| one.asked_at),
            }
        };
        self.known.graph.parents_of(&self.known.policy, image).map(view).collect()
    }
}

/// Why a stale image is not built yet.
enum Why<'a> {
    Starts,
    Waits(Wait),
    Blocked(&'a Hindrance),
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
