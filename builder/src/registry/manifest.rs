//! Manifests and indexes, in OCI's words and in Docker's.

use serde::{Deserialize, Serialize};
use workflows::image::Digest;

/// Every kind of manifest that is read, asked for all at once, so that an index is never turned
/// into one of its images on the way.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
                                 application/vnd.docker.distribution.manifest.list.v2+json, \
                                 application/vnd.oci.image.manifest.v1+json, \
                                 application/vnd.docker.distribution.manifest.v2+json";
/// Largest manifest that is read, in bytes; the distribution specification asks registries to
/// take no larger one.
pub(super) const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Most entries of an index that are looked at.
const MAX_INDEX_ENTRIES: usize = 256;
/// Most layers of an image; overlayfs stacks no more than 500.
const MAX_LAYERS: usize = 480;

/// A blob as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Foreign layers live elsewhere; they are refused, see [`read`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// The media type of the manifests that are made here.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the configurations that are made here.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of the layers that are made here.
pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The same of layers that are compressed with zstd.
pub(crate) const ZSTD_LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// What a parent's layer is called in a manifest of ours: Docker's words and OCI's must not stand
/// in one manifest.
pub(crate) fn layer_type(parents: &str) -> &'static str {
    match parents {
        zstd if zstd.ends_with("zstd") => ZSTD_LAYER_TYPE,
        plain if plain.ends_with(".tar") => "application/vnd.oci.image.layer.v1.tar",
        _ => LAYER_TYPE,
    }
}

/// What a manifest's bytes hold.
#[derive(Debug)]
pub(super) enum Content {
    Image(Box<Manifest>),
    Index(Vec<IndexEntry>),
}

/// An image of an index.
#[derive(Debug, Deserialize)]
pub(super) struct IndexEntry {
    digest: Digest,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    manifests: Option<Vec<IndexEntry>>,
}

/// Reads a manifest or an index; the error is a sentence.
pub(super) fn read(bytes: &[u8]) -> Result<Content, String> {
    let kind: Kind = serde_json::from_slice(bytes).map_err(|e| format!("no manifest: {e}"))?;
    match kind {
        Kind { schema_version, .. } if schema_version != 2 => {
            Err(format!("manifest of schema version {schema_version}; push the image anew"))
        }
        // A manifest that is both could be read as either by different tools.
        Kind { config: Some(_), manifests: Some(_), .. } => {
            Err("a manifest that is an index too".to_owned())
        }
        Kind { manifests: Some(entries), .. } if entries.len() <= MAX_INDEX_ENTRIES => {
            Ok(Content::Index(entries))
        }
        Kind { manifests: Some(entries), .. } => {
            Err(format!("an index of {} images; at most {MAX_INDEX_ENTRIES}", entries.len()))
        }
        Kind { .. } => {
            let manifest: Manifest =
                serde_json::from_slice(bytes).map_err(|e| format!("no image manifest: {e}"))?;
            if manifest.layers.len() > MAX_LAYERS {
                return Err(format!("more than {MAX_LAYERS} layers"));
            }
            if manifest.layers.iter().any(|layer| !layer.urls.is_empty()) {
                return Err("a layer that is kept elsewhere (`urls`) is not fetched".to_owned());
            }
            Ok(Content::Image(Box::new(manifest)))
        }
    }
}

/// This machine's architecture as images name it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The image for this machine, or the only one.
pub(super) fn choose(entries: &[IndexEntry]) -> Result<&Digest, String> {
    let fits = |entry: &&IndexEntry| {
        entry.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == architecture())
    };
    match (entries.iter().find(fits), entries) {
        (Some(entry), _) => Ok(&entry.digest),
        (None, [only]) if only.platform.is_none() => Ok(&only.digest),
        _ => Err(format!("the index has no image for linux/{}", architecture())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let blob =
            |urls: &str| format!(r#"{{"mediaType":"x","digest":"{digest}","size":1{urls}}}"#);
        let image = |layers: &str| {
            format!(r#"{{"schemaVersion":2,"config":{},"layers":[{layers}]}}"#, blob(""))
        };
        assert!(matches!(read(image(&blob("")).as_bytes()), Ok(Content::Image(_))));
        for bad in [
            "".to_owned(),
            "{}".to_owned(),
            r#"{"schemaVersion":1}"#.to_owned(),
            r#"{"schemaVersion":2}"#.to_owned(),
            image(&blob(r#","urls":["https://elsewhere.example"]"#)),
            image(&vec![blob(""); MAX_LAYERS + 1].join(",")),
            format!(r#"{{"schemaVersion":2,"config":{},"manifests":[]}}"#, blob("")),
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn dockers_words_become_ocis() {
        assert_eq!(layer_type("application/vnd.docker.image.rootfs.diff.tar.gzip"), LAYER_TYPE);
        assert_eq!(layer_type(LAYER_TYPE), LAYER_TYPE);
        let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
        assert_eq!(layer_type(zstd), zstd);
    }
}
