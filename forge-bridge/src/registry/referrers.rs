//! Documents beside an image: artifact manifests with a subject (OCI 1.1), and the tag by which
//! they are found in a registry that does not list referrers by itself.

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Map, Value, json};
use workflows::image::{Digest, Reference, Tag};

use super::host::Access;
use super::{Registries, RegistryError, digest_of_bytes, malformed, manifest_path};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An artifact has no configuration; the specification wants this one in its place.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";
/// Most referrers of one image that are kept in its fallback index.
const MAX_REFERRERS: usize = 1_000;

/// A document that is put beside an image.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    /// What it is: the type of the artifact and of its only layer.
    pub(crate) media_type: &'static str,
    /// Of the manifest, and shown in lists of referrers.
    pub(crate) annotations: Map<String, Value>,
    /// The document.
    pub(crate) content: Bytes,
}

impl Registries {
    /// Puts a document beside the image that `subject` names by digest; the answer is the digest
    /// of its manifest. The same document again changes nothing.
    pub(crate) async fn attach(
        &self,
        subject: &Reference,
        artifact: &Artifact,
    ) -> Result<Digest, RegistryError> {
        let Some(of) = subject.digest.clone() else {
            return Err(malformed(subject, "documents are put beside a digest only".to_owned()));
        };
        let image = self.manifest(subject).await?;
        let content = self.put_blob(subject, artifact.content.clone()).await?;
        let config = self.put_blob(subject, Bytes::from_static(EMPTY)).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact.media_type,
            "config": { "mediaType": EMPTY_TYPE, "digest": config, "size": EMPTY.len() },
            "layers": [{
                "mediaType": artifact.media_type, "digest": content,
                "size": artifact.content.len(),
            }],
            "subject": {
                "mediaType": image.media_type, "digest": of, "size": image.bytes.len(),
            },
            "annotations": artifact.annotations,
        });
        let bytes = Bytes::from(manifest.to_string());
        let digest = digest_of_bytes(&bytes);
        let descriptor = json!({
            "mediaType": MANIFEST, "digest": digest, "size": bytes.len(),
            "artifactType": artifact.media_type, "annotations": artifact.annotations,
        });
        let path = manifest_path(&subject.at(&digest));
        let body = Some((MANIFEST, bytes));
        let answer = self.ask(subject, Method::PUT, &path, Access::Push, body).await?;
        // Only a registry that lists referrers by itself says that it has read the subject.
        if answer.header("oci-subject") != Some(of.as_str()) {
            self.list_by_tag(subject, &of, descriptor).await?;
        }
        Ok(digest)
    }

    /// Adds a descriptor to the index under the fallback tag of an image, unless it is there.
    async fn list_by_tag(
        &self,
        subject: &Reference,
        of: &Digest,
        descriptor: Value,
    ) -> Result<(), RegistryError> {
        let index = subject.tagged(&fallback_tag(of));
        let present = match self.manifest(&index).await {
            Ok(present) => Some(present.bytes),
            Err(RegistryError::Unknown { .. }) => None,
            Err(error) => return Err(error),
        };
        let changed =
            with_referrer(present.as_deref(), descriptor).map_err(|why| malformed(&index, why))?;
        let Some(changed) = changed else { return Ok(()) };
        let body = Some((INDEX, Bytes::from(changed.to_string())));
        self.ask(&index, Method::PUT, &manifest_path(&index), Access::Push, body).await?;
        Ok(())
    }
}

/// `sha256-<hex>`, as the distribution specification has it.
pub(super) fn fallback_tag(of: &Digest) -> Tag {
    let text = of.as_str().replacen(':', "-", 1);
    Tag::parse(&text).unwrap_or_else(|_| unreachable!("a digest with a dash is a tag"))
}

/// The index with one more referrer; `None` when it has it already. The error is a sentence.
fn with_referrer(index: Option<&[u8]>, descriptor: Value) -> Result<Option<Value>, String> {
    let mut index = match index {
        None => json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }),
        Some(bytes) => serde_json::from_slice::<Value>(bytes)
            .map_err(|error| format!("the list of referrers is no JSON: {error}"))?,
    };
    let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err("something else than a list of referrers stands under this tag".to_owned());
    };
    if manifests.iter().any(|known| known["digest"] == descriptor["digest"]) {
        return Ok(None);
    }
    if manifests.len() >= MAX_REFERRERS {
        return Err(format!("the image has {MAX_REFERRERS} referrers already"));
    }
    manifests.push(descriptor);
    Ok(Some(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referrer_is_listed_once_beside_those_of_others() {
        let descriptor = |digest: &str| json!({ "digest": digest });
        let first = with_referrer(None, descriptor("a")).unwrap().unwrap();
        assert_eq!(first["mediaType"], INDEX);
        let bytes = first.to_string();
        let second = with_referrer(Some(bytes.as_bytes()), descriptor("b")).unwrap().unwrap();
        assert_eq!(second["manifests"], json!([{"digest": "a"}, {"digest": "b"}]));
        assert_eq!(with_referrer(Some(bytes.as_bytes()), descriptor("a")), Ok(None));
    }

    #[test]
    fn what_is_no_list_of_referrers_is_left_alone() {
        for other in ["{}", "[]", "x", r#"{"config":{}}"#] {
            assert!(
                with_referrer(Some(other.as_bytes()), json!({"digest": "a"})).is_err(),
                "{other}"
            );
        }
        let full = json!({ "manifests": vec![json!({"digest": "x"}); MAX_REFERRERS] }).to_string();
        assert!(with_referrer(Some(full.as_bytes()), json!({"digest": "a"})).is_err());
    }

    #[test]
    fn the_fallback_tag_is_the_digest_with_a_dash() {
        let digest = digest_of_bytes(b"");
        let expected = "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(fallback_tag(&digest).as_str(), expected);
    }
}
