//! Brings a spool to the bridge in chunks by offset; a chunk that was sent twice changes nothing.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workflows::ids::JobId;
use workflows::protocol::{MAX_LOG_CHUNK_BYTES, Refusal};

use super::SpoolReader;
use crate::backoff::pause;
use crate::client::{BridgeClient, CallError};

/// How long small output is gathered before it is sent; people watch logs, so not long.
const GATHER_INTERVAL: Duration = Duration::from_millis(150);

/// How shipping ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shipped {
    /// The bridge has all of it, or all that it takes.
    All,
    /// The lease is another's; the rest interests nobody.
    LeaseLost,
    /// Stopped before the end; the spool keeps the rest.
    Interrupted,
}

/// Ships a log until it is closed and the bridge has it, however long the bridge is away.
pub(crate) async fn ship(
    mut reader: SpoolReader,
    client: BridgeClient,
    job: JobId,
    fence: i64,
    stop: CancellationToken,
) -> Shipped {
    let mut stored = 0;
    let mut failures = 0;
    loop {
        let extent = tokio::select! {
            extent = reader.beyond(stored) => extent,
            () = stop.cancelled() => return Shipped::Interrupted,
        };
        if extent.closed && extent.bytes <= stored {
            return Shipped::All;
        }
        gather(&mut reader, stored).await;
        let chunk = match reader.read(stored, MAX_LOG_CHUNK_BYTES) {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::error!(%error, job.id = %job, "log spool cannot be read; the log ends");
                return Shipped::Interrupted;
            }
        };
        match client.log(job, fence, stored, chunk).await {
            Ok(answer) => {
                failures = 0;
                // The bridge may have more than we know of: an earlier answer was lost.
                stored = answer.stored_bytes.min(reader.extent().bytes);
            }
            Err(error) if error.is_lease_lost() => return Shipped::LeaseLost,
            Err(CallError::Refused { refusal: Refusal::LogFull, .. }) => return Shipped::All,
            Err(error @ CallError::Rejected(_)) => {
                tracing::error!(%error, job.id = %job, "the rest of the log cannot be sent");
                return Shipped::All;
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, job.id = %job, failures, "log waits on disk");
                if pause(failures, &stop).await.is_stopped() {
                    return Shipped::Interrupted;
                }
            }
        }
    }
}

/// Waits a little for more, unless there is a full chunk or the log is closed.
async fn gather(reader: &mut SpoolReader, stored: u64) {
    if reader.extent().bytes - stored < MAX_LOG_CHUNK_BYTES as u64 {
        // Running out of time is the ordinary case.
        let _ = tokio::time::timeout(GATHER_INTERVAL, reader.closed()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::body::Bytes;
    use axum::extract::{Query, State};
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::post;
    use axum::{Json, Router};
    use secrecy::SecretString;
    use workflows::protocol::{LogAnswer, LogPosition, Refused};

    use super::super::{AttemptLog, Masker};
    use super::*;

    /// A bridge that is away for the first call and whose second answer is lost on the way.
    #[derive(Clone, Default)]
    struct FlakyBridge {
        stored: Arc<Mutex<Vec<u8>>>,
        calls: Arc<Mutex<u32>>,
    }

    async fn take(
        State(bridge): State<FlakyBridge>,
        Query(position): Query<LogPosition>,
        body: Bytes,
    ) -> Result<Json<LogAnswer>, Response> {
        let mut calls = bridge.calls.lock().unwrap();
        *calls += 1;
        if *calls == 1 {
            return Err(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        if position.fence != 7 {
            let (refusal, message) = (Refusal::StaleFence, String::new());
            let words = Json(Refused { refusal, message });
            return Err((StatusCode::CONFLICT, words).into_response());
        }
        let mut stored = bridge.stored.lock().unwrap();
        let known = stored.len() - usize::try_from(position.offset).unwrap();
        stored.extend_from_slice(&body[known..]);
        if *calls == 2 {
            return Err(StatusCode::BAD_GATEWAY.into_response());
        }
        Ok(Json(LogAnswer { stored_bytes: stored.len() as u64 }))
    }

    async fn serve(bridge: FlakyBridge) -> BridgeClient {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/runner/v1/jobs/{job}/log", post(take)).with_state(bridge);
        tokio::spawn(async move { axum::serve(listener, app).await });
        BridgeClient::new(&url, SecretString::from("credential")).unwrap()
    }

    fn closed_log(dir: &std::path::Path, text: &[u8]) -> SpoolReader {
        let log = AttemptLog::create(dir, "3.7", 1 << 20, Masker::default()).unwrap();
        log.stream().push(text);
        log.close();
        log.reader().unwrap()
    }

    #[tokio::test]
    async fn a_log_arrives_once_and_whole_whatever_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let text = vec![b'x'; MAX_LOG_CHUNK_BYTES + 100];
        let bridge = FlakyBridge::default();
        let client = serve(bridge.clone()).await;
        let reader = closed_log(dir.path(), &text);
        let shipped = ship(reader, client, JobId(3), 7, CancellationToken::new()).await;
        assert_eq!(shipped, Shipped::All);
        assert!(*bridge.stored.lock().unwrap() == text);
    }

    #[tokio::test]
    async fn a_stale_fence_ends_the_shipping() {
        let dir = tempfile::tempdir().unwrap();
        let client = serve(FlakyBridge::default()).await;
        let reader = closed_log(dir.path(), b"text");
        let shipped = ship(reader, client, JobId(3), 6, CancellationToken::new()).await;
        assert_eq!(shipped, Shipped::LeaseLost);
    }
}
