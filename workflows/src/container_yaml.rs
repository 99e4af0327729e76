//! `container.yaml`: what a packager asks of the build beside the Dockerfile.
//!
//! The keys and their forms are those of osbs-client's schema, strictly: an unknown key is an
//! error with its line, because a misspelt wish must never be silently none. Keys of features
//! that ended with OSBS are checked, accepted and listed in [`ContainerYaml::without_effect`].

mod past;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{MessageFormatter as _, UserMessageFormatter};

use crate::image::Tag;
use past::{BuildMethod, Compose, Flatpak, Go, Ignored, Version, checked, nullable};
pub use values::{
    CommitHash, EnvName, Nullable, PackageManager, PackagePlace, RelativePath, RemoteSourceName,
    RemoteSourcesVersion,
};
use values::{given, one_or_many, present, some};

/// Longest file that is read, in bytes.
pub const MAX_CONTAINER_YAML_BYTES: usize = 128 * 1024;
/// Most values in a file, those that aliases repeat included.
const MAX_NODES: usize = 10_000;
/// Deepest nesting; the schema's own is six.
const MAX_DEPTH: usize = 32;

/// What is wrong with a `container.yaml`, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("container.yaml line {line}, column {column}: {message}")]
pub struct ContainerYamlError {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong there.
    pub message: String,
}

/// A `container.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerYaml {
    /// The platforms to build for.
    #[serde(default)]
    pub platforms: Option<Platforms>,
    /// Floating tags; when given they take the place of the release's own, even as an empty list.
    #[serde(default, deserialize_with = "given")]
    pub tags: Option<Vec<Tag>>,
    /// Variable that holds the release in every stage.
    #[serde(default, deserialize_with = "given")]
    pub set_release_env: Option<EnvName>,
    /// Longest time that the build may take, in seconds; the release's own limit caps it.
    #[serde(default, deserialize_with = "given")]
    pub buildtime_limit: Option<u64>,
    /// How rebuilds behave when a parent image changed.
    #[serde(default)]
    pub autorebuild: Option<Autorebuild>,
    /// Operator bundles.
    #[serde(default, deserialize_with = "given")]
    pub operator_manifests: Option<OperatorManifests>,
    /// Sources that are fetched before the build.
    #[serde(default, deserialize_with = "present")]
    pub remote_source: Option<Nullable<RemoteSource>>,
    /// The same, several of them by name.
    #[serde(default, deserialize_with = "some")]
    pub remote_sources: Option<Vec<NamedRemoteSource>>,
    /// Which of two ways to lay out fetched sources: 1 or 2.
    #[serde(default, deserialize_with = "given")]
    pub remote_sources_version: Option<RemoteSourcesVersion>,
    #[serde(default, deserialize_with = "nullable::<Compose, _>")]
    compose: Option<Ignored>,
    #[serde(default, deserialize_with = "nullable::<Flatpak, _>")]
    flatpak: Option<Ignored>,
    #[serde(default, deserialize_with = "checked::<BuildMethod, _>")]
    image_build_method: Option<Ignored>,
    #[serde(default, deserialize_with = "checked::<Go, _>")]
    go: Option<Ignored>,
    #[serde(default, deserialize_with = "checked::<Version, _>")]
    version: Option<Ignored>,
}

/// Which platforms to build for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platforms {
    /// Only these of the release's; `None` means all of them.
    #[serde(default, deserialize_with = "one_or_many")]
    pub only: Option<Vec<String>>,
    /// All but these.
    #[serde(default, deserialize_with = "one_or_many")]
    pub not: Option<Vec<String>>,
}

impl Platforms {
    /// The platforms to build for, of those that the release offers, in the release's order.
    #[must_use]
    pub fn select(&self, offered: &[String]) -> Vec<String> {
        let wanted = |platform: &&String| {
            self.only.as_ref().is_none_or(|only| only.contains(platform))
                && !self.not.as_ref().is_some_and(|not| not.contains(platform))
        };
        offered.iter().filter(wanted).cloned().collect()
    }
}

/// How rebuilds behave when a parent image changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autorebuild {
    /// Build the branch's newest commit instead of the one that was built last.
    #[serde(default, deserialize_with = "given")]
    pub from_latest: Option<bool>,
    /// Put the time behind a release that the packager gives.
    #[serde(default, deserialize_with = "given")]
    pub add_timestamp_to_release: Option<bool>,
    /// Take no notice of isolated builds of the parent.
    #[serde(default, deserialize_with = "given")]
    pub ignore_isolated_builds: Option<bool>,
}

/// Operator bundles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorManifests {
    /// Directory of the manifests in the repository.
    pub manifests_dir: RelativePath,
    /// Whether tags are replaced by digests.
    #[serde(default = "yes")]
    pub enable_digest_pinning: bool,
    /// Whether repositories are replaced.
    #[serde(default = "yes")]
    pub enable_repo_replacements: bool,
    /// Whether registries are replaced.
    #[serde(default = "yes")]
    pub enable_registry_replacements: bool,
    /// Replacements of this repository's own.
    #[serde(default)]
    pub repo_replacements: Vec<RepoReplacement>,
    /// Whether nothing is replaced at all.
    #[serde(default)]
    pub skip_all: bool,
}

fn yes() -> bool {
    true
}

/// Replacements for one registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepoReplacement {
    /// The registry.
    pub registry: String,
    /// Component to repository.
    pub package_mappings: BTreeMap<String, String>,
}

/// Sources that are fetched before the build, with what their package managers need.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteSource {
    /// URL of a git repository.
    pub repo: String,
    /// The commit.
    #[serde(rename = "ref")]
    pub commit: CommitHash,
    /// Package managers whose dependencies are fetched too.
    #[serde(default)]
    pub pkg_managers: Option<Vec<PackageManager>>,
    /// Switches of the fetching service.
    #[serde(default)]
    pub flags: Option<Vec<String>>,
    /// Where in the repository each package manager finds packages.
    #[serde(default)]
    pub packages: Option<BTreeMap<String, Vec<PackagePlace>>>,
}

/// One of several remote sources.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRemoteSource {
    /// Its directory's name.
    pub name: RemoteSourceName,
    /// What is fetched; nothing when it is null.
    pub remote_source: Option<RemoteSource>,
}

impl ContainerYaml {
    /// Reads the file's text; an empty file asks for nothing.
    ///
    /// # Errors
    /// [`ContainerYamlError`] says where the file is no YAML or breaks the schema.
    pub fn parse(text: &str) -> Result<Self, ContainerYamlError> {
        let failed = |message: String| ContainerYamlError { line: 1, column: 1, message };
        if text.len() > MAX_CONTAINER_YAML_BYTES {
            return Err(failed(format!("the file has more than {MAX_CONTAINER_YAML_BYTES} bytes")));
        }
        let read: Option<Self> =
            serde_yaml::from_str_with_options(text, options()).map_err(|error| told(&error))?;
        let file = read.unwrap_or_default();
        let exclusive = [
            ("go", file.go.is_some()),
            ("remote_source", file.remote_source.is_some()),
            ("remote_sources", file.remote_sources.is_some()),
        ];
        let given: Vec<&str> =
            exclusive.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect();
        match given.as_slice() {
            [] | [_] => Ok(file),
            keys => Err(failed(format!("keep one of {}", keys.join(", ")))),
        }
    }

    /// Keys of the file that are accepted and change nothing here.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let keys = [
            ("compose", self.compose),
            ("flatpak", self.flatpak),
            ("image_build_method", self.image_build_method),
            ("go", self.go),
            ("version", self.version),
        ];
        keys.into_iter().filter(|(_, given)| given.is_some()).map(|(key, _)| key).collect()
    }
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        strict_booleans: true,
        // A number is no text: of `1.10` written without quotes nobody knows what was meant.
        no_schema: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: MAX_CONTAINER_YAML_BYTES,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: MAX_NODES,
        },
    }
}

fn told(error: &serde_yaml::Error) -> ContainerYamlError {
    let error = error.without_snippet();
    let (line, column) = error
        .location()
        .map_or((1, 1), |location| (location.line().max(1), location.column().max(1)));
    ContainerYamlError { line, column, message: UserMessageFormatter.format_message(error).into() }
}
