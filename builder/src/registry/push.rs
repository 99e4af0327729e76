//! Blobs and manifests to a registry.

mod upload;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use workflows::image::{Digest, Reference};

use super::error::Failure;
use super::host::{Access, Answer, Content, Host, Request};
use super::manifest::MANIFEST_TYPE;
use super::{Registries, RegistryError, blob_path, manifest_path};

pub(crate) use upload::{Stream, StreamEnd};

/// How often a request is sent when the registry does not answer, or a blob from its beginning.
const ATTEMPTS: u32 = 3;
/// How long nothing is sent after the first failure; twice that after the second, and so on.
const PAUSE: Duration = Duration::from_millis(300);

/// Sends to one repository.
#[derive(Debug, Clone)]
pub(crate) struct Pusher {
    host: Arc<Host>,
    target: Reference,
}

impl Pusher {
    pub(crate) fn new(registries: &Registries, target: &Reference) -> Self {
        Self { host: registries.host(&target.registry), target: target.clone() }
    }

    /// Whether blobs can be taken over from that repository: another one of the same registry.
    pub(crate) fn is_beside(&self, other: &Reference) -> bool {
        other.registry == self.target.registry && other.repository != self.target.repository
    }

    /// Whether blobs of that repository are where this one sends to.
    pub(crate) fn is_at(&self, other: &Reference) -> bool {
        other.registry == self.target.registry && other.repository == self.target.repository
    }

    async fn ask(&self, request: Request<'_>) -> Result<Answer, Failure> {
        self.host.ask(&self.target.repository, Access::Push, request).await
    }

    /// Asks what may be asked twice, again when the registry does not answer.
    async fn ask_patiently<'a>(
        &self,
        request: impl Fn() -> Request<'a> + Send + Sync,
    ) -> Result<Answer, Failure> {
        let mut patience = Patience::default();
        loop {
            match self.ask(request()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => patience.bear(failure).await?,
            }
        }
    }

    fn about(&self, failure: Failure) -> RegistryError {
        failure.about(&self.target)
    }

    /// Whether the repository has the blob.
    async fn has(&self, digest: &Digest) -> Result<bool, Failure> {
        let path = blob_path(&self.target.repository, digest);
        match self.ask(Request::new(Method::HEAD, &path)).await {
            Ok(_) => Ok(true),
            Err(Failure::Unknown) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Takes a blob over from another repository of the same registry; tells whether the
    /// repository has it now.
    pub(crate) async fn mount(&self, digest: &Digest, from: &str) -> Result<bool, RegistryError> {
        let path =
            format!("/v2/{}/blobs/uploads/?mount={digest}&from={from}", self.target.repository);
        let answer = self.ask_patiently(|| Request::new(Method::POST, &path)).await;
        let answer = answer.map_err(|failure| self.about(failure))?;
        if answer.0.status() == StatusCode::CREATED {
            return Ok(true);
        }
        // The registry opened an upload instead.
        if let Some(location) = answer.header(LOCATION.as_str()) {
            self.abandon(location).await;
        }
        Ok(false)
    }

    /// Gives an upload up that nobody will use.
    async fn abandon(&self, location: &str) {
        if let Err(failure) = self.ask(Request::new(Method::DELETE, location)).await {
            tracing::debug!(?failure, "an unused upload stays until the registry drops it");
        }
    }

    async fn begin(&self) -> Result<String, Failure> {
        let path = format!("/v2/{}/blobs/uploads/", self.target.repository);
        let answer = self.ask(Request::new(Method::POST, &path)).await?;
        location_of(&answer)
    }

    async fn finish(&self, location: &str, digest: &Digest) -> Result<(), Failure> {
        let url = with_digest(location, digest);
        self.ask(Request::new(Method::PUT, &url)).await.map(drop)
    }

    /// Sends a small blob from memory unless the repository has it.
    pub(crate) async fn bytes(&self, digest: &Digest, bytes: Bytes) -> Result<(), RegistryError> {
        self.bytes_patiently(digest, bytes, false).await
    }

    /// As [`Self::bytes`], of what was just made: the repository hardly has it, so that a place to
    /// send it to is asked for at once.
    pub(crate) async fn new_bytes(
        &self,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        self.bytes_patiently(digest, bytes, true).await
    }

    async fn bytes_patiently(
        &self,
        digest: &Digest,
        bytes: Bytes,
        is_new: bool,
    ) -> Result<(), RegistryError> {
        let mut patience = Patience::default();
        loop {
            match self.try_bytes(digest, bytes.clone(), is_new).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    patience.bear(failure).await.map_err(|failure| self.about(failure))?;
                }
            }
        }
    }

    async fn try_bytes(&self, digest: &Digest, bytes: Bytes, is_new: bool) -> Result<(), Failure> {
        let early = async {
            match is_new {
                true => self.begin().await.map(Some),
                false => Ok(None),
            }
        };
        let (is_there, early) = futures_util::future::try_join(self.has(digest), early).await?;
        if is_there {
            if let Some(unused) = early {
                self.abandon(&unused).await;
            }
            return Ok(());
        }
        let location = match early {
            Some(location) => location,
            None => self.begin().await?,
        };
        let url = with_digest(&location, digest);
        let content = Content::Whole("application/octet-stream", bytes);
        self.ask(Request { content, ..Request::new(Method::PUT, &url) }).await.map(drop)
    }

    /// Puts the manifest under the target's tag, or under its digest when there is no tag.
    pub(crate) async fn manifest(
        &self,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let target = match &self.target.tag {
            Some(_) => self.target.clone(),
            None => self.target.at(digest),
        };
        let path = manifest_path(&Reference { digest: None, ..target.clone() });
        let path = if target.tag.is_some() { path } else { manifest_path(&target) };
        let put = || {
            let content = Content::Whole(MANIFEST_TYPE, bytes.clone());
            Request { content, ..Request::new(Method::PUT, &path) }
        };
        let answer = self.ask_patiently(put).await.map_err(|failure| self.about(failure))?;
        match answer.header("docker-content-digest") {
            Some(stored) if stored != digest.as_str() => {
                let why = format!("the manifest was stored as {stored}, not as {digest}");
                Err(self.about(Failure::Malformed(why)))
            }
            _ => Ok(()),
        }
    }
}

/// How often a registry has not answered.
#[derive(Default)]
struct Patience {
    failures: u32,
}

impl Patience {
    /// Waits a while when it may answer later, as long as there is patience left.
    async fn bear(&mut self, failure: Failure) -> Result<(), Failure> {
        self.failures += 1;
        match failure {
            Failure::Unavailable(why) if self.failures < ATTEMPTS => {
                tracing::warn!(attempt = self.failures, why, "the registry is asked again");
                tokio::time::sleep(PAUSE * self.failures).await;
                Ok(())
            }
            lasting => Err(lasting),
        }
    }
}

fn location_of(answer: &Answer) -> Result<String, Failure> {
    answer
        .header(LOCATION.as_str())
        .map(str::to_owned)
        .ok_or_else(|| Failure::Malformed("it does not say where to send the blob".to_owned()))
}

fn with_digest(location: &str, digest: &Digest) -> String {
    let joint = if location.contains('?') { '&' } else { '?' };
    format!("{location}{joint}digest={digest}")
}
