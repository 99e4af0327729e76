//! Reading manifests, indexes and image configurations.

use std::collections::BTreeMap;

use serde::Deserialize;
use workflows::dockerfile::DOCKER_ARCHITECTURE;
use workflows::image::{Digest, ManifestForm};

/// The kinds of manifest that are asked for, all at once, so that an index is never turned into
/// one of its images on the way.
pub(super) const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The system that images are built for.
const OS: &str = "linux";
/// Most entries of an index that are looked at.
const MAX_INDEX_ENTRIES: usize = 256;

/// What a build on an image inherits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImageFacts {
    /// The environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// The user, as written; `None` means root.
    pub(crate) user: Option<String>,
    /// Instructions that it keeps for those that stand on it.
    pub(crate) on_build: Vec<String>,
}

/// What a manifest holds.
#[derive(Debug)]
pub(super) enum Content {
    /// One image.
    Image {
        /// Its configuration.
        config: Digest,
    },
    /// One image for each platform.
    Index {
        /// In the order of the index.
        entries: Vec<IndexEntry>,
    },
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
struct Raw {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    config: Option<Descriptor>,
    manifests: Option<Vec<IndexEntry>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    os: Option<String>,
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    config: Option<RawInner>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawInner {
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    on_build: Option<Vec<String>>,
}

/// The media type without parameters, when it is one that was asked for.
pub(super) fn media_type(served_as: &str) -> Option<&'static str> {
    let bare = served_as.split(';').next().unwrap_or_default().trim();
    MEDIA_TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(bare))
}

/// What is served under a media type.
pub(super) fn form(served_as: &str) -> Option<ManifestForm> {
    media_type(served_as).map(|known| match known.contains("index") || known.contains("list") {
        true => ManifestForm::Index,
        false => ManifestForm::Manifest,
    })
}

/// Reads a manifest or an index; the error is a sentence.
pub(super) fn read(bytes: &[u8]) -> Result<Content, String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|e| format!("no manifest: {e}"))?;
    match raw {
        Raw { schema_version, .. } if schema_version != 2 => {
            Err(format!("manifest of schema version {schema_version}; push the image anew"))
        }
        // A manifest that is both could be read as either by different tools.
        Raw { config: Some(_), manifests: Some(_), .. } => {
            Err("a manifest that is an index too".to_owned())
        }
        Raw { config: Some(config), .. } => Ok(Content::Image { config: config.digest }),
        Raw { manifests: Some(entries), .. } if entries.len() <= MAX_INDEX_ENTRIES => {
            Ok(Content::Index { entries })
        }
        Raw { manifests: Some(entries), .. } => {
            Err(format!("an index of {} images; at most {MAX_INDEX_ENTRIES}", entries.len()))
        }
        _ => Err("a manifest without configuration".to_owned()),
    }
}

/// What a manifest says that it is; the OCI specification lets it say nothing.
pub(super) fn own_media_type(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        media_type: Option<String>,
    }
    serde_json::from_slice::<Own>(bytes).ok()?.media_type
}

/// The image for linux/amd64, or the only one where it does not say what it is for.
pub(super) fn choose(entries: &[IndexEntry]) -> Result<&Digest, String> {
    let fits = |entry: &&IndexEntry| {
        let is_ours = |p: &Platform| p.os == OS && p.architecture == DOCKER_ARCHITECTURE;
        entry.platform.as_ref().is_some_and(is_ours)
    };
    match (entries.iter().find(fits), entries) {
        (Some(entry), _) => Ok(&entry.digest),
        (None, [only]) if only.platform.is_none() => Ok(&only.digest),
        _ => Err(format!("the index has no image for {OS}/{DOCKER_ARCHITECTURE}")),
    }
}

/// Reads an image's configuration; the error is a sentence.
pub(super) fn facts(bytes: &[u8]) -> Result<ImageFacts, String> {
    let raw: RawConfig =
        serde_json::from_slice(bytes).map_err(|e| format!("no image configuration: {e}"))?;
    let os = raw.os.as_deref().filter(|os| !os.is_empty()).unwrap_or(OS);
    let architecture = raw.architecture.as_deref().filter(|of| !of.is_empty());
    let architecture = architecture.unwrap_or(DOCKER_ARCHITECTURE);
    if (os, architecture) != (OS, DOCKER_ARCHITECTURE) {
        return Err(format!(
            "the image is for {os}/{architecture}, and images are built for \
             {OS}/{DOCKER_ARCHITECTURE}"
        ));
    }
    let inner = raw.config.unwrap_or_default();
    let env = inner.env.unwrap_or_default();
    let pairs = env.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Ok(ImageFacts {
        env: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        labels: inner.labels.unwrap_or_default(),
        user: inner.user.filter(|user| !user.is_empty()),
        on_build: inner.on_build.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_chosen_and_never_guessed() {
        let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
        let entry = |c, os: &str, arch: &str| {
            format!(
                r#"{{"digest":"{}","platform":{{"os":"{os}","architecture":"{arch}"}}}}"#,
                digest(c)
            )
        };
        let chosen = |entries: &[String]| {
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
            let Content::Index { entries } = read(text.as_bytes()).unwrap() else {
                panic!("it is an index")
            };
            choose(&entries).map(ToString::to_string)
        };
        let (arm, amd) = (entry('a', "linux", "arm64"), entry('b', "linux", "amd64"));
        let attestation = entry('c', "unknown", "unknown");
        assert_eq!(chosen(&[arm.clone(), amd.clone(), attestation.clone()]), Ok(digest('b')));
        assert!(chosen(std::slice::from_ref(&arm)).is_err(), "one image alone is not ours either");
        let silent = format!(r#"{{"digest":"{}"}}"#, digest('d'));
        assert_eq!(
            chosen(&[silent]),
            Ok(digest('d')),
            "what it is for stands in its configuration"
        );
        assert!(chosen(&[arm, attestation]).is_err());
        assert!(chosen(&[]).is_err());
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"schemaVersion":1}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"config":{"digest":"sha256:../../x"}}"#,
            &format!(r#"{{"schemaVersion":2,"config":{{"digest":"{digest}"}},"manifests":[]}}"#),
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_for_another_platform_is_no_parent() {
        let ours = br#"{"os":"linux","architecture":"amd64"}"#;
        assert_eq!(facts(ours).unwrap(), ImageFacts::default());
        for other in [
            r#"{"os":"linux","architecture":"arm64"}"#,
            r#"{"os":"windows","architecture":"amd64"}"#,
        ] {
            let why = facts(other.as_bytes()).unwrap_err();
            assert!(why.ends_with("images are built for linux/amd64"), "{why}");
        }
    }

    #[test]
    fn facts_are_read_from_sparse_configurations() {
        let full =
            br#"{"config":{"Env":["PATH=/bin","A=b=c","EMPTY"],"Labels":{"x":"y"},"User":"1001"}}"#;
        let read = facts(full).unwrap();
        assert_eq!(read.env["A"], "b=c");
        assert_eq!(read.env["EMPTY"], "");
        assert_eq!(read.labels["x"], "y");
        assert_eq!(read.user.as_deref(), Some("1001"));
        let none = br#"{"config":{"Env":null,"Labels":null,"User":""}}"#;
        for sparse in [none.as_slice(), b"{}", br#"{"config":null}"#] {
            assert_eq!(facts(sparse).unwrap(), ImageFacts::default());
        }
    }
}
