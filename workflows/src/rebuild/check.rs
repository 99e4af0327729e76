//! What is wrong with a graph or its rules, said when they are configured and not at night.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::graph::Graph;
use super::image::ImageId;
use super::order;
use super::plan::Cycle;
use super::policy::Policy;
use crate::image::Reference;

/// Something that keeps rebuilds from working as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A freeze that never is.
    EmptyFreeze {
        /// Whose.
        release: String,
        /// Its first moment.
        from: DateTime<Utc>,
        /// Its end, which is no later.
        until: DateTime<Utc>,
    },
    /// An image of a release that has no rules.
    NoRelease(ImageId, String),
    /// Rebuilds are asked for, and each of them would have a release that is taken.
    FixedRelease(ImageId, String),
    /// Two images move one name; rebuilds take it for the first one's.
    SharedName {
        /// The name.
        reference: Reference,
        /// Who has it.
        owner: ImageId,
        /// Who moves it too.
        other: ImageId,
    },
    /// Images stand on themselves; none of them is rebuilt.
    Circle(Arc<Cycle>),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyFreeze { release, from, until } => write!(
                f,
                "release `{release}` has a freeze from {from} until {until}: it ends before it begins"
            ),
            Self::NoRelease(image, release) => {
                write!(f, "image `{image}` belongs to release `{release}`, which is not configured")
            }
            Self::FixedRelease(image, release) => write!(
                f,
                "image `{image}` asks for rebuilds and its Dockerfile gives release `{release}`, \
                 which can be built once: remove the label `release`, or set \
                 `autorebuild.add_timestamp_to_release`"
            ),
            Self::SharedName { reference, owner, other } => write!(
                f,
                "images `{owner}` and `{other}` both move {reference}: give one of them another name"
            ),
            Self::Circle(cycle) => write!(f, "images stand on each other in a circle: {cycle}"),
        }
    }
}

/// Everything that is wrong with a graph and its rules: first the rules, then the images in the
/// order of their ids, then names and circles.
#[must_use]
pub fn check(graph: &Graph, policy: &Policy) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (release, rules) in &policy.releases {
        for freeze in rules.freezes.iter().filter(|freeze| freeze.until <= freeze.from) {
            let (from, until) = (freeze.from, freeze.until);
            problems.push(Problem::EmptyFreeze { release: release.clone(), from, until });
        }
    }
    for image in graph.images() {
        let Some(rules) = policy.releases.get(&image.release) else {
            problems.push(Problem::NoRelease(image.id.clone(), image.release.clone()));
            continue;
        };
        if let Some(release) = &image.fixed_release
            && image.autorebuild.unwrap_or(rules.autorebuild)
        {
            problems.push(Problem::FixedRelease(image.id.clone(), release.clone()));
        }
    }
    let id = |place: usize| graph.images()[place].id.clone();
    for shared in &graph.shared {
        let (owner, other) = (id(shared.owner), id(shared.other));
        problems.push(Problem::SharedName { reference: shared.reference.clone(), owner, other });
    }
    let sources = |place| graph.followed(policy, place).filter_map(|followed| followed.source);
    for group in order::groups(graph.images().len(), sources) {
        if let Some(circle) = order::circle(&group, sources) {
            let path = circle.into_iter().map(id).collect();
            problems.push(Problem::Circle(Arc::new(Cycle { path })));
        }
    }
    problems
}
