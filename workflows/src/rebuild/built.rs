//! What a finished build means for the rebuilds to come.

use super::image::{Name, Parent, Target};
use crate::image::{ParentPin, Reference};
use crate::job::BuildSpec;
use crate::workflow::ParentImageTrigger;

/// An image's part of the graph, as the build that made it leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The names that it has moved.
    pub names: Vec<Name>,
    /// What it was built on and with, as far as its workflow wants to hear of it.
    pub parents: Vec<Parent>,
    /// The repository's own wish; `None` follows the release's.
    pub autorebuild: Option<bool>,
    /// A release given by the packager that nothing makes unique.
    pub fixed_release: Option<String>,
}

impl Built {
    /// Reads a release build. `trigger` is the workflow's own `on: parent-image`: it asks for
    /// rebuilds, and its filter says for which images; it comes before `.osbs-repo-config`.
    #[must_use]
    pub fn of(build: &BuildSpec, trigger: Option<&ParentImageTrigger>) -> Self {
        let name = |tag| Name { candidate: build.target.tagged(tag), stable: None };
        let counts = |reference: &Reference| {
            let filter = trigger.and_then(|trigger| trigger.images.as_ref());
            filter.is_none_or(|filter| filter.accepts(&reference.to_string()))
        };
        Self {
            names: build.tags.floating.iter().map(name).collect(),
            parents: build
                .pins
                .iter()
                .filter(|pin| counts(&pin.reference))
                .filter_map(parent)
                .collect(),
            autorebuild: trigger.map(|_| true).or(build.autorebuild),
            fixed_release: build.rebuild.fixed_release.clone(),
        }
    }
}

/// The image of a step is no parent: what it does is done again by whoever asks.
fn parent(pin: &ParentPin) -> Option<Parent> {
    Some(Parent {
        reference: pin.reference.clone(),
        kind: pin.kind?,
        pin: pin.form.map(|form| Target::new(form, pin.digest.clone())),
    })
}
