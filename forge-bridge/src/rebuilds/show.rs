//! The world as people see it.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use workflows::image::Reference;
use workflows::rebuild::{self, Image, ImageId};

use super::world::{Known, World};
use crate::app::AppState;
use crate::store::StoreError;
use crate::store::watched::{Answer, Watched};
use crate::views::{
    MAX_SHOWN_IMAGES, MAX_SHOWN_PLAN, ParentView, PlanView, Planning, Stale, StaleImage, WaveView,
};

/// The images of a release, or of all, with the newest run and build of each; `None` when there is
/// no such release.
pub(crate) async fn stale(
    app: &AppState,
    release: Option<String>,
) -> Result<Option<Stale>, StoreError> {
    let now = Utc::now();
    let world = app.worlds.now(now).await?;
    let known = Arc::clone(&world.known);
    let is_known = |name: &str| {
        let configured = app.config.releases.iter().any(|one| one.name == name);
        configured || known.graph.images().iter().any(|image| image.release == name)
    };
    if !release.as_deref().is_none_or(is_known) {
        return Ok(None);
    }
    let mut stale = world.apart(move |world| world.show_stale(release.as_deref(), now)).await?;
    let branch = |image: &StaleImage| known.branches.get(&image.image).map(|one| &one.branch);
    // Each image that is shown has a branch.
    let branches: Vec<_> = stale.images.iter().filter_map(branch).collect();
    let newest = app.store.newest_of(&branches).await?;
    for (image, newest) in stale.images.iter_mut().zip(newest) {
        (image.run, image.build) = (newest.run, newest.build);
    }
    Ok(Some(stale))
}

impl World {
    /// The plan of the moment.
    pub(crate) fn show_plan(&self, now: DateTime<Utc>) -> PlanView {
        let plan = self.plan(now);
        let Known { graph, policy, .. } = &*self.known;
        let planning = Planning { graph, policy, activity: &self.activity, plan: &plan, at: now };
        PlanView::new(planning, self.known.problems().of(None), MAX_SHOWN_PLAN, false)
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
        let whys = self.whys(&plan, now);
        let view = |(behind_since, image): (_, &Image)| {
            let condition = *conditions.get(&image.id)?;
            Some(StaleImage {
                image: image.id.clone(),
                release: image.release.clone(),
                condition,
                behind_since,
                built_at: self.known.branches.get(&image.id)?.built_at,
                parents: self.parents(&image.id, &seen),
                why: whys.of(&image.id, condition),
                run: None,
                build: None,
            })
        };
        Stale {
            at: now,
            wave: self.show_wave(),
            checked_at: self.known.watched.iter().filter_map(|one| one.asked_at).max(),
            images: all.into_iter().filter_map(view).collect(),
            more,
            problems: self.known.problems().of(release),
        }
    }

    /// A picture of the images of a release; `None` when there are none.
    pub(crate) fn picture(&self, release: &str, now: DateTime<Utc>) -> Option<String> {
        let states = self.conditions(&self.plan(now));
        let part = self.known.graph.part(|image| image.release == release)?;
        Some(rebuild::svg(&part, &states))
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

    pub(super) fn seen(&self) -> HashMap<&Reference, &Watched> {
        self.known.watched.iter().map(|one| (&one.reference, one)).collect()
    }

    /// Since when a parent is not what was built on. As in a plan, a reference that names nothing any
    /// more has not moved.
    pub(super) fn behind_since(
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
            let is_there = watched.filter(|one| one.answer != Answer::Missing);
            let known = is_there.and_then(|one| one.known.as_ref());
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
