//! Reading a body that may be too long, too slow, or one of too many.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// Longest time that a body may take. Forges send theirs at once and give up after ten seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes that are reserved on the word of `Content-Length` alone.
const MAX_TRUSTED_BYTES: usize = 64 * 1024;
/// Most bytes that are read and thrown away behind a body that is too long.
const MAX_DISCARDED_BYTES: usize = 32 << 20;
/// Longest time that this may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

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
    let mut chunks = body.into_data_stream();
    let read = match declared {
        Some(bytes) if bytes > max_bytes => Err(Refusal::TooLarge(max_bytes)),
        _ => {
            let bounded = bounded(&mut chunks, declared.unwrap_or_default(), max_bytes, budget);
            tokio::time::timeout(timeout, bounded).await.map_err(|_| Refusal::TooSlow)?
        }
    };
    // Who waits for `100 Continue` sends nothing before it, and reading would ask for it.
    if matches!(read, Err(Refusal::TooLarge(_))) && !headers.contains_key(header::EXPECT) {
        let _given_up = tokio::time::timeout(DISCARD_TIMEOUT, discard(&mut chunks)).await;
    }
    read
}

/// Reads the rest, up to a bound: a sender that still writes when the connection is closed hears
/// of a reset and never of the refusal.
async fn discard(chunks: &mut BodyDataStream) {
    let mut left = MAX_DISCARDED_BYTES;
    while let Some(Ok(chunk)) = chunks.next().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

async fn bounded(
    chunks: &mut BodyDataStream,
    declared: usize,
    max_bytes: usize,
    budget: &Arc<Semaphore>,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
    let expected = declared.min(MAX_TRUSTED_BYTES);
    let mut held = reserve(budget, expected)?;
    let mut bytes = Vec::with_capacity(expected);
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
