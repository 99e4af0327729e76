//! From a reference to verified bytes.

use bytes::Bytes;
use reqwest::Method;
use tokio::io::AsyncWriteExt;
use workflows::image::{Digest, Reference};

use super::error::Failure;
use super::host::{Access, Request, unavailable};
use super::manifest::{self, ACCEPT, Content, Descriptor, MAX_MANIFEST_BYTES, Manifest};
use super::{Registries, RegistryError, blob_path, manifest_path};
use crate::digest::{self, Hasher};
use crate::store::Store;

/// Largest image configuration that is read, in bytes.
const MAX_CONFIG_BYTES: usize = 4 * 1024 * 1024;
/// How often a blob is asked for when the connection breaks.
const BLOB_ATTEMPTS: u32 = 3;

/// An image of a registry without its layers.
#[derive(Debug, Clone)]
pub(crate) struct PulledImage {
    /// By its digest: of the index when there is one.
    pub(crate) reference: Reference,
    pub(crate) manifest: Manifest,
    pub(crate) config: Bytes,
}

impl Registries {
    /// Manifest and configuration of an image for this machine.
    pub(crate) async fn image(&self, reference: &Reference) -> Result<PulledImage, RegistryError> {
        self.image_parts(reference).await.map_err(|failure| failure.about(reference))
    }

    async fn image_parts(&self, reference: &Reference) -> Result<PulledImage, Failure> {
        let (digest, top) = self.manifest(reference).await?;
        let manifest = match manifest::read(&top).map_err(Failure::Malformed)? {
            Content::Image(manifest) => manifest,
            Content::Index(entries) => {
                let chosen = manifest::choose(&entries).map_err(Failure::Malformed)?;
                let (_, child) = self.manifest(&reference.at(chosen)).await?;
                match manifest::read(&child).map_err(Failure::Malformed)? {
                    Content::Image(manifest) => manifest,
                    Content::Index(_) => {
                        let why = "an index inside of an index".to_owned();
                        return Err(Failure::Malformed(why));
                    }
                }
            }
        };
        let wanted = &manifest.config.digest;
        let path = blob_path(&reference.repository, wanted);
        let request = Request::new(Method::GET, &path);
        let host = self.host(&reference.registry);
        let answer = host.ask(&reference.repository, Access::Pull, request).await?;
        let config = answer.body(MAX_CONFIG_BYTES).await?;
        if digest::of(&config) != *wanted {
            return Err(Failure::Malformed(format!("the configuration is not {wanted}")));
        }
        Ok(PulledImage { reference: reference.at(&digest), manifest: *manifest, config })
    }

    async fn manifest(&self, reference: &Reference) -> Result<(Digest, Bytes), Failure> {
        let path = manifest_path(reference);
        let request = Request { accept: Some(ACCEPT), ..Request::new(Method::GET, &path) };
        let host = self.host(&reference.registry);
        let answer = host.ask(&reference.repository, Access::Pull, request).await?;
        let bytes = answer.body(MAX_MANIFEST_BYTES).await?;
        let digest = digest::of(&bytes);
        match &reference.digest {
            Some(wanted) if *wanted != digest => {
                Err(Failure::Malformed(format!("the manifest's digest is {digest}")))
            }
            _ => Ok((digest, bytes)),
        }
    }

    /// Puts a blob into the store unless it is there.
    pub(crate) async fn fetch_blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        store: &Store,
    ) -> Result<(), RegistryError> {
        if store.has_blob(&blob.digest) {
            return Ok(());
        }
        let mut attempt = 1;
        loop {
            match self.try_fetch(reference, blob, store).await {
                Ok(()) => return Ok(()),
                Err(Failure::Unavailable(why)) if attempt < BLOB_ATTEMPTS => {
                    tracing::warn!(blob.digest = %blob.digest, attempt, why, "fetching once more");
                    attempt += 1;
                }
                Err(failure) => return Err(failure.about(reference)),
            }
        }
    }

    async fn try_fetch(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        store: &Store,
    ) -> Result<(), Failure> {
        let path = blob_path(&reference.repository, &blob.digest);
        let host = self.host(&reference.registry);
        let request = Request::new(Method::GET, &path);
        let answer = host.ask(&reference.repository, Access::Pull, request).await?;
        let mut response = answer.0;
        let temporary = store.new_file()?;
        let mut file = tokio::fs::File::from_std(temporary.as_file().try_clone()?);
        let (mut hasher, mut received) = (Hasher::default(), 0);
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            received += chunk.len() as u64;
            if received > blob.size {
                let why = format!("{} has more than its {} bytes", blob.digest, blob.size);
                return Err(Failure::Malformed(why));
            }
            hasher.update(&chunk);
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let digest = hasher.finish();
        if digest != blob.digest {
            return Err(Failure::Malformed(format!("{} arrived as {digest}", blob.digest)));
        }
        store.keep_blob(temporary, &digest)?;
        Ok(())
    }
}
