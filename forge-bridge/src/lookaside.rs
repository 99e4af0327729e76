//! A small lookaside cache, so that a site can start without one.
//!
//! It answers as dist-git's does, with two differences: the right to upload is a token in
//! `Authorization: Bearer`, not a certificate, and name and checksum come before the file.
//! `strata new-sources` speaks it; downloads are those of every client. It is off unless `[lookaside]` names a directory. Files are addressed by their
//! checksums and never change, so reading needs no right and no locks.

mod depot;
mod form;
mod refusal;
#[cfg(test)]
mod tests;
mod uploader;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;

use crate::config::LookasideConfig;
use depot::{Depot, Entry, Put};
use form::{Asked, Form};
use refusal::Refusal;
use uploader::Uploader;

/// Uploads at once; each writes to the disk as fast as it comes.
const MAX_UPLOADS: usize = 8;
/// Longest time of one upload: the largest file over a slow line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);
/// What a file costs in a form beside its own bytes.
const MAX_FORM_BYTES: u64 = 64 * 1024;
/// The content behind a checksum is the same for ever.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What the handlers share.
#[derive(Clone)]
struct Lookaside {
    config: Arc<LookasideConfig>,
    depot: Depot,
    uploads: Arc<Semaphore>,
}

/// The routes below `/lookaside`.
///
/// # Errors
/// The directory cannot be made.
pub(crate) fn router(config: &LookasideConfig) -> std::io::Result<Router> {
    let lookaside = Lookaside {
        depot: Depot::open(&config.directory)?,
        config: Arc::new(config.clone()),
        uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
    };
    let limit = config.max_file_bytes.saturating_add(MAX_FORM_BYTES);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Router::new()
        .route("/lookaside/upload.cgi", post(upload).layer(DefaultBodyLimit::max(limit)))
        .route("/lookaside/{*path}", get(download))
        .with_state(lookaside))
}

async fn download(
    State(lookaside): State<Lookaside>,
    Path(path): Path<String>,
) -> Result<Response, Refusal> {
    let entry = Entry::of_path(&path).ok_or(Refusal::NotFound)?;
    let Some((file, bytes)) = lookaside.depot.open_file(&entry).await? else {
        return Err(Refusal::NotFound);
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
        (header::CACHE_CONTROL, FOR_EVER),
        // A stranger's file never becomes a page of ours.
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// The right to upload is checked before a byte of the body is read.
async fn upload(
    State(lookaside): State<Lookaside>,
    _: Uploader,
    request: Request,
) -> Result<String, Refusal> {
    let _place = lookaside.uploads.try_acquire().map_err(|_| Refusal::Busy)?;
    let uploaded = tokio::time::timeout(UPLOAD_TIMEOUT, take(&lookaside, request));
    uploaded.await.map_err(|_| Refusal::TooSlow)?
}

async fn take(lookaside: &Lookaside, request: Request) -> Result<String, Refusal> {
    let mut form = Form::of(request)?;
    let (entry, asked) = form.entry(lookaside.config.allow_md5).await?;
    match asked {
        Asked::Check => {
            let is_there = lookaside.depot.open_file(&entry).await?.is_some();
            Ok(if is_there { "Available\n" } else { "Missing\n" }.to_owned())
        }
        Asked::Upload(file) => {
            let put = lookaside.depot.put(&entry, *file, lookaside.config.max_file_bytes).await?;
            let source = &entry.source;
            let (name, kind) = (&source.file_name, source.hash_type.as_str());
            Ok(match put {
                Put::Stored { bytes } => {
                    tracing::info!(
                        repo.name = %entry.repository, file = name,
                        "lookaside: {name} of {} stored, {bytes} bytes", entry.repository
                    );
                    format!("File {name} size {bytes} {kind} {} stored OK\n", source.hash)
                }
                Put::Known => format!("File {name} already exists\n"),
            })
        }
    }
}
