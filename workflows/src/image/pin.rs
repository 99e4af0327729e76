//! What a reference is held to.

use serde::{Deserialize, Serialize};

use super::{Digest, Reference};
use crate::rebuild::ParentKind;

/// A reference together with the digest that a build uses for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentPin {
    /// The image as the Dockerfile names it.
    pub written: String,
    /// The complete reference.
    pub reference: Reference,
    /// What it named when the job was planned.
    pub digest: Digest,
    /// Whether the image stands on it or only takes something from it; `None` for an image that
    /// no Dockerfile names, and in records that are older than the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ParentKind>,
    /// What the digest is of; `None` in records that are older than the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<ManifestForm>,
}

crate::state::words! {
    /// What a digest is of. The digest of an index never equals that of one of its manifests,
    /// although both may mean the same image.
    ManifestForm {
        /// A list over platforms.
        Index = "index",
        /// One platform's image.
        Manifest = "manifest",
    }
}
