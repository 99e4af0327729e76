//! What a runner found in an image that it built and pushed: the facts behind the build record.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::image::Digest;

/// Most packages of one image that are recorded; a full distribution has some 70,000.
pub const MAX_PACKAGES: usize = 100_000;

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
}

impl BuildEvidence {
    /// What tells two images with the same files from all others: a digest over the uncompressed
    /// layers. Times in the configuration and the compression have no part in it; an image that
    /// tells of no layer has none.
    #[must_use]
    pub fn content(&self) -> Option<Digest> {
        let mut hasher = Sha256::new();
        for layer in &self.layers {
            hasher.update(layer.diff_id.as_str());
            hasher.update("\n");
        }
        let text = format!("sha256:{}", hex::encode(hasher.finalize()));
        Digest::parse(&text).ok().filter(|_| !self.layers.is_empty())
    }
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

/// Whose database a package stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageKind {
    /// dpkg's.
    Deb,
    /// RPM's.
    Rpm,
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
