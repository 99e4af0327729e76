//! The world as people see it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use workflows::image::Reference;
use workflows::rebuild::{self, Graph, Image, ImageId, Plan};

use super::world::{Known, World};
use crate::store::watched::Watched;
use crate::views::{MAX_SHOWN_IMAGES, ParentView, PlanView, Planning, Stale, StaleImage, WaveView};

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
        let mut view = PlanView::new(self.planning(&plan, now), false);
        view.problems.extend(self.known.problems.iter().cloned());
        view
    }

    fn planning<'a>(&'a self, plan: &'a Plan, at: DateTime<Utc>) -> Planning<'a> {
        let Known { graph, policy, .. } = &*self.known;
        Planning { graph, policy, activity: &self.activity, plan, at }
    }

    /// Every image of a release, or of all, with its parents.
    pub(crate) fn show_stale(&self, release: Option<&str>, now: DateTime<Utc>) -> Stale {
        let plan = self.plan(now);
        let conditions = self.conditions(&plan);
        let view = PlanView::new(self.planning(&plan, now), false);
        let mut whys: HashMap<&ImageId, String> = HashMap::new();
        for blocked in &view.blocked {
            whys.insert(&blocked.image, blocked.reason.clone());
        }
        for planned in view.waves.iter().flatten() {
            whys.insert(&planned.image, planned.waits.clone().unwrap_or_else(|| "starts".into()));
        }
        let seen = self.seen();
        let wanted = |image: &&Image| release.is_none_or(|release| image.release == release);
        let mut images: Vec<StaleImage> = self
            .known
            .graph
            .images()
            .iter()
            .filter(wanted)
            .filter_map(|image| {
                let parents = self.parents(&image.id, &seen);
                Some(StaleImage {
                    image: image.id.clone(),
                    release: image.release.clone(),
                    condition: *conditions.get(&image.id)?,
                    behind_since: behind_since(&parents),
                    built_at: self.known.branches.get(&image.id)?.built_at,
                    parents,
                    why: whys.remove(&image.id).unwrap_or_default(),
                })
            })
            .collect();
        images.sort_by_key(|image| (image.behind_since.is_none(), image.behind_since));
        let more = images.len().saturating_sub(MAX_SHOWN_IMAGES);
        images.truncate(MAX_SHOWN_IMAGES);
        Stale {
            at: now,
            wave: self.show_wave(),
            checked_at: self.known.watched.iter().filter_map(|one| one.asked_at).max(),
            images,
            more,
            problems: view
                .problems
                .into_iter()
                .chain(self.known.problems.iter().cloned())
                .collect(),
        }
    }

    /// How many images are behind, and since when.
    pub(crate) fn staleness(&self) -> Staleness {
        let seen = self.seen();
        let stale = rebuild::stale(&self.known.graph, &self.known.observed, &self.known.policy);
        let since = |one: &rebuild::Stale| behind_since(&self.parents(&one.image, &seen));
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

/// Since when a parent is not what was built on.
fn behind_since(parents: &[ParentView]) -> Option<DateTime<Utc>> {
    let moved = |parent: &&ParentView| {
        parent.pin.is_some() && parent.now.is_some() && parent.pin != parent.now
    };
    parents.iter().filter(moved).filter_map(|parent| parent.since).min()
}
