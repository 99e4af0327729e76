//! Takes connections: so many at once, and none that keeps us waiting for the head or the body of
//! its request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// Most connections at once: runners that wait for jobs, people who follow logs, and what forges
/// send. Whoever comes later waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 1_000;
/// Files that a bridge has open beside its connections: database, logs, mirrors.
const OTHER_FILES: u64 = 1_000;
/// How long the head of a request may take, and so how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest pause within the body of a request.
const BODY_PAUSE: Duration = Duration::from_secs(30);
/// Most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long no connection is taken after the system refused one, for want of memory or files.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(500);

/// Serves until `shutdown`; then takes nothing new and waits for the requests that are open.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    allow_files();
    let service = TowerToHyperService::new(router.layer(RequestBodyTimeoutLayer::new(BODY_PAUSE)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let (open, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    while let Some(Ok(place)) =
        shutdown.run_until_cancelled(Arc::clone(&places).acquire_owned()).await
    {
        let Some(stream) = shutdown.run_until_cancelled(accept(&listener)).await else { break };
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // What a peer broke off is the peer's affair; requests have their own log.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and written whole; an error only makes them slower.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) if ended_by_peer(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }
}

fn ended_by_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Service managers give a process 1,024 files unless it asks for more of what it may have.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = MAX_CONNECTIONS as u64 + OTHER_FILES;
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files to {wanted}");
    }
}

#[cfg(test)]
mod tests;
