//! What tells two images with the same content from all others.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::{BuildEvidence, Package};
use crate::image::Digest;
use crate::job::BuildSpec;
use crate::rebuild::Sameness;

/// What of a configuration says how an image runs and how it is built on, but for its labels.
const SETTINGS: [&str; 11] = [
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

/// A label that is another one for each parent.
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

impl BuildEvidence {
    /// A digest of what is in an image and how it runs. Times in the configuration, the compression
    /// and the release's number in labels of ours have no part in it. `None` where nobody knows: of
    /// an image that tells of no layer, where packages count of no package, or not how it runs.
    #[must_use]
    pub fn content(&self, build: &BuildSpec) -> Option<Digest> {
        let content = match build.rebuild.unchanged_by {
            Sameness::Layers => digest_of(self.layers.iter().map(|one| one.diff_id.to_string())),
            Sameness::Packages => {
                let mut lines: Vec<String> = self.packages.iter().map(Package::line).collect();
                lines.sort_unstable();
                digest_of(lines.into_iter())
            }
        };
        let all = [content?.to_string(), self.settings.as_ref()?.to_string()];
        let release = build.nvr.as_ref().map(|nvr| nvr.release.as_str());
        digest_of(all.into_iter().chain(labels(&self.labels, &build.labels, release)))
    }
}

/// A digest of how an image runs, by the `config` of its configuration: its environment, user,
/// command and so on. The variables that hold the number of a release have no part in it.
#[must_use]
pub fn settings(config: &Json, build: &BuildSpec) -> Option<Digest> {
    let is_ours = |variable: &Json| {
        let name = variable.as_str().and_then(|text| text.split_once('=')).map(|(name, _)| name);
        name.is_some_and(|name| build.stage_env.contains_key(name))
    };
    digest_of(SETTINGS.iter().map(|name| {
        let value = match (*name, config.get(name)) {
            ("Env", Some(Json::Array(variables))) => {
                variables.iter().filter(|one| !is_ours(one)).cloned().collect()
            }
            (_, value) => value.map_or(Json::Null, sorted),
        };
        // What an engine leaves out, another one writes as empty.
        let is_empty =
            [Json::Null, "".into(), Json::Array(Vec::new()), Json::Object(Default::default())];
        if is_empty.contains(&value) { (*name).to_owned() } else { format!("{name} {value}") }
    }))
}

/// The labels, each on one line. In those that the bridge gave, the number of the release stands for
/// itself.
fn labels<'a>(
    all: &'a BTreeMap<String, String>,
    given: &'a BTreeMap<String, String>,
    release: Option<&'a str>,
) -> impl Iterator<Item = String> + 'a {
    all.iter().filter(|(label, _)| *label != BASE_DIGEST).map(move |(label, value)| {
        let value = match release {
            Some(release) if given.contains_key(label) => without(value, release),
            _ => value.clone(),
        };
        format!("{label:?} {value:?}")
    })
}

/// A text with a mark in the place of the last word that is this one: a version may be the same
/// number, and stands before it.
fn without(text: &str, word: &str) -> String {
    let is_in_words = |c: char| c.is_ascii_alphanumeric() || "._+~^".contains(c);
    let is_whole = |at: &usize| {
        let (before, behind) = (&text[..*at], &text[*at + word.len()..]);
        !before.ends_with(is_in_words) && !behind.starts_with(is_in_words)
    };
    match text.match_indices(word).map(|(at, _)| at).filter(is_whole).last() {
        Some(at) => format!("{}{{release}}{}", &text[..at], &text[at + word.len()..]),
        None => text.to_owned(),
    }
}

/// With the keys of all objects in order.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let fields: BTreeMap<&String, &Json> = fields.iter().collect();
            Json::Object(
                fields.into_iter().map(|(name, one)| (name.clone(), sorted(one))).collect(),
            )
        }
        other => other.clone(),
    }
}

/// A digest over lines; none over nothing.
fn digest_of(lines: impl Iterator<Item = String>) -> Option<Digest> {
    let mut hasher = Sha256::new();
    let mut count = 0_usize;
    for line in lines {
        hasher.update(line);
        hasher.update("\n");
        count += 1;
    }
    let text = format!("sha256:{}", hex::encode(hasher.finalize()));
    Digest::parse(&text).ok().filter(|_| count > 0)
}

#[cfg(test)]
mod tests;
