//! Heartbeats of one lease, on a thread and connections of their own.
//!
//! A build may keep every worker thread busy; a lease must not be lost for that.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use workflows::ids::JobId;
use workflows::protocol::HEARTBEAT_SECONDS;

use crate::client::{BridgeClient, CallError};

/// How long work goes on without a word from the bridge. Longer than the lease on purpose: a
/// bridge that is away cannot give the job to another, and a stale fence is refused anyway.
const MAX_SILENCE: Duration = Duration::from_secs(15 * 60);
/// How soon a heartbeat that got no answer is repeated.
const REPEAT_INTERVAL: Duration = Duration::from_secs(2);

/// What the bridge last said about the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// Ours.
    Held,
    /// Ours, but a person wants the job to end.
    Cancelled,
    /// Another's, or over; and how we know.
    Lost(String),
}

/// The heartbeats of one lease; they end when this is dropped.
pub(crate) struct Pulse {
    state: watch::Receiver<LeaseState>,
    stop: CancellationToken,
}

impl Pulse {
    /// Begins the heartbeats.
    pub(crate) fn start(client: &BridgeClient, job: JobId, fence: i64) -> anyhow::Result<Self> {
        let client = client.with_own_connections()?;
        let stop = CancellationToken::new();
        let (sender, state) = watch::channel(LeaseState::Held);
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot make the runtime of the heartbeats")?;
        std::thread::Builder::new()
            .name(format!("heartbeat-{job}"))
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = beat(&client, job, fence, &sender) => {}
                        () = stopped.cancelled() => {}
                    }
                });
            })
            .context("cannot start the thread of the heartbeats")?;
        Ok(Self { state, stop })
    }

    /// Waits until the work should end, and tells why.
    pub(crate) async fn interrupted(&mut self) -> LeaseState {
        match self.state.wait_for(|state| *state != LeaseState::Held).await {
            Ok(state) => state.clone(),
            // The thread ended without a word; without heartbeats the lease will be lost.
            Err(_) => LeaseState::Lost("the heartbeats ended".to_owned()),
        }
    }

    /// Waits until the lease is lost; a wish to cancel does not count.
    pub(crate) async fn lost(&mut self) -> String {
        match self.state.wait_for(|state| matches!(state, LeaseState::Lost(_))).await {
            Ok(state) => match &*state {
                LeaseState::Lost(why) => why.clone(),
                LeaseState::Held | LeaseState::Cancelled => String::new(),
            },
            Err(_) => "the heartbeats ended".to_owned(),
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sends heartbeats until the lease is lost.
async fn beat(client: &BridgeClient, job: JobId, fence: i64, state: &watch::Sender<LeaseState>) {
    let mut heard = Instant::now();
    loop {
        match client.heartbeat(job, fence).await {
            Ok(answer) => {
                heard = Instant::now();
                if answer.cancel {
                    state.send_replace(LeaseState::Cancelled);
                }
                tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECONDS)).await;
            }
            Err(error) if error.is_lease_lost() => {
                state.send_replace(LeaseState::Lost(error.to_string()));
                return;
            }
            Err(error @ CallError::Refused { .. }) if !error.is_transient() => {
                state.send_replace(LeaseState::Lost(error.to_string()));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, job.id = %job, "heartbeat got no answer");
                if heard.elapsed() > MAX_SILENCE {
                    state.send_replace(LeaseState::Lost(format!("no answer: {error}")));
                    return;
                }
                tokio::time::sleep(REPEAT_INTERVAL).await;
            }
        }
    }
}
