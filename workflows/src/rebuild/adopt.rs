//! Whether an image in a registry is one that a store forgot: built for the same branch after the
//! database was saved that runs now.

use std::collections::BTreeMap;

use super::graph::Graph;
use super::image::{ImageId, Name, Parent, ParentKind, Target};
use super::observed::Moved;
use super::policy::Policy;
use crate::dockerfile;
use crate::image::{Digest, Reference};
use crate::job::{BuildSpec, ImageNames};
use crate::names::CommitId;

/// Labels that tell the repository of an image.
const SOURCES: [&str; 2] = ["vcs-url", "org.opencontainers.image.source"];

/// By what the builds of one image are told from those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Component and name, where the bridge gave them.
    pub names: Option<ImageNames>,
    /// Those of `SOURCES` that the bridge put on it.
    pub sources: Vec<(&'static str, String)>,
}

impl Mark {
    /// The mark of what that build made, and of the builds of its line.
    #[must_use]
    pub fn of(build: &BuildSpec) -> Self {
        let source = |name: &&'static str| Some((*name, build.labels.get(*name)?.clone()));
        let sources = SOURCES.iter().filter_map(source).collect();
        Self { names: build.names.clone(), sources }
    }

    /// Whether an image with these labels is of the same line. What has no mark is nobody's.
    fn is_on(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut wanted: Vec<(&str, &str)> =
            self.sources.iter().map(|(label, value)| (*label, value.as_str())).collect();
        if let Some(names) = &self.names {
            wanted.extend([("com.redhat.component", &*names.component), ("name", &*names.name)]);
        }
        let says = |(label, value): &(&str, &str)| {
            let spellings = [Some(*label), dockerfile::old_spelling(label)];
            spellings.into_iter().flatten().any(|one| labels.get(one).is_some_and(|v| v == value))
        };
        !wanted.is_empty() && wanted.iter().all(says)
    }
}

/// An image that a floating tag of ours names, and that no build in the store has made.
#[derive(Debug, Clone, Copy)]
pub struct Stranger<'a> {
    /// Whose tag it is.
    pub image: &'a ImageId,
    /// The names that the newest known build of that image moves.
    pub names: &'a [Name],
    /// What that build was built on.
    pub parents: &'a [Parent],
    /// The mark of that build.
    pub mark: &'a Mark,
    /// What the one in the registry says of itself.
    pub labels: &'a BTreeMap<String, String>,
    /// The branch's head.
    pub head: &'a CommitId,
}

/// What a store has to learn of an image that it forgot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// What it stands on.
    pub parents: Vec<Parent>,
    /// What it was built from; `None` when that is not the head of the branch: a commit that may
    /// be of another branch is not built again on this one.
    pub commit: Option<CommitId>,
}

/// Decides whether a stranger is a later build of this image, on what its parents are now.
///
/// It is none where another image moves the same name, where its labels name another repository or
/// component, and where it does not stand on what moved. A builder image leaves no trace in what was
/// built with it.
#[must_use]
pub fn adopted(
    graph: &Graph,
    policy: &Policy,
    stranger: &Stranger<'_>,
    moved: &[Moved],
) -> Option<Adopted> {
    let is_shared = |name: &Name| graph.is_shared(&name.candidate);
    if stranger.names.iter().any(is_shared) || !stranger.mark.is_on(stranger.labels) {
        return None;
    }
    let base_name = stranger.labels.get("org.opencontainers.image.base.name")?;
    let base = stranger.labels.get("org.opencontainers.image.base.digest")?;
    let base = Digest::parse(base).ok()?;
    let is_now = |place: &Reference| {
        moved.iter().any(|one| one.reference == *place && one.to.as_ref() == Some(&base))
    };
    let mut parents = stranger.parents.to_vec();
    for parent in parents.iter_mut().filter(|one| one.kind == ParentKind::Parent) {
        let mut followed = graph.parents_of(policy, stranger.image);
        let place = followed.find(|(known, ..)| known.reference == parent.reference);
        let is_it = parent.reference.to_string() == *base_name
            && place.is_some_and(|(_, place, _)| is_now(place));
        if let (true, Some(pin)) = (is_it, &parent.pin) {
            parent.pin = Some(Target::new(pin.form(), base.clone()));
        }
    }
    let commit = stranger.labels.get("vcs-ref").and_then(|commit| CommitId::parse(commit).ok());
    let commit = commit.filter(|commit| commit == stranger.head);
    (parents != stranger.parents).then_some(Adopted { parents, commit })
}
