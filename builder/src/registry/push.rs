//! Blobs and manifests to a registry.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::LOCATION;
use reqwest::{Body, Method, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use workflows::image::{Digest, Reference};

use super::error::Failure;
use super::host::{Access, Answer, Content, Host, Request};
use super::manifest::MANIFEST_TYPE;
use super::{Registries, RegistryError, blob_path, manifest_path};

/// How often a blob is sent when the connection breaks.
const BLOB_ATTEMPTS: u32 = 3;
/// Blocks that wait for the network before the compressor has to wait as well.
const STREAM_BLOCKS: usize = 8;

/// Sends to one repository.
#[derive(Debug, Clone)]
pub(crate) struct Pusher {
    host: Arc<Host>,
    target: Reference,
}

/// A blob that is sent while it is made, its digest still unknown.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Takes the blob's bytes; fails once the upload has failed.
    pub(crate) sender: mpsc::Sender<Bytes>,
    location: JoinHandle<Result<String, Failure>>,
}

impl Pusher {
    pub(crate) fn new(registries: &Registries, target: &Reference) -> Self {
        Self { host: registries.host(&target.registry), target: target.clone() }
    }

    async fn ask(&self, request: Request<'_>) -> Result<Answer, Failure> {
        self.host.ask(&self.target.repository, Access::Push, request).await
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
        let answer = self.ask(Request::new(Method::POST, &path)).await;
        let answer = answer.map_err(|failure| self.about(failure))?;
        if answer.0.status() == StatusCode::CREATED {
            return Ok(true);
        }
        // The registry opened an upload instead, which nobody will use.
        if let Some(location) = answer.header(LOCATION.as_str())
            && let Err(failure) = self.ask(Request::new(Method::DELETE, location)).await
        {
            tracing::debug!(?failure, "an unused upload stays until the registry drops it");
        }
        Ok(false)
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
        let send = async || {
            if self.has(digest).await? {
                return Ok(());
            }
            let url = with_digest(&self.begin().await?, digest);
            let content = Content::Whole("application/octet-stream", bytes);
            self.ask(Request { content, ..Request::new(Method::PUT, &url) }).await.map(drop)
        };
        send().await.map_err(|failure| self.about(failure))
    }

    /// Sends a blob from a file unless the repository has it.
    pub(crate) async fn file(&self, digest: &Digest, path: &Path) -> Result<(), RegistryError> {
        let mut attempt = 1;
        loop {
            match self.try_file(digest, path).await {
                Err(Failure::Unavailable(why)) if attempt < BLOB_ATTEMPTS => {
                    tracing::warn!(blob.digest = %digest, attempt, why, "sending once more");
                    attempt += 1;
                }
                done => return done.map_err(|failure| self.about(failure)),
            }
        }
    }

    async fn try_file(&self, digest: &Digest, path: &Path) -> Result<(), Failure> {
        if self.has(digest).await? {
            return Ok(());
        }
        let url = with_digest(&self.begin().await?, digest);
        let file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        let content = Content::Stream(Body::from(file), Some(length));
        self.ask(Request { content, ..Request::new(Method::PUT, &url) }).await.map(drop)
    }

    /// Begins to send a blob that is still being made.
    pub(crate) fn stream(&self, runtime: &tokio::runtime::Handle) -> Stream {
        let (sender, receiver) = mpsc::channel::<Bytes>(STREAM_BLOCKS);
        let pusher = self.clone();
        let location = runtime.spawn(async move {
            let location = pusher.begin().await?;
            let blocks = futures_util::stream::unfold(receiver, async |mut receiver| {
                let block = receiver.recv().await?;
                Some((Ok::<_, std::io::Error>(block), receiver))
            });
            let content = Content::Stream(Body::wrap_stream(blocks), None);
            let request = Request { content, ..Request::new(Method::PATCH, &location) };
            location_of(&pusher.ask(request).await?)
        });
        Stream { sender, location }
    }

    /// Ends a stream whose sender is gone; when it broke, the blob is sent from the file.
    pub(crate) async fn finish_stream(
        &self,
        location: StreamEnd,
        digest: &Digest,
        path: &Path,
    ) -> Result<(), RegistryError> {
        let streamed = match location.0.await {
            Ok(Ok(location)) => self.finish(&location, digest).await,
            Ok(Err(failure)) => Err(failure),
            Err(error) => Err(Failure::Unavailable(error.to_string())),
        };
        match streamed {
            Ok(()) => Ok(()),
            Err(failure) => {
                tracing::warn!(blob.digest = %digest, ?failure, "sending the layer once more");
                self.file(digest, path).await
            }
        }
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
        let content = Content::Whole(MANIFEST_TYPE, bytes);
        let request = Request { content, ..Request::new(Method::PUT, &path) };
        let answer = self.ask(request).await.map_err(|failure| self.about(failure))?;
        match answer.header("docker-content-digest") {
            Some(stored) if stored != digest.as_str() => {
                let why = format!("the manifest was stored as {stored}, not as {digest}");
                Err(self.about(Failure::Malformed(why)))
            }
            _ => Ok(()),
        }
    }
}

/// What is left of a [`Stream`] when all its bytes are sent.
#[derive(Debug)]
pub(crate) struct StreamEnd(JoinHandle<Result<String, Failure>>);

impl Stream {
    /// Says that the blob is complete.
    pub(crate) fn end(self) -> StreamEnd {
        StreamEnd(self.location)
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
