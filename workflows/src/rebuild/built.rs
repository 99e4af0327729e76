//! What a finished build means for the rebuilds to come.

use std::collections::BTreeSet;

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
    /// What the workflow's own `on: parent-image` does not want to hear of; `None` without one.
    pub refused: Option<Vec<Reference>>,
}

/// What the workflows of a branch that have `on: parent-image` want to hear of. It governs the
/// others of the branch as well, the release's default workflows among them: they build the same
/// images, and what the packager left out would come in by them.
#[derive(Debug, Clone, Default)]
pub struct OwnFilter {
    refused: BTreeSet<Reference>,
    wanted: BTreeSet<Reference>,
}

impl OwnFilter {
    /// Adds what one of the workflows wants, if it says so itself.
    pub fn add(&mut self, built: &Built) {
        if let Some(refused) = &built.refused {
            self.refused.extend(refused.iter().cloned());
            self.wanted.extend(built.parents.iter().map(|parent| parent.reference.clone()));
        }
    }

    /// Whether a reference counts: one workflow that wants it is enough.
    #[must_use]
    pub fn lets(&self, reference: &Reference) -> bool {
        self.wanted.contains(reference) || !self.refused.contains(reference)
    }
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
        let refused = build.pins.iter().map(|pin| &pin.reference).filter(|one| !counts(one));
        Self {
            refused: trigger.map(|_| refused.cloned().collect()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::DOCKER_HUB;
    use crate::rebuild::ParentKind;

    #[test]
    fn what_a_workflow_leaves_out_does_not_come_in_by_another_one() {
        let name = |text: &str| Reference::parse(text, DOCKER_HUB).unwrap();
        let built = |parents: &[&str], refused: Option<&[&str]>| {
            let parent =
                |text: &&str| Parent { reference: name(text), kind: ParentKind::Parent, pin: None };
            Built {
                names: Vec::new(),
                parents: parents.iter().map(parent).collect(),
                autorebuild: None,
                fixed_release: None,
                refused: refused.map(|refused| refused.iter().map(|text| name(text)).collect()),
            }
        };
        let mut filter = OwnFilter::default();
        filter.add(&built(&["base", "go"], None));
        assert!(filter.lets(&name("go")), "nobody says so");
        filter.add(&built(&["base"], Some(&["go"])));
        assert!(filter.lets(&name("base")) && !filter.lets(&name("go")));
        assert!(filter.lets(&name("other")), "of that it says nothing");
        filter.add(&built(&["go"], Some(&[])));
        assert!(filter.lets(&name("go")), "one that wants it is enough");
    }

    #[test]
    fn a_filter_parts_what_counts_from_what_does_not() {
        let pin = |name: &str, kind: &str| {
            serde_json::json!({
                "written": name, "reference": format!("r.example/{name}:latest"),
                "digest": format!("sha256:{:064x}", 1), "kind": kind, "form": "index",
            })
        };
        let build: BuildSpec = serde_json::from_value(serde_json::json!({
            "dockerfile": "Dockerfile", "context": "", "source_registry": "r.example",
            "pins": [pin("f43/base", "parent"), pin("tools/go", "builder")],
            "build_args": {}, "mode": "release", "nvr": null, "target": "r.example/f43/httpd",
            "tags": {"unique": "unique", "primary": null, "floating": []}, "push": true,
            "source_date_epoch": 0, "labels": {},
        }))
        .unwrap();
        let text = "on:\n  push:\n  parent-image:\n    images: ['r.example/f43/**']\njobs:\n  \
                    build:\n    runs-on: docker\n    steps:\n      - uses: strata/layered-build\n";
        let workflow = crate::workflow::parse("w.yml", text).unwrap();
        let own = Built::of(&build, workflow.on.parent_image.as_ref());
        let names = |all: &[Reference]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&own.refused.unwrap()), ["r.example/tools/go:latest"]);
        assert_eq!(own.parents.len(), 1);
        let default = Built::of(&build, None);
        assert_eq!((default.refused, default.parents.len()), (None, 2));
    }
}
