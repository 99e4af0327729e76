//! Steps at a registry: each is a small manifest under a tag of its own, so that machines that
//! build at the same time never overwrite each other's.
//!
//! The tag is made of domain and key; the manifest names the layer, which keeps it from being
//! taken away at the registry, and tells the rest in an annotation. Whoever may write to that
//! repository decides what others take: it is for builders alone.

use bytes::Bytes;
use serde_json::json;
use workflows::image::{Digest, Reference, Tag};

use super::entry::{Entry, KeptLayer};
use super::key::Key;
use crate::digest;
use crate::registry::{
    LAYER_TYPE, MANIFEST_TYPE, Pusher, Registries, RegistryError, ZSTD_LAYER_TYPE,
};
use crate::store::Store;

/// What the manifests are of.
const ARTIFACT_TYPE: &str = "application/vnd.strata.step.v1+json";
/// The annotation with the entry.
const ANNOTATION: &str = "org.strata.step";
/// What OCI calls a blob that says nothing.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// That blob.
const EMPTY: &[u8] = b"{}";

/// Steps on their way to a registry.
#[derive(Debug)]
pub(crate) struct Share {
    to: Reference,
    domain: String,
    made: Vec<(Key, Entry)>,
}

impl Share {
    pub(super) fn new(to: Reference, domain: String, made: Vec<(Key, Entry)>) -> Self {
        Self { to, domain, made }
    }

    /// Sends them; `pushed` is where the image with their layers has gone. What cannot be sent is
    /// only told in the log: nobody needs it.
    pub(crate) async fn send(
        &self,
        pushed: Option<&Reference>,
        registries: &Registries,
        store: &Store,
    ) {
        for (key, entry) in &self.made {
            if let Err(error) = self.one(key, entry, pushed, registries, store).await {
                tracing::warn!(%error, "the steps of this build are not shared");
                return;
            }
        }
    }

    async fn one(
        &self,
        key: &Key,
        entry: &Entry,
        pushed: Option<&Reference>,
        registries: &Registries,
        store: &Store,
    ) -> Result<(), RegistryError> {
        let pusher = Pusher::new(registries, &self.to);
        pusher.bytes(&digest::of(EMPTY), Bytes::from_static(EMPTY)).await?;
        if let Some(KeptLayer { blob, .. }) = &entry.layer {
            let from = pushed.filter(|pushed| pushed.registry == self.to.registry);
            let is_there = match from {
                Some(from) => pusher.mount(&blob.digest, &from.repository).await?,
                None => false,
            };
            if !is_there {
                pusher.file(&blob.digest, &store.blob_path(&blob.digest)).await?;
            }
        }
        let manifest = Bytes::from(manifest(entry).to_string());
        for key in key.exact.iter().chain([&key.loose]) {
            let pusher = Pusher::new(registries, &place(&self.to, &self.domain, key));
            pusher.manifest(&digest::of(&manifest), manifest.clone()).await?;
        }
        Ok(())
    }
}

fn manifest(entry: &Entry) -> serde_json::Value {
    let empty = json!({
        "mediaType": EMPTY_TYPE, "digest": digest::of(EMPTY), "size": EMPTY.len(),
    });
    // A manifest has at least one layer.
    let layer = entry.layer.as_ref().map_or_else(|| empty.clone(), |layer| json!(layer.blob));
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": empty,
        "layers": [layer],
        "annotations": {ANNOTATION: json!(entry).to_string()},
    })
}

/// Where a step is: the tag tells domain and key, and nobody can tell these from it.
fn place(repository: &Reference, domain: &str, key: &Digest) -> Reference {
    let digest = digest::of(format!("{domain}\0{key}").as_bytes());
    let hex = digest.as_str().trim_start_matches("sha256:");
    // Hexadecimal digits are always a tag.
    Reference { tag: Tag::parse(hex).ok(), digest: None, ..repository.clone() }
}

impl Registries {
    /// The step of that domain and key, when the repository has it and its layer.
    pub(super) async fn shared_step(
        &self,
        repository: &Reference,
        domain: &str,
        key: &Digest,
    ) -> Result<Option<Entry>, RegistryError> {
        let place = place(repository, domain, key);
        let bytes = match self.manifest_bytes(&place).await {
            Err(RegistryError::Unknown { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let Some(entry) = read(&bytes) else { return Ok(None) };
        match &entry.layer {
            Some(layer) if !self.has_blob(repository, &layer.blob.digest).await? => Ok(None),
            _ => Ok(Some(entry)),
        }
    }
}

/// Reads a manifest; what is no step of ours is none.
fn read(manifest: &[u8]) -> Option<Entry> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).ok()?;
    let entry: Entry = serde_json::from_str(manifest["annotations"][ANNOTATION].as_str()?).ok()?;
    let is_sound = entry.layer.as_ref().is_none_or(|layer| {
        let types = [LAYER_TYPE, ZSTD_LAYER_TYPE];
        types.contains(&layer.blob.media_type.as_str()) && layer.blob.urls.is_empty()
    });
    is_sound.then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Descriptor;

    fn entry(media_type: &str) -> Entry {
        let digest = digest::of(b"layer");
        let blob = Descriptor {
            media_type: media_type.to_owned(),
            digest: digest.clone(),
            size: 5,
            urls: Vec::new(),
        };
        Entry { made: 7, layer: Some(KeptLayer { diff_id: digest, blob, plain_size: 9 }) }
    }

    #[test]
    fn what_is_shared_is_read_back_and_nothing_else() {
        let nothing = Entry { made: 7, layer: None };
        for entry in [entry(LAYER_TYPE), entry(ZSTD_LAYER_TYPE), nothing] {
            assert_eq!(read(manifest(&entry).to_string().as_bytes()), Some(entry));
        }
        let odd = manifest(&entry("text/html")).to_string();
        for bad in ["", "{}", r#"{"annotations":{"org.strata.step":"{}"}}"#, &odd] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn domains_have_different_tags() {
        let repository = Reference::parse("r.example/cache", "x").unwrap();
        let key = digest::of(b"key");
        let (one, other) = (place(&repository, "a", &key), place(&repository, "b", &key));
        assert!(one.tag.is_some() && one.tag != other.tag);
    }
}
