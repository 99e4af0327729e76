//! A forge as an honest HTTP server with GitHub's interface: it checks the token, keeps every
//! status, and tells when each one came.

use std::time::Instant;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A status when it arrived.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) commit: String,
    pub(super) state: String,
    pub(super) at: Instant,
}

/// A running forge.
pub(super) struct Forge {
    pub(super) url: String,
    pub(super) token: String,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Desk {
    authorization: String,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Status {
    state: String,
    context: String,
    description: Option<String>,
    target_url: Option<String>,
}

impl Forge {
    /// Starts one on a free port.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let token = Uuid::new_v4().simple().to_string();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let desk = Desk { authorization: format!("Bearer {token}"), arrivals: sender };
        let router = Router::new()
            .route("/repos/{owner}/{repository}/statuses/{commit}", post(take))
            .with_state(desk);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a forge")?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the forge of the measurement stopped");
            }
        });
        Ok(Self { url, token, arrivals, server })
    }

    /// When the status arrived that says this of a commit.
    pub(super) async fn arrival(&mut self, commit: &str, state: &str) -> anyhow::Result<Instant> {
        while let Some(arrival) = self.arrivals.recv().await {
            if arrival.commit == commit && arrival.state == state {
                return Ok(arrival.at);
            }
        }
        anyhow::bail!("the forge of the measurement stopped")
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State(desk): State<Desk>,
    Path((_, _, commit)): Path<(String, String, String)>,
    headers: HeaderMap,
    Json(status): Json<Status>,
) -> Response {
    let at = Instant::now();
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization != Some(&desk.authorization) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    // Nobody listens any more only at the end of a measurement.
    let _ = desk.arrivals.send(Arrival { commit, state: status.state.clone(), at });
    (StatusCode::CREATED, Json(status)).into_response()
}
