//! Asks and fills a lookaside cache, with the form of dist-git's `upload.cgi`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use forge_bridge::config::read_secret;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Client};
use runner::lookaside::Meter;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;
use workflows::lookaside::{LookasideSpec, Source};
use workflows::names::RepositoryName;

use crate::failure::Failure;
use crate::output::transient;

/// Longest time until a cache takes the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time without a byte of an answer; after a large file the cache has a disk to wait for.
const READ_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Most of an answer that is told.
const MAX_TOLD_CHARS: usize = 300;

/// Whether a cache has a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Available,
    Missing,
}

/// The upload form of one repository.
pub(super) struct Uploads {
    client: Client,
    url: String,
    name: String,
    token: SecretString,
}

impl Uploads {
    pub(super) fn to(
        spec: &LookasideSpec,
        repository: &RepositoryName,
        token_file: &Path,
    ) -> Result<Self, Failure> {
        let client = Client::builder()
            .user_agent(concat!("strata/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // A redirected upload would take the token along.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot prepare the upload")?;
        let token = read_secret(token_file).map_err(|error| Failure::Usage(error.to_string()))?;
        let name = if spec.namespaced { repository.as_str() } else { repository.package() };
        let url = format!("{}/upload.cgi", spec.url.trim_end_matches('/'));
        Ok(Self { client, url, name: name.to_owned(), token })
    }

    /// Whether the cache has the file.
    pub(super) async fn ask(&self, source: &Source) -> Result<Presence, Failure> {
        let form = Form::new();
        let head = self.head(&form, source) + &form.field("filename", &source.file_name);
        let body = head + &form.end();
        match self.answer(&form, body.len() as u64, body.into()).await?.trim() {
            "Available" => Ok(Presence::Available),
            "Missing" => Ok(Presence::Missing),
            other => Err(Failure::Unreachable(format!(
                "{} does not speak like a lookaside cache: {}",
                self.url,
                shortened(other)
            ))),
        }
    }

    /// Sends the file while it is read.
    pub(super) async fn send(&self, source: &Source, path: &Path) -> Result<(), Failure> {
        let unreadable = || format!("cannot read {}", path.display());
        let file = tokio::fs::File::open(path).await.with_context(unreadable)?;
        let total = file.metadata().await.with_context(unreadable)?.len();
        let form = Form::new();
        let head = self.head(&form, source) + &form.file_head(&source.file_name);
        let end = format!("\r\n{}", form.end());
        let length = total + (head.len() + end.len()) as u64;

        let mut meter = Meter::new(&source.file_name, Some(total), Instant::now());
        let mut done = 0;
        let content = ReaderStream::new(file.take(total)).inspect_ok(move |chunk| {
            done += chunk.len() as u64;
            if let Some(line) = meter.advance(done, Instant::now()) {
                transient(&line);
            }
        });
        let text = |text: String| stream::iter([Ok(text.into())]);
        let body = Body::wrap_stream(text(head).chain(content).chain(text(end)));
        self.answer(&form, length, body).await.map(drop)
    }

    /// Repository and checksum, which come first.
    fn head(&self, form: &Form, source: &Source) -> String {
        let sum = format!("{}sum", source.hash_type.as_str());
        form.field("name", &self.name) + &form.field(&sum, &source.hash)
    }

    async fn answer(&self, form: &Form, length: u64, body: Body) -> Result<String, Failure> {
        let unreachable = |error: reqwest::Error| {
            Failure::Unreachable(format!("cannot reach {}: {error}", self.url))
        };
        let response = self
            .client
            .post(&self.url)
            .bearer_auth(self.token.expose_secret())
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={}", form.boundary))
            // A server that runs a program for the form must know the length beforehand.
            .header(CONTENT_LENGTH, length)
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(text);
        }
        let told = format!("{} answered {status}: {}", self.url, shortened(text.trim()));
        let is_theirs = status.is_client_error();
        Err(if is_theirs { Failure::Negative(told) } else { Failure::Unreachable(told) })
    }
}

/// Writes a form; names of repositories and files hold nothing that would end a field.
struct Form {
    boundary: String,
}

impl Form {
    fn new() -> Self {
        Self { boundary: format!("strata-{}", uuid::Uuid::new_v4().simple()) }
    }

    fn field(&self, name: &str, value: &str) -> String {
        let boundary = &self.boundary;
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    }

    fn file_head(&self, file_name: &str) -> String {
        let (boundary, file_name) = (&self.boundary, file_name.replace('"', "%22"));
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"{file_name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
    }

    fn end(&self) -> String {
        format!("--{}--\r\n", self.boundary)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TOLD_CHARS).collect()
}
