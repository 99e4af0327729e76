//! Long blobs: sent in a way that is gone on with where a connection broke.

use std::path::Path;

use bytes::Bytes;
use reqwest::{Body, Method};
use tokio::io::AsyncSeekExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use workflows::image::Digest;

use super::{ATTEMPTS, PAUSE, Pusher, location_of, with_digest};
use crate::registry::RegistryError;
use crate::registry::error::Failure;
use crate::registry::host::{Content, Range, Request};

/// Bytes from which a blob is sent in a way that can be gone on with; a shorter one is sent again
/// whole, in one request less.
const RESUMABLE_FROM: u64 = 4 * 1024 * 1024;
/// Most connections that break over one blob, however far each has brought it.
const MAX_CUTS: u32 = 100;
/// Blocks that wait for the network before the compressor has to wait as well.
const STREAM_BLOCKS: usize = 8;

/// A blob that the registry has a part of.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    /// Where to send what is missing.
    location: String,
    /// How many bytes it has.
    has: u64,
}

/// A blob that is sent while it is made, its digest still unknown.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Takes the blob's bytes; fails once the upload has failed.
    pub(crate) sender: mpsc::Sender<Bytes>,
    end: StreamEnd,
}

/// What is left of a [`Stream`] when all its bytes are sent: the upload as far as it came, and
/// what ended it before.
#[derive(Debug)]
pub(crate) struct StreamEnd(JoinHandle<(Option<Upload>, Result<(), Failure>)>);

impl Stream {
    /// Says that the blob is complete.
    pub(crate) fn end(self) -> StreamEnd {
        self.end
    }
}

impl Pusher {
    /// Sends a blob from a file unless the repository has it.
    pub(crate) async fn file(&self, digest: &Digest, path: &Path) -> Result<(), RegistryError> {
        self.send(digest, path, None).await
    }

    /// Sends what is missing of a blob. Broken connections are borne as long as each brings it
    /// further; those that do not are counted.
    async fn send(
        &self,
        digest: &Digest,
        path: &Path,
        mut upload: Option<Upload>,
    ) -> Result<(), RegistryError> {
        let (mut attempt, mut cuts) = (1, 0);
        loop {
            let had = upload.as_ref().map_or(0, |upload| upload.has);
            let failure = match self.try_send(digest, path, &mut upload).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let may_pass = match &failure {
                Failure::Unavailable(_) => true,
                // What the registry told of its part was not so, or it has forgotten it.
                Failure::Unknown | Failure::Malformed(_) | Failure::Incomplete(_) => had > 0,
                Failure::Unauthorised | Failure::Local(_) => false,
            };
            if !may_pass || attempt >= ATTEMPTS || cuts >= MAX_CUTS {
                return Err(self.about(failure));
            }
            cuts += 1;
            upload = match (upload, &failure) {
                (Some(begun), Failure::Unavailable(_)) => self.how_far(begun).await,
                _ => None,
            };
            let has = upload.as_ref().map_or(0, |upload| upload.has);
            tracing::warn!(blob.digest = %digest, attempt, has, ?failure, "an upload broke");
            if has <= had {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
        }
    }

    /// Asks the registry what it has of a blob; `None` when it has forgotten it, or does not say.
    async fn how_far(&self, upload: Upload) -> Option<Upload> {
        let answer = self.ask(Request::new(Method::GET, &upload.location)).await.ok()?;
        let last = answer.header("range").and_then(last_of);
        // The last byte of an upload without any is 0 too.
        let has = last.filter(|&last| last > 0)? + 1;
        Some(Upload { location: location_of(&answer).unwrap_or(upload.location), has })
    }

    async fn try_send(
        &self,
        digest: &Digest,
        path: &Path,
        upload: &mut Option<Upload>,
    ) -> Result<(), Failure> {
        let mut file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        let begun = match upload.take() {
            Some(upload) if upload.has <= length => upload,
            _ if self.has(digest).await? => return Ok(()),
            _ => Upload { location: self.begin().await?, has: 0 },
        };
        if length < RESUMABLE_FROM && begun.has == 0 {
            let url = with_digest(&begun.location, digest);
            let content = Content::Stream(Body::from(file), Some(length));
            let request = Request { content, ..Request::new(Method::PUT, &url) };
            return self.ask(request).await.map(drop);
        }
        *upload = Some(begun.clone());
        let mut location = begun.location;
        if begun.has < length {
            file.seek(std::io::SeekFrom::Start(begun.has)).await?;
            let range = (begun.has > 0).then_some(Range::Sent(begun.has, length - 1));
            let content = Content::Stream(Body::from(file), Some(length - begun.has));
            let request = Request { content, range, ..Request::new(Method::PATCH, &location) };
            location = location_of(&self.ask(request).await?)?;
            *upload = Some(Upload { location: location.clone(), has: length });
        }
        self.finish(&location, digest).await
    }

    /// Begins to send a blob that is still being made.
    pub(crate) fn stream(&self, runtime: &tokio::runtime::Handle) -> Stream {
        let (sender, receiver) = mpsc::channel::<Bytes>(STREAM_BLOCKS);
        let pusher = self.clone();
        let end = runtime.spawn(async move {
            let location = match pusher.begin().await {
                Ok(location) => location,
                Err(failure) => return (None, Err(failure)),
            };
            let blocks = futures_util::stream::unfold(receiver, async |mut receiver| {
                let block = receiver.recv().await?;
                Some((Ok::<_, std::io::Error>(block), receiver))
            });
            let content = Content::Stream(Body::wrap_stream(blocks), None);
            let request = Request { content, ..Request::new(Method::PATCH, &location) };
            let sent = pusher.ask(request).await;
            match sent.and_then(|answer| location_of(&answer)) {
                Ok(location) => (Some(Upload { location, has: 0 }), Ok(())),
                Err(failure) => (Some(Upload { location, has: 0 }), Err(failure)),
            }
        });
        Stream { sender, end: StreamEnd(end) }
    }

    /// Ends a stream whose sender is gone; where it broke, the rest is sent from the file.
    pub(crate) async fn finish_stream(
        &self,
        end: StreamEnd,
        digest: &Digest,
        path: &Path,
    ) -> Result<(), RegistryError> {
        let (upload, streamed) = match end.0.await {
            Ok(ended) => ended,
            Err(error) => (None, Err(Failure::Unavailable(error.to_string()))),
        };
        let finished = match (&upload, streamed) {
            (Some(upload), Ok(())) => self.finish(&upload.location, digest).await,
            (_, streamed) => streamed,
        };
        let Err(failure) = finished else { return Ok(()) };
        tracing::warn!(blob.digest = %digest, ?failure, "an upload broke while it was made");
        let upload = match upload {
            Some(upload) => self.how_far(upload).await,
            None => None,
        };
        self.send(digest, path, upload).await
    }
}

/// The last byte of `0-1023` or `bytes=0-1023`; a part that does not begin at the beginning is
/// none.
fn last_of(range: &str) -> Option<u64> {
    let (first, last) = range.trim_start_matches("bytes=").split_once('-')?;
    (first == "0").then(|| last.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
