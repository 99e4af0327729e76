//! From a reference to verified bytes.

use std::io::Seek;
use std::sync::PoisonError;

use bytes::Bytes;
use reqwest::{Method, Response, StatusCode};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use workflows::image::{Digest, Reference};

use super::error::Failure;
use super::host::{Access, Range, Request, unavailable};
use super::manifest::{self, ACCEPT, Content, Descriptor, MAX_MANIFEST_BYTES, Manifest};
use super::{Registries, RegistryError, blob_path, manifest_path};
use crate::digest::{self, Hasher};
use crate::store::Store;

/// Largest image configuration that is read, in bytes.
const MAX_CONFIG_BYTES: usize = 4 * 1024 * 1024;
/// How often a blob is asked for when the connection breaks before it brings anything.
const ATTEMPTS: u32 = 3;
/// Most connections that break over one blob, however far each has brought it.
const MAX_CUTS: u32 = 100;

/// An image of a registry without its layers.
#[derive(Debug, Clone)]
pub(crate) struct PulledImage {
    /// By its digest: of the index when there is one.
    pub(crate) reference: Reference,
    pub(crate) manifest: Manifest,
    pub(crate) config: Bytes,
}

impl Registries {
    /// Manifest and configuration of an image for this machine; the configuration is taken from the
    /// store where there is one that has it, and left there where not.
    pub(crate) async fn image(
        &self,
        reference: &Reference,
        store: Option<&Store>,
    ) -> Result<PulledImage, RegistryError> {
        let name = reference.digest.as_ref().map(|_| reference.to_string());
        let images = || self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = name.as_ref().and_then(|name| images().get(name).cloned()) {
            return Ok(known);
        }
        let image =
            self.image_parts(reference, store).await.map_err(|failure| failure.about(reference))?;
        if let Some(name) = name {
            images().insert(name, image.clone());
        }
        Ok(image)
    }

    /// Puts all layers of an image into the store; `begins` is called when one is missing.
    ///
    /// # Errors
    /// [`RegistryError`] says whether there is no such image or no answer.
    pub async fn prefetch(
        &self,
        reference: &Reference,
        store: &Store,
        begins: impl FnOnce() + Send,
    ) -> Result<(), RegistryError> {
        let image = self.image(reference, Some(store)).await?;
        let missing: Vec<&Descriptor> =
            image.manifest.layers.iter().filter(|blob| !store.has_blob(&blob.digest)).collect();
        if !missing.is_empty() {
            begins();
        }
        let fetches = missing.into_iter().map(|blob| self.fetch_blob(reference, blob, store));
        futures_util::future::try_join_all(fetches).await.map(drop)
    }

    async fn image_parts(
        &self,
        reference: &Reference,
        store: Option<&Store>,
    ) -> Result<PulledImage, Failure> {
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
        let config = self.config(reference, &manifest.config.digest, store).await?;
        Ok(PulledImage { reference: reference.at(&digest), manifest: *manifest, config })
    }

    async fn config(
        &self,
        reference: &Reference,
        wanted: &Digest,
        store: Option<&Store>,
    ) -> Result<Bytes, Failure> {
        if let Some(known) = store.and_then(|store| store.small_blob(wanted, MAX_CONFIG_BYTES)) {
            return Ok(known);
        }
        let path = blob_path(&reference.repository, wanted);
        let request = Request::new(Method::GET, &path);
        let host = self.host(&reference.registry);
        let answer = host.ask(&reference.repository, Access::Pull, request).await?;
        let config = answer.body(MAX_CONFIG_BYTES).await?;
        if digest::of(&config) != *wanted {
            return Err(Failure::Malformed(format!("the configuration is not {wanted}")));
        }
        if let Some(store) = store {
            store.keep_small_blob(&config, wanted);
        }
        Ok(config)
    }

    /// A manifest of any kind.
    pub(crate) async fn manifest_bytes(
        &self,
        reference: &Reference,
    ) -> Result<Bytes, RegistryError> {
        let got = self.manifest(reference).await;
        got.map(|(_, bytes)| bytes).map_err(|failure| failure.about(reference))
    }

    /// Whether a repository has a blob.
    pub(crate) async fn has_blob(
        &self,
        repository: &Reference,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let path = blob_path(&repository.repository, digest);
        let host = self.host(&repository.registry);
        let request = Request::new(Method::HEAD, &path);
        match host.ask(&repository.repository, Access::Pull, request).await {
            Ok(_) => Ok(true),
            Err(Failure::Unknown) => Ok(false),
            Err(failure) => Err(failure.about(repository)),
        }
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

    /// Puts a blob into the store unless it is there. Broken connections are borne as long as each
    /// brings it further; those that do not are counted.
    pub(crate) async fn fetch_blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        store: &Store,
    ) -> Result<(), RegistryError> {
        if store.has_blob(&blob.digest) {
            return Ok(());
        }
        // The semaphore is never closed.
        let _stream = self.streams.acquire().await;
        let fetched = self.fetch_patiently(reference, blob, store).await;
        fetched.map_err(|failure| match failure {
            Failure::Local(error) => {
                let place = store.path().display();
                let doing = format!("cannot keep a layer of {reference} in {place}");
                RegistryError::Local { doing, error }
            }
            other => other.about(reference),
        })
    }

    async fn fetch_patiently(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        store: &Store,
    ) -> Result<(), Failure> {
        let mut part = Part::new(store)?;
        let (mut attempt, mut cuts) = (1, 0);
        loop {
            let had = part.received;
            match self.fetch_rest(reference, blob, &mut part).await {
                Ok(()) => break,
                Err(Failure::Unavailable(why)) if attempt < ATTEMPTS && cuts < MAX_CUTS => {
                    let has = part.received;
                    tracing::warn!(blob.digest = %blob.digest, attempt, has, why, "a fetch broke");
                    cuts += 1;
                    attempt += u32::from(has <= had);
                }
                Err(failure) => return Err(failure),
            }
        }
        let digest = part.hasher.finish();
        if digest != blob.digest {
            return Err(Failure::Malformed(format!("{} arrived as {digest}", blob.digest)));
        }
        Ok(store.keep_blob(part.file, &digest)?)
    }

    /// Fetches what is missing of a blob.
    async fn fetch_rest(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        part: &mut Part,
    ) -> Result<(), Failure> {
        let path = blob_path(&reference.repository, &blob.digest);
        let host = self.host(&reference.registry);
        let range = (part.received > 0).then_some(Range::Wanted(part.received));
        let request = Request { range, ..Request::new(Method::GET, &path) };
        let mut response = host.ask(&reference.repository, Access::Pull, request).await?.0;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // It begins at the beginning.
            part.begin_again()?;
        }
        let mut file = tokio::fs::File::from_std(part.file.as_file().try_clone()?);
        let arrived = part.take(&mut response, &mut file, blob).await;
        // What is counted is in the file, also when the connection broke after it.
        file.flush().await?;
        arrived
    }
}

/// A blob as far as it has arrived.
struct Part {
    file: NamedTempFile,
    hasher: Hasher,
    received: u64,
}

impl Part {
    fn new(store: &Store) -> Result<Self, Failure> {
        Ok(Self { file: store.new_file()?, hasher: Hasher::default(), received: 0 })
    }

    async fn take(
        &mut self,
        response: &mut Response,
        file: &mut tokio::fs::File,
        blob: &Descriptor,
    ) -> Result<(), Failure> {
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if self.received + chunk.len() as u64 > blob.size {
                let why = format!("{} has more than its {} bytes", blob.digest, blob.size);
                return Err(Failure::Malformed(why));
            }
            file.write_all(&chunk).await?;
            self.received += chunk.len() as u64;
            self.hasher.update(&chunk);
        }
        if self.received < blob.size {
            let why = format!("{} ended after {} bytes", blob.digest, self.received);
            return Err(Failure::Unavailable(why));
        }
        Ok(())
    }

    fn begin_again(&mut self) -> Result<(), Failure> {
        self.file.as_file_mut().rewind()?;
        self.file.as_file_mut().set_len(0)?;
        (self.hasher, self.received) = (Hasher::default(), 0);
        Ok(())
    }
}
