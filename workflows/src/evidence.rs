//! What a runner found in an image that it built and pushed: the facts behind the build record.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::image::Digest;

mod content;

pub use content::settings;

/// Most packages of one image that are recorded; a full distribution has some 70,000.
pub const MAX_PACKAGES: usize = 100_000;

/// Most steps from earlier builds that are recorded; images have some hundred layers at most.
pub const MAX_KEPT_STEPS: usize = 1_024;

/// Most labels of one image that are recorded.
pub const MAX_LABELS: usize = 1_024;

/// Facts about one built image that nobody but its runner can know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildEvidence {
    /// Digest of the image's configuration, which Docker calls the image's id.
    pub config: Digest,
    /// Media type of the manifest as the registry serves it.
    pub media_type: String,
    /// As in the image's configuration, such as `linux`.
    pub os: String,
    /// As in the image's configuration, such as `amd64`.
    pub architecture: String,
    /// From the lowest to the highest.
    pub layers: Vec<LayerFacts>,
    /// Installed packages, in order of kind and name; at most [`MAX_PACKAGES`].
    pub packages: Vec<Package>,
    /// Files that came from the lookaside cache.
    pub sources: Vec<SourceFile>,
    /// What built it, such as the runner and the engine.
    pub tools: Vec<Tool>,
    /// Steps that were taken from earlier builds; at most [`MAX_KEPT_STEPS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_steps: Vec<KeptStep>,
    /// All labels of the image, inherited ones too; at most [`MAX_LABELS`]. Empty where a runner of
    /// an older version did not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// [`settings`] of its configuration; `None` where a runner of an older version did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Digest>,
    /// Whether the repository's `help.md` is in it as a manual page.
    #[serde(default)]
    pub has_help: bool,
}

/// One layer of a pushed image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// Of the blob as pushed.
    pub digest: Digest,
    /// Of its tar archive, uncompressed.
    pub diff_id: Digest,
    /// Of the blob as pushed.
    pub size_bytes: u64,
    /// Of its tar archive, uncompressed.
    pub unpacked_bytes: u64,
    /// As the manifest names it.
    pub media_type: String,
}

/// One installed package, as its package manager recorded it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Whose database it stands in.
    pub kind: PackageKind,
    /// Such as `openssl-libs`.
    pub name: String,
    /// RPM's epoch; a Debian epoch stays in the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// The upstream version; of a Debian package the whole version.
    pub version: String,
    /// RPM's release; empty for a Debian package.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// Such as `x86_64`, `amd64`, `noarch` or `all`.
    pub architecture: String,
    /// The source package, where it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The licence, where it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// MD5 of an RPM's header and payload, in hex: what Koji tells builds apart by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigmd5: Option<String>,
    /// Id of the key that signed it, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Package {
    /// What tells it from all other packages and versions, on one line.
    fn line(&self) -> String {
        let kind = match self.kind {
            PackageKind::Deb => "deb",
            PackageKind::Rpm => "rpm",
        };
        let Self { name, version, release, architecture, .. } = self;
        let epoch = self.epoch.unwrap_or_default();
        let build = self.sigmd5.as_deref().unwrap_or_default();
        format!("{kind} {name} {epoch}:{version}-{release} {architecture} {build}")
    }
}

/// Whose database a package stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageKind {
    /// dpkg's.
    Deb,
    /// RPM's.
    Rpm,
}

/// A step of the Dockerfile that was not carried out, because an earlier build did the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStep {
    /// Its line; 0 for one that the parent image kept.
    pub line: usize,
    /// The instruction, as the log shows it.
    pub instruction: String,
    /// The layer's digest, uncompressed; `None` when it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// When it was carried out.
    pub made: DateTime<Utc>,
}

/// A file that `sources` lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name below the context.
    pub name: String,
    /// Such as `sha512`.
    pub algorithm: String,
    /// In hex.
    pub checksum: String,
    /// Its size.
    pub size_bytes: u64,
}

/// A program that had a part in the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Such as `docker`.
    pub name: String,
    /// As it says itself.
    pub version: String,
}
