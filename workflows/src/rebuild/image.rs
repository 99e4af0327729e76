//! An image as its newest build left it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::diagnostic::quoted;
use crate::image::{BuildMode, Digest, ManifestForm, Reference, Tag};

/// Longest id: a repository and a branch of 255 bytes each, and what divides them.
pub const MAX_IMAGE_ID_BYTES: usize = 512;

/// What tells an image from all others: one release branch of one repository, such as
/// `containers/httpd@f43`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(Arc<str>);

/// Why an image's id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not an image's id: write 1 to {MAX_IMAGE_ID_BYTES} letters, digits and `._+-/@`, such \
     as `containers/httpd@f43`"
)]
pub struct ImageIdError(String);

impl ImageId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`ImageIdError`] quotes what was given.
    pub fn parse(text: &str) -> Result<Self, ImageIdError> {
        let well_formed = (1..=MAX_IMAGE_ID_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-/@".contains(&b));
        if well_formed { Ok(Self(text.into())) } else { Err(ImageIdError(quoted(text))) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImageId {
    type Error = ImageIdError;
    fn try_from(text: String) -> Result<Self, ImageIdError> {
        Self::parse(&text)
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a reference names, and of which form it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A list over platforms.
    Index(Digest),
    /// One platform's image.
    Manifest(Digest),
}

impl Target {
    /// A digest of a known form.
    #[must_use]
    pub fn new(form: ManifestForm, digest: Digest) -> Self {
        match form {
            ManifestForm::Index => Self::Index(digest),
            ManifestForm::Manifest => Self::Manifest(digest),
        }
    }

    /// The form, without the digest.
    #[must_use]
    pub fn form(&self) -> ManifestForm {
        match self {
            Self::Index(_) => ManifestForm::Index,
            Self::Manifest(_) => ManifestForm::Manifest,
        }
    }

    /// The digest, whichever kind it is of.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Index(digest) | Self::Manifest(digest) => digest,
        }
    }
}

crate::state::words! {
    /// Which `FROM` names a parent.
    ParentKind {
        /// The last one: the image stands on it.
        Parent = "parent",
        /// An earlier one, or an image that is only copied from.
        Builder = "builder",
    }
}

/// An image that another one was built on or with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// What the Dockerfile names. With a digest in it a person has pinned it, and it is never
    /// found stale.
    pub reference: Reference,
    /// Which `FROM` that was.
    #[serde(default = "last")]
    pub kind: ParentKind,
    /// What it named for the newest build; `None` when there was none or nobody knows, which is
    /// never taken for a change.
    #[serde(default)]
    pub pin: Option<Target>,
}

fn last() -> ParentKind {
    ParentKind::Parent
}

/// A name that each release build of an image moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// Where builds land.
    pub candidate: Reference,
    /// Where users pull after promotion; `None` where there is no gate between the two.
    #[serde(default)]
    pub stable: Option<Reference>,
}

impl Name {
    /// The names of one image of a release whose promotions move these tags. All stable tags name
    /// one digest, so that it does not matter which of them belongs to which candidate.
    #[must_use]
    pub fn gated(candidates: Vec<Self>, stable_tags: &[Tag]) -> Vec<Self> {
        let (Some(first), Some(last)) = (candidates.first(), stable_tags.last()) else {
            return candidates;
        };
        let first = first.candidate.clone();
        let further = stable_tags.iter().skip(candidates.len());
        let further: Vec<Self> = further
            .map(|tag| Self { candidate: first.clone(), stable: Some(first.tagged(tag)) })
            .collect();
        let gate = |(place, name): (usize, Self)| {
            let tag = stable_tags.get(place).unwrap_or(last);
            Self { stable: Some(name.candidate.tagged(tag)), ..name }
        };
        candidates.into_iter().enumerate().map(gate).chain(further).collect()
    }
}

/// What a failed rebuild had been given for one parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The reference that was followed.
    pub reference: Reference,
    /// The digest that was built on.
    pub digest: Digest,
}

/// The failures since the last success.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// How many there were on the parents in `tried`; none where it could not be begun, and that is
    /// not the image's fault.
    pub attempts: u32,
    /// When the last one ended.
    pub last_at: DateTime<Utc>,
    /// Why it failed, in words for people.
    pub reason: String,
    /// What it was built on. Parents that have moved since may mend it, so that the count is of
    /// no account for them.
    pub tried: Vec<Tried>,
}

/// One image as its newest build left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Which one.
    pub id: ImageId,
    /// The release that its branch belongs to.
    pub release: String,
    /// How it was built. Only release builds are rebuilt, and only they cause rebuilds.
    pub mode: BuildMode,
    /// The names that its builds move.
    pub names: Vec<Name>,
    /// What it was built on and with.
    pub parents: Vec<Parent>,
    /// The repository's own wish; `None` follows the release's.
    pub autorebuild: Option<bool>,
    /// A release given by the packager that nothing makes unique: a second build of it would
    /// collide with the first.
    pub fixed_release: Option<String>,
    /// Why an operator stopped its rebuilds; `None` when they may run.
    pub held: Option<String>,
    /// The failures since the last success.
    pub failure: Option<Box<Failure>>,
    /// When it was built last; `None` where nobody knows, which is longest ago.
    pub built_at: Option<DateTime<Utc>>,
}
