//! Tells the bridge which step runs, in order and without holding up the steps.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workflows::ids::JobId;
use workflows::protocol::{StepEnd, StepReport};
use workflows::state::Outcome;

use crate::backoff::pause;
use crate::client::BridgeClient;
use crate::log::AttemptLog;

/// Tells the bridge which step of one attempt runs.
pub(crate) struct Progress {
    fence: i64,
    log: AttemptLog,
    state: Mutex<State>,
    stop: CancellationToken,
}

struct State {
    /// The step that began and has not ended.
    open: Option<StepReport>,
    /// Unbounded, yet small: two reports for each step of a job.
    reports: Option<mpsc::UnboundedSender<StepReport>>,
    teller: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to tell about an attempt.
    pub(crate) fn start(client: BridgeClient, job: JobId, fence: i64, log: AttemptLog) -> Self {
        let (reports, queue) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let teller = tokio::spawn(tell(client, job, queue, stop.clone()));
        let state = Mutex::new(State { open: None, reports: Some(reports), teller: Some(teller) });
        Self { fence, log, state, stop }
    }

    /// Tells nobody.
    pub(crate) fn silent(log: AttemptLog) -> Self {
        let state = Mutex::new(State { open: None, reports: None, teller: None });
        Self { fence: 0, log, state, stop: CancellationToken::new() }
    }

    /// A step began.
    pub(crate) fn began(&self, index: u32, name: &str) {
        let report = StepReport {
            fence: self.fence,
            index,
            name: name.to_owned(),
            log_offset: self.log.bytes(),
            started_at: Utc::now(),
            finished: None,
        };
        let mut state = self.state();
        state.send(report.clone());
        state.open = Some(report);
    }

    /// The step that runs ended; nothing when none runs.
    pub(crate) fn ended(&self, outcome: Outcome) {
        let mut state = self.state();
        if let Some(open) = state.open.take() {
            state.send(StepReport { finished: Some(StepEnd { at: Utc::now(), outcome }), ..open });
        }
    }

    /// Waits until the bridge knows everything.
    pub(crate) async fn all_told(&self) {
        let teller = {
            let mut state = self.state();
            state.reports = None;
            state.teller.take()
        };
        if let Some(teller) = teller
            && let Err(error) = teller.await
        {
            tracing::error!(%error, "telling about steps broke");
        }
    }

    /// Tells nothing more.
    pub(crate) fn abandon(&self) {
        self.stop.cancel();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment; a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&self, report: StepReport) {
        if let Some(reports) = &self.reports {
            // The teller ends early only when nobody wants to know.
            let _ = reports.send(report);
        }
    }
}

async fn tell(
    client: BridgeClient,
    job: JobId,
    mut queue: mpsc::UnboundedReceiver<StepReport>,
    stop: CancellationToken,
) {
    while let Some(report) = queue.recv().await {
        let mut failures = 0;
        while let Err(error) = client.step(job, &report).await {
            if !error.is_transient() {
                tracing::warn!(%error, job.id = %job, "the bridge wants no report of a step");
                break;
            }
            failures += 1;
            if pause(failures, &stop).await.is_stopped() {
                return;
            }
        }
    }
}
