//! What the registries say now, against what each image was built on.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::graph::{Followed, Graph};
use super::image::{ImageId, Parent, Target};
use super::policy::Policy;
use crate::image::{Digest, Reference};

/// What came of asking a registry for one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// It names this.
    Found(Target),
    /// It names nothing any more. Children keep what they have.
    Missing,
    /// It names nothing, and never did as far as anybody knows: a stable name before the first
    /// promotion.
    Never,
    /// The registry did not say, for this reason.
    Failed(String),
    /// A person supposes that it moved, and does not say where to.
    Supposed,
}

/// What is known of the references that count. One that is not here was not asked for.
pub type Observed = HashMap<Reference, Observation>;

/// A parent that is not what an image was built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The reference that was followed.
    pub reference: Reference,
    /// What the image was built on; `None` only under a supposition.
    pub from: Option<Digest>,
    /// What the reference names now; `None` only under a supposition.
    pub to: Option<Digest>,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} moved", self.reference)?;
        if let Some(from) = &self.from {
            write!(f, " from {}", from.short())?;
        }
        match &self.to {
            Some(to) => write!(f, " to {}", to.short()),
            None => Ok(()),
        }
    }
}

/// An image that stands on what has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Which one.
    pub image: ImageId,
    /// Its parents that moved, in the order of its Dockerfile.
    pub moved: Vec<Moved>,
}

/// A reference of which nothing can be said. It is never taken for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Which one.
    pub reference: Reference,
    /// Why nothing can be said.
    pub reason: UnseenReason,
    /// How many images follow it.
    pub images: usize,
}

/// Why nothing can be said of a reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnseenReason {
    /// Nobody asked for it.
    NotAsked,
    /// The registry does not have it.
    Missing,
    /// The registry did not say.
    Failed(String),
    /// The image has no pin for it to compare with.
    NoPin,
}

impl fmt::Display for UnseenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("was not asked for"),
            Self::Missing => f.write_str("is not in the registry"),
            Self::Failed(reason) => write!(f, "could not be asked for: {reason}"),
            Self::NoPin => f.write_str("has no recorded digest to compare with"),
        }
    }
}

/// The images that stand on what has moved, in the order of their ids.
#[must_use]
pub fn stale(graph: &Graph, observed: &Observed, policy: &Policy) -> Vec<Stale> {
    let compared = Compared::new(graph, observed, policy);
    let name =
        |(place, moved): (usize, _)| Stale { image: graph.images()[place].id.clone(), moved };
    compared.moved.into_iter().map(name).collect()
}

/// Whether one of the jobs that build an image was built on what moved since, by its own parents:
/// where another job of the branch failed, it may be current.
#[must_use]
pub fn concerns(
    graph: &Graph,
    policy: &Policy,
    image: &ImageId,
    parents: &[Parent],
    moved: &[Moved],
) -> bool {
    graph.parents_of(policy, image).any(|(known, followed, _)| {
        let pin = known.pin.as_ref().map(Target::digest);
        let has_moved = |one: &Moved| one.reference == *followed && one.from.as_ref() == pin;
        parents.contains(known) && moved.iter().any(has_moved)
    })
}

/// Takes for moved whatever images follow when their Dockerfile names `reference`, or when they
/// follow it itself; whether there is such an image.
pub fn suppose(
    graph: &Graph,
    policy: &Policy,
    observed: &mut Observed,
    reference: &Reference,
) -> bool {
    let mut found = false;
    for place in 0..graph.images().len() {
        for followed in graph.followed(policy, place) {
            if [&followed.parent.reference, followed.reference].contains(&reference) {
                observed.insert(followed.reference.clone(), Observation::Supposed);
                found = true;
            }
        }
    }
    found
}

/// Every followed reference against its observation.
#[derive(Debug)]
pub(super) struct Compared {
    /// By the place of the image, only where something moved.
    pub(super) moved: BTreeMap<usize, Vec<Moved>>,
    pub(super) unseen: Vec<Unseen>,
}

impl Compared {
    pub(super) fn new(graph: &Graph, observed: &Observed, policy: &Policy) -> Self {
        let mut moved: BTreeMap<usize, Vec<Moved>> = BTreeMap::new();
        let mut unseen: BTreeMap<(&Reference, UnseenReason), usize> = BTreeMap::new();
        for place in 0..graph.images().len() {
            for followed in graph.followed(policy, place) {
                match compare(&followed, observed.get(followed.reference)) {
                    Ok(None) => {}
                    Ok(Some(change)) => moved.entry(place).or_default().push(change),
                    Err(reason) => *unseen.entry((followed.reference, reason)).or_default() += 1,
                }
            }
        }
        let tell = |((reference, reason), images): ((&Reference, _), _)| Unseen {
            reference: reference.clone(),
            reason,
            images,
        };
        Self { moved, unseen: unseen.into_iter().map(tell).collect() }
    }
}

/// Whether one parent moved, or why that cannot be said.
///
/// A pin and an observation answer the same question, the tag and every kind of manifest, so that an
/// index is never held against one of its own members: where one side is an index and the other is
/// none, the tag was given to something else.
fn compare(
    followed: &Followed<'_>,
    observation: Option<&Observation>,
) -> Result<Option<Moved>, UnseenReason> {
    let pin = followed.parent.pin.as_ref();
    let moved = |to: Option<&Target>| Moved {
        reference: followed.reference.clone(),
        from: pin.map(|pin| pin.digest().clone()),
        to: to.map(|to| to.digest().clone()),
    };
    let now = match observation {
        None => return Err(UnseenReason::NotAsked),
        Some(Observation::Missing | Observation::Never) => return Err(UnseenReason::Missing),
        Some(Observation::Failed(reason)) => return Err(UnseenReason::Failed(reason.clone())),
        Some(Observation::Supposed) => return Ok(Some(moved(None))),
        Some(Observation::Found(now)) => now,
    };
    match pin {
        None => Err(UnseenReason::NoPin),
        Some(pin) if pin.digest() == now.digest() => Ok(None),
        Some(_) => Ok(Some(moved(Some(now)))),
    }
}
