//! Reading a body that may be too long, too slow, or one of too many.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// Longest time that a body may take. Forges send theirs at once and give up after ten seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes that are reserved on the word of `Content-Length` alone.
const MAX_TRUSTED_BYTES: usize = 64 * 1024;

/// How large and how slow one body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_bytes: usize,
    pub(super) timeout: Duration,
}

impl Bounds {
    pub(super) fn up_to(max_bytes: usize) -> Self {
        Self { max_bytes, timeout: BODY_TIMEOUT }
    }
}

/// Reads a body within its bounds, and the right to keep it in memory.
pub(super) async fn body(
    body: Body,
    headers: &HeaderMap,
    bounds: Bounds,
    budget: &Arc<Semaphore>,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
    let Bounds { max_bytes, timeout } = bounds;
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > max_bytes) {
        return Err(Refusal::TooLarge(max_bytes));
    }
    let expected = declared.unwrap_or_default().min(MAX_TRUSTED_BYTES);
    tokio::time::timeout(timeout, bounded(body, expected, max_bytes, budget))
        .await
        .map_err(|_| Refusal::TooSlow)?
}

async fn bounded(
    body: Body,
    expected: usize,
    max_bytes: usize,
    budget: &Arc<Semaphore>,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
    let mut held = reserve(budget, expected)?;
    let mut bytes = Vec::with_capacity(expected);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::Broken)?;
        let total = bytes.len() + chunk.len();
        if total > max_bytes {
            return Err(Refusal::TooLarge(max_bytes));
        }
        if total > held.num_permits() {
            held.merge(reserve(budget, total - held.num_permits())?);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, held))
}

fn reserve(budget: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let permits = u32::try_from(bytes).map_err(|_| Refusal::OutOfMemory)?;
    Arc::clone(budget).try_acquire_many_owned(permits).map_err(|_| Refusal::OutOfMemory)
}
