//! What has to be built again, in waves in which parents come before children.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use super::draft::Draft;
use super::graph::{Followed, Graph};
use super::image::{Failure, Image, ImageId};
use super::observed::{Compared, Moved, Observation, Observed, Unseen};
use super::order;
use super::policy::Policy;
use crate::image::Reference;

/// Most names of a circle or a chain that are written out; the ends say the most.
const MAX_SHOWN_NAMES: usize = 12;

/// Longest chain that is followed, in images. Real graphs are a tenth as deep; a hostile one must
/// not make the chains of all its images take the square of its size.
const MAX_CHAIN: usize = 100;

/// What has to be built again.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Each image once. Those of the first wave can start; each later one waits for images of the
    /// wave before it. Within a wave, what most waves wait for comes first, and of these what was
    /// built longest ago, so that a budget goes round.
    pub waves: Vec<Vec<Planned>>,
    /// Images that stand on what moved and are not built, in the order of their ids.
    pub blocked: Vec<Blocked>,
    /// References of which nothing can be said; what stands on them stays as it is.
    pub unseen: Vec<Unseen>,
    /// Of each image, its wave and its place there.
    pub(super) places: HashMap<ImageId, (usize, usize)>,
}

/// One image that has to be built again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Which one.
    pub image: ImageId,
    /// Its parents that moved already; empty when it only stands on images of earlier waves.
    pub moved: Vec<Moved>,
    /// The images of earlier waves that it waits for.
    pub after: Vec<ImageId>,
}

/// An image that would be built if nothing stood in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Which one.
    pub image: ImageId,
    /// What stands in the way.
    pub hindrance: Hindrance,
}

/// Why an image is not built again although it stands on what moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// It stands on itself.
    Circle(Arc<Cycle>),
    /// Its release has no rules.
    NoRelease(String),
    /// Neither it nor its release asks for rebuilds.
    Off,
    /// Each build of it has this release, which is taken.
    FixedRelease(String),
    /// An operator stopped it, for this reason.
    Held(String),
    /// It failed on these parents, and its next attempt is due later.
    BackingOff {
        /// When.
        until: DateTime<Utc>,
        /// Failures so far.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// It failed on these parents as often as its release allows.
    GaveUp {
        /// How often.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
}

/// Images that stand on each other in a circle: each build of one would cause the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// From a child to its parent, and so on, until the first comes again.
    pub path: Vec<ImageId>,
}

/// How a change comes down to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain<'a> {
    /// What moved; `None` when that is more than a hundred images away.
    pub moved: Option<&'a Moved>,
    /// Who stands on it, down to the image that was asked about; the last hundred of them.
    pub images: Vec<&'a ImageId>,
}

impl Plan {
    /// Whether there is nothing to build.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waves.is_empty()
    }

    /// How many images are built again.
    #[must_use]
    pub fn builds(&self) -> usize {
        self.places.len()
    }

    /// What is planned for an image.
    #[must_use]
    pub fn planned(&self, image: &ImageId) -> Option<&Planned> {
        self.places.get(image).map(|&(wave, place)| &self.waves[wave][place])
    }

    /// One way in which a change comes down to an image that is planned; of several the one by
    /// its first parent.
    #[must_use]
    pub fn chain(&self, image: &ImageId) -> Option<Chain<'_>> {
        let mut images = Vec::new();
        let mut planned = self.planned(image)?;
        let mut moved = None;
        // Each turn goes to an earlier wave.
        while images.len() < MAX_CHAIN {
            images.push(&planned.image);
            moved = planned.moved.first();
            match planned.after.first().filter(|_| moved.is_none()) {
                Some(parent) => planned = self.planned(parent)?,
                None => break,
            }
        }
        images.reverse();
        Some(Chain { moved, images })
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown_path(self.images.iter().map(|id| id.as_str()), self.images.len());
        match self.moved {
            Some(moved) if self.images.len() == 1 => moved.fmt(f),
            Some(moved) => write!(f, "{moved} → {path}"),
            None => write!(f, "… → {path}"),
        }
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_path(self.path.iter().map(ImageId::as_str), self.path.len()))
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Circle(cycle) => write!(f, "stands on itself: {cycle}"),
            Self::NoRelease(release) => write!(f, "release `{release}` is not configured"),
            Self::Off => f.write_str("neither it nor its release asks for rebuilds"),
            Self::FixedRelease(release) => {
                write!(f, "its Dockerfile gives release `{release}`, which is built already")
            }
            Self::Held(reason) => write!(f, "held: {reason}"),
            Self::BackingOff { until, attempts, reason } => {
                let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
                match attempts {
                    0 => write!(f, "{reason}; tried again at {until}"),
                    _ => {
                        write!(f, "failed {} ({reason}); tried again at {until}", times(*attempts))
                    }
                }
            }
            Self::GaveUp { attempts, reason } => {
                write!(f, "failed {} ({reason}); mend it, then retry by hand", times(*attempts))
            }
        }
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Names with arrows between them; of many the first and the last.
fn shown_path<'a>(names: impl Iterator<Item = &'a str>, count: usize) -> String {
    let hidden = match count.saturating_sub(MAX_SHOWN_NAMES) {
        0 => 0..0,
        hidden => MAX_SHOWN_NAMES / 2..MAX_SHOWN_NAMES / 2 + hidden,
    };
    let mut shown = Vec::new();
    for (place, name) in names.enumerate() {
        if !hidden.contains(&place) {
            shown.push(name.to_owned());
        } else if place == hidden.start {
            shown.push(format!("… {} more …", hidden.len()));
        }
    }
    shown.join(" → ")
}

/// Decides what has to be built again.
///
/// An image is built when a parent that counts has moved, or when an image that it stands on is
/// built and moves its name at once. It waits for every parent that is built in this plan, so
/// that a diamond is built once. A parent that is blocked is not waited for: nobody knows how
/// long that would be, and the image is found stale again when that parent moves after all.
///
/// Images in a circle are blocked with the way round, and only they: one repository's mistake
/// must not stop the rebuilds of all. Time and space grow with images and links.
#[must_use]
pub fn plan(graph: &Graph, observed: &Observed, policy: &Policy, now: DateTime<Utc>) -> Plan {
    let mut compared = Compared::new(graph, observed, policy);
    let mut draft = Draft::new(graph.images().len());
    let sources = |place| graph.followed(policy, place).filter_map(|followed| followed.source);
    for group in order::groups(graph.images().len(), sources) {
        let circle = order::circle(&group, sources);
        let cycle = circle.map(|path| {
            Arc::new(Cycle { path: path.iter().map(|&p| graph.images()[p].id.clone()).collect() })
        });
        for place in group {
            let moved = compared.moved.remove(&place).unwrap_or_default();
            let after = draft.waited_for(graph.followed(policy, place));
            if moved.is_empty() && after.is_empty() {
                continue;
            }
            let image = &graph.images()[place];
            // An image that waits is given parents on which it has not failed.
            let failure = image.failure.as_deref().filter(|_| after.is_empty());
            let failure = failure.filter(|failure| {
                let followed = graph.followed(policy, place);
                failed_on_these(failure, &moved, followed, observed)
            });
            let hindrance = match &cycle {
                Some(cycle) => Some(Hindrance::Circle(Arc::clone(cycle))),
                None => hindrance(image, failure, policy, now),
            };
            match hindrance {
                Some(hindrance) => draft.blocked.push((place, hindrance)),
                None => draft.add(place, moved, after),
            }
        }
    }
    draft.finish(graph, compared.unseen)
}

/// Whether a build now would stand on what the failed one stood on: every parent that moved was
/// tried as it is, and none that was tried has gone on, or back to what the image stands on. Where
/// a registry says nothing, nothing has changed.
fn failed_on_these<'a>(
    failure: &Failure,
    moved: &[Moved],
    followed: impl Iterator<Item = Followed<'a>>,
    observed: &Observed,
) -> bool {
    let tried = |reference: &Reference| {
        failure.tried.iter().find(|tried| tried.reference == *reference).map(|tried| &tried.digest)
    };
    let was_tried =
        |moved: &Moved| moved.to.is_some() && tried(&moved.reference) == moved.to.as_ref();
    let is_as_tried = |followed: Followed<'_>| {
        let Some(Observation::Found(now)) = observed.get(followed.reference) else { return true };
        tried(followed.reference).is_none_or(|tried| tried == now.digest())
    };
    moved.iter().all(was_tried) && { followed }.all(is_as_tried)
}

/// What stands in the way of a build of this image, which failed before on the same parents.
fn hindrance(
    image: &Image,
    failure: Option<&Failure>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Option<Hindrance> {
    let Some(rules) = policy.releases.get(&image.release) else {
        return Some(Hindrance::NoRelease(image.release.clone()));
    };
    if !image.autorebuild.unwrap_or(rules.autorebuild) {
        return Some(Hindrance::Off);
    }
    if let Some(release) = &image.fixed_release {
        return Some(Hindrance::FixedRelease(release.clone()));
    }
    if let Some(reason) = &image.held {
        return Some(Hindrance::Held(reason.clone()));
    }
    let failure = failure?;
    let (attempts, reason) = (failure.attempts, failure.reason.clone());
    if attempts >= rules.max_attempts.get() {
        return Some(Hindrance::GaveUp { attempts, reason });
    }
    let until = failure.last_at.checked_add_signed(rules.backoff(attempts))?;
    (now < until).then_some(Hindrance::BackingOff { until, attempts, reason })
}
