//! One download, checked while it arrives.

use std::io;
use std::time::{Duration, Instant};

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use workflows::lookaside::{Checksum, Source};

use super::progress::Meter;

/// Longest time until a cache takes the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time without a byte.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Most redirects of one download.
const MAX_REDIRECTS: usize = 5;

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The cache has no such file.
    #[error("not in the lookaside cache ({url}); upload it with `strata new-sources`")]
    Missing {
        /// Where it was looked for.
        url: String,
    },
    /// What came is another file.
    #[error("wrong checksum: expected {expected}, the lookaside cache has {found}")]
    WrongHash {
        /// As `sources` has it.
        expected: String,
        /// Of what came.
        found: String,
    },
    /// The file is longer than it may be.
    #[error("larger than the {max_bytes} bytes that are allowed")]
    TooLarge {
        /// The bound.
        max_bytes: u64,
    },
    /// The cache answers, but will not give the file; its operator must act.
    #[error("the lookaside cache refuses: {0}")]
    Refused(String),
    /// The cache does not answer; a later try may do better.
    #[error("the lookaside cache does not answer: {0}")]
    Unreachable(String),
    /// The file cannot be written here.
    #[error("cannot keep the file: {0}")]
    Local(#[from] io::Error),
}

impl DownloadError {
    /// Whether a later try may do better.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Downloads files from one lookaside cache.
#[derive(Debug, Clone)]
pub struct Downloader {
    client: Client,
}

impl Downloader {
    /// A downloader that follows redirects to the cache's own host and to `redirect_hosts` only:
    /// any other could lead a build into the operator's network.
    ///
    /// # Errors
    /// [`DownloadError::Refused`] when this machine has no TLS to speak.
    pub fn new(redirect_hosts: &[String]) -> Result<Self, DownloadError> {
        let hosts = redirect_hosts.to_vec();
        let client = Client::builder()
            .user_agent(concat!("strata/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(Policy::custom(move |attempt| match refused_redirect(&attempt, &hosts) {
                None => attempt.follow(),
                Some(why) => attempt.error(why),
            }))
            .build()
            .map_err(|error| DownloadError::Refused(innermost(&error)))?;
        Ok(Self { client })
    }

    /// Writes the file at `url` into `to`, and says so at most once a second and at the end. What
    /// was written is the file of `source` only when this ends well.
    ///
    /// # Errors
    /// [`DownloadError`] says whose fault it is.
    pub async fn fetch(
        &self,
        url: &str,
        source: &Source,
        max_bytes: u64,
        to: &mut (impl AsyncWrite + Unpin),
        say: &impl Fn(&str),
    ) -> Result<u64, DownloadError> {
        let mut checksum = Checksum::new(source.hash_type).ok_or_else(|| {
            DownloadError::Refused(format!("{} is not checked here", source.hash_type.as_str()))
        })?;
        let too_large = || DownloadError::TooLarge { max_bytes };
        let mut response = answered(self.client.get(url).send().await)?;
        let total = response.content_length();
        if total.is_some_and(|total| total > max_bytes) {
            return Err(too_large());
        }
        let mut meter = Meter::new(&source.file_name, total, Instant::now());
        let mut done = 0_u64;
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
            done = done.saturating_add(chunk.len() as u64);
            if done > max_bytes {
                return Err(too_large());
            }
            checksum.update(&chunk);
            to.write_all(&chunk).await?;
            if let Some(line) = meter.advance(done, Instant::now()) {
                say(&line);
            }
        }
        to.flush().await?;
        let found = checksum.finish();
        if found != source.hash {
            return Err(DownloadError::WrongHash { expected: source.hash.clone(), found });
        }
        say(&meter.finish(done, Instant::now()));
        Ok(done)
    }
}

/// An answer that has the file, or why there is none.
fn answered(sent: Result<Response, reqwest::Error>) -> Result<Response, DownloadError> {
    let response = sent.map_err(|error| {
        if error.is_redirect() || error.is_builder() {
            DownloadError::Refused(innermost(&error))
        } else {
            unreachable(&error)
        }
    })?;
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Err(DownloadError::Missing { url: response.url().to_string() })
        }
        status
            if status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::REQUEST_TIMEOUT =>
        {
            Err(DownloadError::Unreachable(format!("it answered {status}")))
        }
        status => Err(DownloadError::Refused(format!("it answered {status}"))),
    }
}

/// Why a redirect is not followed; `None` when it is.
fn refused_redirect(attempt: &Attempt<'_>, hosts: &[String]) -> Option<String> {
    let to = attempt.url();
    let from = attempt.previous().first()?;
    if attempt.previous().len() > MAX_REDIRECTS {
        return Some(format!("more than {MAX_REDIRECTS} redirects"));
    }
    if from.scheme() == "https" && to.scheme() != "https" {
        return Some("it redirects from https to plain http".to_owned());
    }
    let (host, own) = (host(to), host(from));
    let is_known = host == own || hosts.contains(&host);
    (!is_known).then(|| format!("it redirects to `{host}`, which redirect_hosts does not name"))
}

/// Host and, where it is not the usual one, port.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn unreachable(error: &reqwest::Error) -> DownloadError {
    DownloadError::Unreachable(innermost(error))
}

/// The innermost cause is the one that says something: refused, no such host, ….
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
