//! What is kept of a step.

use serde::{Deserialize, Serialize};
use workflows::image::Digest;

use crate::registry::Descriptor;
use crate::stage::Layer;

/// What a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// When it was carried out, in seconds since 1970.
    pub(crate) made: i64,
    /// `None` when it changed nothing.
    pub(crate) layer: Option<KeptLayer>,
}

/// The layer of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptLayer {
    pub(crate) diff_id: Digest,
    pub(crate) blob: Descriptor,
    /// The length of its tar in bytes.
    pub(crate) plain_size: u64,
}

impl KeptLayer {
    /// A layer that was made here, of which all is known.
    pub(super) fn of(layer: &Layer) -> Option<Self> {
        let Layer { diff_id, blob, plain_size, .. } = layer;
        let plain_size = (*plain_size)?;
        Some(Self { diff_id: diff_id.clone(), blob: blob.clone(), plain_size })
    }
}
