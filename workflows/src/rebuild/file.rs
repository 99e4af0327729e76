//! A graph in a file: images, rules and what the registries say, to plan without a server.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Location, MessageFormatter as _, Spanned, UserMessageFormatter};

use super::graph::Graph;
use super::image::{Failure, Image, ImageId, Name, Parent, Target};
use super::observed::{Observation, Observed};
use super::policy::{Budget, Policy, ReleaseRules};
use crate::diagnostic::{Diagnostic, Severity};
use crate::image::{BuildMode, Digest, Reference};
use crate::schedule::Schedule;

/// Longest file that is read, in bytes: 100,000 images with their digests take half of it.
pub const MAX_GRAPH_FILE_BYTES: usize = 64 * 1024 * 1024;
/// Most values in a file, those that aliases repeat included.
const MAX_NODES: usize = 8_000_000;
/// Deepest nesting; the format's own is six.
const MAX_DEPTH: usize = 16;

/// A graph with everything that a plan needs.
#[derive(Debug)]
pub struct GraphFile {
    /// The images.
    pub graph: Graph,
    /// The rules of their releases.
    pub policy: Policy,
    /// What the registries say; what is not in the file is taken as not asked for.
    pub observed: Observed,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    releases: BTreeMap<String, Spanned<ReleaseRules>>,
    #[serde(default)]
    registries: BTreeMap<String, Budget>,
    images: Vec<WrittenImage>,
    #[serde(default)]
    observed: BTreeMap<Reference, WrittenObservation>,
}

/// One image as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenImage {
    id: Spanned<ImageId>,
    release: String,
    #[serde(default = "release_build")]
    mode: BuildMode,
    #[serde(default)]
    names: Vec<Name>,
    #[serde(default)]
    parents: Vec<Parent>,
    #[serde(default)]
    autorebuild: Option<bool>,
    #[serde(default)]
    fixed_release: Option<String>,
    #[serde(default)]
    held: Option<String>,
    #[serde(default)]
    failure: Option<Box<Failure>>,
    #[serde(default)]
    built_at: Option<DateTime<Utc>>,
}

fn release_build() -> BuildMode {
    BuildMode::Release
}

/// One observation as it is written: the word `missing` or `never`, or one key with what was found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenObservation {
    Index(Digest),
    Manifest(Digest),
    Failed(String),
    Missing,
    Never,
}

impl GraphFile {
    /// Reads a file's text, YAML or JSON. `path` is what messages call the file.
    ///
    /// # Errors
    /// What is wrong, with its line and column.
    pub fn parse(path: &str, text: &str) -> Result<Self, Diagnostic> {
        let refused = |at: Location, message: String| {
            let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
            let (line, column) = (number(at.line()), number(at.column()));
            let (file, severity) = (path.to_owned(), Severity::Error);
            Diagnostic { file, line, column, severity, message, hint: None }
        };
        if text.len() > MAX_GRAPH_FILE_BYTES {
            let message = format!("the file has more than {MAX_GRAPH_FILE_BYTES} bytes");
            return Err(refused(Location::UNKNOWN, message));
        }
        let written: Written =
            serde_yaml::from_str_with_options(text, options()).map_err(|error| {
                let error = error.without_snippet();
                let at = error.location().unwrap_or(Location::UNKNOWN);
                refused(at, UserMessageFormatter.format_message(error).into())
            })?;
        let places: Vec<(ImageId, Location)> =
            written.images.iter().map(|i| (i.id.value.clone(), i.id.referenced)).collect();
        let images = written.images.into_iter().map(WrittenImage::image).collect();
        let mut graph = Graph::new(images).map_err(|error| {
            // Of two images with one id, the second is in the wrong.
            let place = places.iter().rfind(|(id, _)| error.image() == Some(id));
            refused(place.map_or(Location::UNKNOWN, |(_, at)| *at), error.to_string())
        })?;
        let releases = written.releases.into_iter().map(|(name, rules)| {
            // As the bridge does; where the release is, its time zone changes nothing about that.
            match Schedule::parse(rules.value.check(), "UTC") {
                Ok(_) => Ok((name, rules.value)),
                Err(error) => {
                    Err(refused(rules.referenced, format!("release `{name}`: check: {error}")))
                }
            }
        });
        let releases = releases.collect::<Result<_, _>>()?;
        let policy = Policy { releases, registries: written.registries };
        let observe = |(reference, seen)| (reference, Observation::from(seen));
        let observed: Observed = written.observed.into_iter().map(observe).collect();
        graph.promoted_by(&observed);
        Ok(Self { graph, policy, observed })
    }
}

impl WrittenImage {
    fn image(self) -> Image {
        Image {
            id: self.id.value,
            release: self.release,
            mode: self.mode,
            names: self.names,
            parents: self.parents,
            autorebuild: self.autorebuild,
            fixed_release: self.fixed_release,
            held: self.held,
            failure: self.failure,
            built_at: self.built_at,
        }
    }
}

impl From<WrittenObservation> for Observation {
    fn from(written: WrittenObservation) -> Self {
        match written {
            WrittenObservation::Index(digest) => Self::Found(Target::Index(digest)),
            WrittenObservation::Manifest(digest) => Self::Found(Target::Manifest(digest)),
            WrittenObservation::Failed(reason) => Self::Failed(reason),
            WrittenObservation::Missing => Self::Missing,
            WrittenObservation::Never => Self::Never,
        }
    }
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: MAX_GRAPH_FILE_BYTES,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: MAX_NODES,
        },
    }
}
