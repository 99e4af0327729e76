//! The labels that are put on an image, over those of its Dockerfile and its parent.
//!
//! A label that a parent says of itself lies about the image that inherits it, so everything
//! that tells an image apart is written anew.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::gate::ARCHITECTURE;
use crate::image::{BuildMode, ParentPin};

type Labels = BTreeMap<String, String>;

/// What the labels tell of a build.
#[derive(Debug, Clone, Copy)]
pub struct LabelFacts<'a> {
    /// The N of the NVR.
    pub component: &'a str,
    /// The repository on the registry.
    pub name: &'a str,
    /// The V of the NVR.
    pub version: &'a str,
    /// The R of the NVR, or what stands for it in a scratch build.
    pub release: &'a str,
    /// The commit.
    pub commit: &'a str,
    /// Where the sources come from.
    pub url: &'a str,
    /// The commit's time as RFC 3339 has it: the same for the same sources.
    pub date: &'a str,
    /// A scratch build is nobody's to distribute.
    pub mode: BuildMode,
    /// What the image stands on.
    pub parent: Option<&'a ParentPin>,
}

/// Why a configured label is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfiguredLabelError {
    /// It names the image, which is the Dockerfile's to do.
    #[error("label `{0}` names the image; only its Dockerfile and its build may set it")]
    Identity(String),
    /// Braces around no word that is known.
    #[error("label `{label}`: `{written}` is none of {{{}}}", PLACES.join("}, {"))]
    Template {
        /// Which label.
        label: String,
        /// What stands between the braces, with them.
        written: String,
    },
}

/// Words that a template may hold between braces.
const PLACES: [&str; 7] = ["component", "name", "version", "release", "commit", "url", "date"];

/// Labels that name the image.
pub(crate) const IDENTITY: [&str; 8] = [
    "com.redhat.component",
    "BZComponent",
    "name",
    "Name",
    "version",
    "Version",
    "release",
    "Release",
];

/// Labels of every image.
const ALWAYS: [(&str, &str); 10] = [
    ("architecture", ARCHITECTURE),
    ("build-date", "{date}"),
    ("release", "{release}"),
    ("vcs-ref", "{commit}"),
    ("vcs-type", "git"),
    ("vcs-url", "{url}"),
    ("org.opencontainers.image.created", "{date}"),
    ("org.opencontainers.image.revision", "{commit}"),
    ("org.opencontainers.image.source", "{url}"),
    ("org.opencontainers.image.version", "{version}-{release}"),
];

/// Labels that tell an image apart in other words. They are not put on an image that has none of
/// them, but one that is inherited would speak of the parent. What nobody can tell of this image
/// becomes empty: a label cannot be taken away.
const NEVER_INHERITED: [(&str, &str); 15] = [
    ("com.redhat.build-host", ""),
    ("cpe", ""),
    ("io.buildah.version", ""),
    ("io.openshift.build.commit.id", "{commit}"),
    ("io.openshift.build.source-location", "{url}"),
    ("org.label-schema.build-date", "{date}"),
    ("org.label-schema.name", "{name}"),
    ("org.label-schema.vcs-ref", "{commit}"),
    ("org.label-schema.vcs-url", "{url}"),
    ("org.label-schema.version", "{version}"),
    ("org.opencontainers.image.ref.name", "{name}:{version}-{release}"),
    ("org.opencontainers.image.title", "{name}"),
    ("org.opencontainers.image.url", "{url}"),
    ("url", "{url}"),
    ("vcs-branch", ""),
];

/// New and old spelling of one label.
const ALIASES: [(&str, &str); 10] = [
    ("com.redhat.component", "BZComponent"),
    ("name", "Name"),
    ("version", "Version"),
    ("release", "Release"),
    ("architecture", "Architecture"),
    ("vendor", "Vendor"),
    ("authoritative-source-url", "Authoritative_Registry"),
    ("run", "RUN"),
    ("install", "INSTALL"),
    ("uninstall", "UNINSTALL"),
];

/// Two labels that hold one text.
const EQUALS: [(&str, &str); 1] = [("description", "io.k8s.description")];

/// Labels of the release that a Dockerfile may set otherwise.
const PACKAGERS_CHOICE: [&str; 2] = ["distribution-scope", "license_terms"];

/// What `distribution-scope` may say, the narrowest first.
const SCOPES: [&str; 4] = ["private", "authoritative-source-only", "restricted", "public"];

/// Checks that an image is not distributed more widely than its parent. `own` are the labels of
/// the Dockerfile, `inherited` those of the parent, `configured` the release's. A scope that is
/// none of the known ones decides nothing.
///
/// # Errors
/// What is wrong, in words for the packager.
pub fn check_scope(
    mode: BuildMode,
    own: &Labels,
    inherited: &Labels,
    configured: &Labels,
) -> Result<(), String> {
    const SCOPE: &str = "distribution-scope";
    let rank = |scope: &String| SCOPES.iter().position(|known| known == scope);
    let said = own.get(SCOPE).or_else(|| configured.get(SCOPE));
    // A scratch build is private whatever it says.
    let said = said.filter(|_| mode != BuildMode::Scratch);
    match (said, inherited.get(SCOPE)) {
        (Some(said), Some(parent)) if rank(said) > rank(parent) && rank(parent).is_some() => {
            Err(format!(
                "label `{SCOPE}` is `{said}`, and the parent image may only be `{parent}`; \
                 build on another parent or narrow the scope"
            ))
        }
        _ => Ok(()),
    }
}

/// Checks labels as an operator configures them.
///
/// # Errors
/// [`ConfiguredLabelError`] names the first label that cannot be put on an image.
pub fn check(configured: &Labels) -> Result<(), ConfiguredLabelError> {
    for (label, template) in configured {
        if IDENTITY.contains(&label.as_str()) {
            return Err(ConfiguredLabelError::Identity(label.clone()));
        }
        for place in places(template) {
            if !PLACES.contains(&place) {
                let written = format!("{{{place}}}");
                return Err(ConfiguredLabelError::Template { label: label.clone(), written });
            }
        }
    }
    Ok(())
}

/// The labels to put on an image. `own` are those that its Dockerfile sets, `inherited` those of
/// its parent, `configured` the release's, as [`check`] passed them.
#[must_use]
pub fn injected(
    facts: &LabelFacts<'_>,
    own: &Labels,
    inherited: &Labels,
    configured: &Labels,
) -> Labels {
    let mut labels = Labels::new();
    for (label, template) in ALWAYS {
        labels.insert(label.to_owned(), facts.fill(template));
    }
    for (label, template) in configured {
        if !(PACKAGERS_CHOICE.contains(&label.as_str()) && own.contains_key(label)) {
            labels.insert(label.clone(), facts.fill(template));
        }
    }
    if facts.mode == BuildMode::Scratch {
        labels.insert("distribution-scope".to_owned(), "private".to_owned());
    }
    if let Some(parent) = facts.parent {
        let (name, digest) = (parent.reference.to_string(), parent.digest.to_string());
        labels.insert("org.opencontainers.image.base.name".to_owned(), name);
        labels.insert("org.opencontainers.image.base.digest".to_owned(), digest);
    }
    for (label, template) in NEVER_INHERITED {
        let is_inherited = inherited.contains_key(label) && !own.contains_key(label);
        if is_inherited && !labels.contains_key(label) {
            labels.insert(label.to_owned(), facts.fill(template));
        }
    }
    for (new, old) in ALIASES {
        spell_both(&mut labels, own, inherited, new, old);
    }
    for (one, other) in EQUALS {
        make_equal(&mut labels, own, inherited, one, other);
    }
    labels
}

/// The new spelling is there whenever the old one is, and the old one never says otherwise: an
/// explicit new one wins, then an explicit old one, then what is inherited.
fn spell_both(labels: &mut Labels, own: &Labels, inherited: &Labels, new: &str, old: &str) {
    let explicit = |label: &str| labels.get(label).or_else(|| own.get(label)).cloned();
    let has_old = explicit(old).is_some() || inherited.contains_key(old);
    match (explicit(new), explicit(old)) {
        (Some(value), _) if has_old => {
            labels.insert(old.to_owned(), value);
        }
        (None, Some(value)) => {
            labels.insert(new.to_owned(), value);
        }
        (None, None) => {
            if let (None, Some(value)) = (inherited.get(new), inherited.get(old)) {
                labels.insert(new.to_owned(), value.clone());
            }
        }
        (Some(_), _) => {}
    }
}

/// A label that is set gives its text to the other one, unless that is set too.
fn make_equal(labels: &mut Labels, own: &Labels, inherited: &Labels, one: &str, other: &str) {
    for (from, to) in [(one, other), (other, one)] {
        let explicit = |label: &str| labels.get(label).or_else(|| own.get(label));
        if explicit(to).is_some() {
            continue;
        }
        let from_parent = || inherited.get(from).filter(|_| !inherited.contains_key(to));
        if let Some(value) = explicit(from).or_else(from_parent).cloned() {
            labels.insert(to.to_owned(), value);
        }
    }
}

/// What stands between braces in a template.
fn places(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or(rest))
}

impl LabelFacts<'_> {
    /// Fills a template in one pass, so that no fact is read as a template itself.
    fn fill(&self, template: &str) -> String {
        let mut pieces = template.split('{');
        let mut filled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let known =
                piece.split_once('}').and_then(|(place, rest)| Some((self.fact(place)?, rest)));
            match known {
                Some((fact, rest)) => {
                    filled.push_str(fact);
                    filled.push_str(rest);
                }
                None => {
                    filled.push('{');
                    filled.push_str(piece);
                }
            }
        }
        filled
    }

    fn fact(&self, place: &str) -> Option<&str> {
        Some(match place {
            "component" => self.component,
            "name" => self.name,
            "version" => self.version,
            "release" => self.release,
            "commit" => self.commit,
            "url" => self.url,
            "date" => self.date,
            _ => return None,
        })
    }
}
