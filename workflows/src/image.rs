//! References, tags, digests, NVRs and the tags of a build.

mod pin;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use pin::{ManifestForm, ParentPin};

/// Longest tag that a registry takes (OCI distribution specification).
pub const MAX_TAG_BYTES: usize = 128;
/// Longest repository path that is accepted; registries stop at 255 with their host.
pub const MAX_REPOSITORY_BYTES: usize = 255;
/// The registry that a reference without a host means, as Docker reads it.
pub const DOCKER_HUB: &str = "docker.io";

/// Why a reference, tag, digest or NVR was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// Not `[registry/]repository[:tag][@digest]`.
    #[error("`{0}` is not an image reference: expected `[registry/]repository[:tag][@sha256:…]`")]
    Reference(String),
    /// Not a tag.
    #[error("`{0}` is not a tag: at most 128 letters, digits and `_.-`, the first no `.` or `-`")]
    Tag(String),
    /// Not a digest.
    #[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
    Digest(String),
    /// A part of an NVR is empty or holds what it must not.
    #[error("`{text}` cannot be the {part} of an NVR: {rule}")]
    Nvr {
        /// name, version or release.
        part: &'static str,
        /// What was given.
        text: String,
        /// What is allowed.
        rule: &'static str,
    },
}

/// The identity of a manifest: `sha256:` and 64 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A movable name in a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// `registry/repository[:tag][@digest]`, complete: the registry is always there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// Host, with a port where it has one.
    pub registry: String,
    /// Path on the registry.
    pub repository: String,
    /// The tag; `None` only together with a digest.
    pub tag: Option<Tag>,
    /// The digest, when the reference is pinned.
    pub digest: Option<Digest>,
}

impl Digest {
    /// Checks a digest.
    ///
    /// # Errors
    /// [`ImageNameError::Digest`] for anything but sha256 in lower case.
    pub fn parse(text: &str) -> Result<Self, ImageNameError> {
        let hex = text.strip_prefix("sha256:").filter(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        hex.map(|_| Self(text.to_owned())).ok_or_else(|| ImageNameError::Digest(shown(text)))
    }

    /// The digest with its algorithm.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0["sha256:".len()..][..12]
    }
}

impl Tag {
    /// Checks a tag.
    ///
    /// # Errors
    /// [`ImageNameError::Tag`] when a registry would refuse it.
    pub fn parse(text: &str) -> Result<Self, ImageNameError> {
        let well_formed = !text.is_empty()
            && text.len() <= MAX_TAG_BYTES
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(ImageNameError::Tag(shown(text))) }
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Reference {
    /// Reads a reference as Docker does, but with `default_registry` in the place of Docker Hub
    /// for a name without a host. No tag and no digest means `latest`.
    ///
    /// # Errors
    /// [`ImageNameError`] says which part is wrong.
    pub fn parse(text: &str, default_registry: &str) -> Result<Self, ImageNameError> {
        let refused = || ImageNameError::Reference(shown(text));
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(Tag::parse(tag)?)),
            _ => (name, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if looks_like_host(host) => (host, rest.to_owned()),
            _ if default_registry == DOCKER_HUB && !name.contains('/') => {
                (default_registry, format!("library/{name}"))
            }
            _ => (default_registry, name.to_owned()),
        };
        if !host_is_safe(registry) || !repository_is_safe(&repository) {
            return Err(refused());
        }
        let tag = match (&tag, &digest) {
            (None, None) => Some(Tag("latest".to_owned())),
            _ => tag,
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// The same image by its digest alone, as a FROM line is pinned.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// The same repository under another tag.
    #[must_use]
    pub fn tagged(&self, tag: &Tag) -> Self {
        Self { tag: Some(tag.clone()), digest: None, ..self.clone() }
    }

    /// `registry/repository` without tag and digest.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

/// Docker's rule: the part before the first slash is a host when it has a dot or a colon or is
/// `localhost`.
fn looks_like_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

fn host_is_safe(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The distribution specification's path: lower case, parts divided by `/`, separators inside a
/// part only between letters or digits.
fn repository_is_safe(path: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    !path.is_empty()
        && path.len() <= MAX_REPOSITORY_BYTES
        && path.split('/').all(|part| {
            let bytes = part.as_bytes();
            bytes.first().copied().is_some_and(alphanumeric)
                && bytes.last().copied().is_some_and(alphanumeric)
                && bytes.iter().all(|&b| alphanumeric(b) || b"._-".contains(&b))
                && !part.contains("..")
        })
}

/// Name, version and release: the unique name of a released image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nvr {
    /// The component, `-container` at its end by custom.
    pub name: String,
    /// Without `-`, so that an NVR can be read from the right.
    pub version: String,
    /// Given by the packager or the next free one.
    pub release: String,
}

impl Nvr {
    /// Puts an NVR together.
    ///
    /// # Errors
    /// [`ImageNameError::Nvr`] names the part and the rule that it breaks.
    pub fn new(name: &str, version: &str, release: &str) -> Result<Self, ImageNameError> {
        let check = |part, text: &str, dashes: bool| {
            let rule = if dashes {
                "letters, digits and `._+-` are allowed"
            } else {
                "letters, digits and `._+~` are allowed, no `-` and no `/`"
            };
            let extra: &[u8] = if dashes { b"._+-" } else { b"._+~" };
            let good = !text.is_empty()
                && text.len() <= MAX_TAG_BYTES
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b));
            if good { Ok(()) } else { Err(ImageNameError::Nvr { part, text: shown(text), rule }) }
        };
        check("name", name, true)?;
        check("version", version, false)?;
        check("release", release, false)?;
        Ok(Self { name: name.to_owned(), version: version.to_owned(), release: release.to_owned() })
    }

    /// Reads `name-version-release` from the right.
    ///
    /// # Errors
    /// [`ImageNameError::Nvr`] when there are fewer than three parts or one is not acceptable.
    pub fn parse(text: &str) -> Result<Self, ImageNameError> {
        let mut parts = text.rsplitn(3, '-');
        let release = parts.next().unwrap_or_default();
        let version = parts.next().unwrap_or_default();
        Self::new(parts.next().unwrap_or_default(), version, release)
    }
}

impl fmt::Display for Nvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.name, self.version, self.release)
    }
}

crate::state::words! {
    /// What a build may keep and which tags it gets.
    BuildMode {
        /// NVR kept; unique, primary and floating tags.
        Release = "release",
        /// Test build: the unique tag only, no NVR.
        Scratch = "scratch",
        /// Fix on an old line: unique and primary tags.
        Isolated = "isolated",
    }
}

crate::state::words! {
    /// Classes of tags, in the order in which they are put.
    TagClass {
        /// The runner pushed it.
        Unique = "unique",
        /// `{version}-{release}`; never moves.
        Primary = "primary",
        /// Moves to each new release build.
        Floating = "floating",
        /// Moves to a build that a person promotes.
        Stable = "stable",
    }
}

/// The tags of one build, each class in its own field because each is put at its own time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagPlan {
    /// One per build attempt; the runner pushes it.
    pub unique: Tag,
    /// `{version}-{release}`; never moves. `None` for a scratch build.
    pub primary: Option<Tag>,
    /// Moved to each new release build, last of all.
    pub floating: Vec<Tag>,
}

/// An image that a runner built and pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// Where it was pushed: the unique tag.
    pub reference: Reference,
    /// The manifest's digest as the registry stored it.
    pub digest: Digest,
    /// Sum of the compressed layers and the config, in bytes.
    pub size_bytes: u64,
}

fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 120;
    text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect()
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ImageNameError;
            fn try_from(text: String) -> Result<Self, ImageNameError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_conversions!(Digest, Tag);

impl TryFrom<String> for Reference {
    type Error = ImageNameError;
    fn try_from(text: String) -> Result<Self, ImageNameError> {
        Self::parse(&text, DOCKER_HUB)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_docker_reads_them() {
        let sha = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("busybox", "docker.io/library/busybox:latest".to_owned()),
            ("fedora/httpd:2", "docker.io/fedora/httpd:2".to_owned()),
            ("localhost/x", "localhost/x:latest".to_owned()),
            ("127.0.0.1:5000/f43/base", "127.0.0.1:5000/f43/base:latest".to_owned()),
            ("r.example/a/b:1@D", format!("r.example/a/b:1@{sha}")),
            ("r.example/a/b@D", format!("r.example/a/b@{sha}")),
        ] {
            let text = text.replace('D', &sha);
            assert_eq!(Reference::parse(&text, DOCKER_HUB).unwrap().to_string(), expected);
        }
        let own = Reference::parse("f43/base", "registry.example").unwrap();
        assert_eq!(own.to_string(), "registry.example/f43/base:latest");
    }

    #[test]
    fn hostile_references_are_refused() {
        for bad in [
            "",
            ":",
            "@",
            "A",
            "a b",
            "a;b",
            "../x",
            "r.example/../x",
            "r.example/a//b",
            "-x",
            "r.example:99999/a",
            "r.example:0/a",
            "x@sha256:abc",
            "x:-t",
            "x:.t",
            "r.example/a/",
            "x@md5:aa",
        ] {
            assert!(Reference::parse(bad, DOCKER_HUB).is_err(), "{bad:?}");
        }
        assert!(Tag::parse(&"a".repeat(129)).is_err());
    }

    #[test]
    fn an_nvr_is_read_from_the_right() {
        let nvr = Nvr::parse("httpd-container-2.4-1.f43").unwrap();
        assert_eq!(nvr, Nvr::new("httpd-container", "2.4", "1.f43").unwrap());
        assert!(Nvr::parse("a-b").is_err());
        assert!(Nvr::new("a", "1-2", "1").is_err());
        assert!(Nvr::new("a", "", "1").is_err());
    }
}
