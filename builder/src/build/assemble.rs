//! From the last stage to an image.

use std::sync::Arc;

use bytes::Bytes;
use workflows::image::Digest;

use super::BuiltImage;
use crate::cache::KeptStep;
use crate::digest;
use crate::image;
use crate::registry::{CONFIG_TYPE, Descriptor, MANIFEST_TYPE, Manifest};
use crate::stage::Built;
use crate::store::Hold;

/// Longest instruction that a history shows, in bytes; configurations have a bound too.
const MAX_HISTORY_BYTES: usize = 4096;

/// Makes the configuration and the manifest.
pub(super) fn assemble(built: &Built, now: i64, kept: Vec<KeptStep>, hold: Hold) -> BuiltImage {
    let diff_ids: Vec<Digest> = built.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let created = chrono::DateTime::from_timestamp(now, 0).unwrap_or_default();
    let created = created.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut history = built.history.clone();
    for step in &mut history {
        while step.text.len() > MAX_HISTORY_BYTES {
            step.text.pop();
        }
    }
    let config = image::write(&built.inherited, &built.config, &diff_ids, &history, &created);
    let id = digest::of(&config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config: Descriptor {
            media_type: CONFIG_TYPE.to_owned(),
            digest: id.clone(),
            size: config.len() as u64,
            urls: Vec::new(),
        },
        layers: built.layers.iter().map(|layer| layer.blob.clone()).collect(),
    };
    // A structure of strings and numbers is always JSON.
    let manifest = Bytes::from(serde_json::to_vec(&manifest).unwrap_or_default());
    let digest = digest::of(&manifest);
    let (config, layers) = (config.into(), built.layers.clone());
    BuiltImage { digest, id, manifest, config, kept, layers, _hold: Arc::new(hold) }
}
