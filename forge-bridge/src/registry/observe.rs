//! What a tag names now, asked for as cheaply as a registry allows.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG};
use workflows::image::{Digest, ManifestForm, Reference};
use workflows::rebuild::Target;

use super::host::{Access, Request};
use super::{Registries, RegistryError, malformed, manifest, manifest_path};

/// Longest entity tag that is kept, in bytes; registries use the digest.
const MAX_ETAG_BYTES: usize = 256;

/// What a registry says of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The same as before.
    Unchanged,
    /// This, and the entity tag to ask with the next time.
    Names(Target, Option<String>),
}

impl Registries {
    /// What a reference names, by a question that has no body in its answer. `etag` is what an
    /// earlier answer gave; a registry that knows such questions answers them from memory.
    pub(crate) async fn observe(
        &self,
        reference: &Reference,
        etag: Option<&str>,
    ) -> Result<Seen, RegistryError> {
        let host = self
            .hosts
            .get(&reference.registry)
            .ok_or_else(|| RegistryError::NotAllowed { host: reference.registry.clone() })?;
        let path = manifest_path(reference);
        let request = Request {
            method: Method::HEAD,
            path: &path,
            repository: &reference.repository,
            access: Access::Pull,
            unless: etag,
            body: None,
        };
        let answer = host.ask(&request).await.map_err(|error| error.about(reference))?;
        if answer.is_unchanged() {
            return Ok(Seen::Unchanged);
        }
        let form = answer.header(CONTENT_TYPE.as_str()).and_then(manifest::form);
        let known = answer.header(ETAG.as_str()).filter(|etag| etag.len() <= MAX_ETAG_BYTES);
        let known = known.map(ToOwned::to_owned);
        match (form, answer.digest()) {
            (Some(form), Some(digest)) => {
                let digest = Digest::parse(digest)
                    .map_err(|error| malformed(reference, error.to_string()))?;
                Ok(Seen::Names(Target::new(form, digest), known))
            }
            // A registry that says too little in the head of its answer.
            _ => Ok(Seen::Names(self.target_by_content(reference).await?, known)),
        }
    }

    async fn target_by_content(&self, reference: &Reference) -> Result<Target, RegistryError> {
        let found = self.manifest(reference).await?;
        let content = manifest::read(&found.bytes).map_err(|why| malformed(reference, why))?;
        let form = match content {
            manifest::Content::Image { .. } => ManifestForm::Manifest,
            manifest::Content::Index { .. } => ManifestForm::Index,
        };
        Ok(Target::new(form, found.digest))
    }
}
