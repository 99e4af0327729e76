//! One attempt of a job, from its lease to its report: supervised, ended in time, cleaned up.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workflows::protocol::{JobReport, Lease};
use workflows::state::{Fault, Outcome};

use crate::agent::Agent;
use crate::backoff::pause;
use crate::delivery::Pushed;
use crate::engine::AttemptNames;
use crate::execute::{Execution, execute};
use crate::log::{self, AttemptLog, Masker, Shipped};
use crate::pulse::{LeaseState, Pulse};
use crate::push::forget_local;
use crate::steps::progress::Progress;
use crate::stop::Stop;
use crate::workspace::Workspace;

/// How long processes have between the request to end and their end.
const GRACE: Duration = Duration::from_secs(10);
/// How long a report is repeated while the bridge does not answer; its lease is long over then,
/// and the spool waits for the next start.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs one attempt and reports it.
pub(crate) async fn run(agent: &Arc<Agent>, lease: Lease) {
    let names = AttemptNames::of(&lease, &agent.owner);
    let _live = agent.enliven(names.key());
    tracing::info!(
        job.id = %lease.job, run.id = %lease.run, attempt = lease.attempt,
        repo.name = %lease.spec.source.repository, "job {} begins", lease.job
    );
    let pulse = Pulse::start(&agent.client, lease.job, lease.fence);
    let log = AttemptLog::create(
        &agent.config.state_dir,
        &names.key(),
        lease.spec.limits.log_bytes,
        Masker::new(secrets(agent, &lease)),
    );
    match (pulse, log) {
        (Ok(pulse), Ok(log)) => Attempt { agent, lease, names, log }.run(pulse).await,
        (pulse, log) => {
            let error = pulse.err().or(log.err().map(Into::into));
            let message = error.map_or_else(String::new, |error| format!("{error:#}"));
            tracing::error!(job.id = %lease.job, "job cannot begin: {message}");
            let report = Stop::sandbox(message).report(lease.fence);
            finish_until_answered(agent, &lease, report, &CancellationToken::new()).await;
        }
    }
}

fn secrets(agent: &Agent, lease: &Lease) -> Vec<String> {
    use secrecy::ExposeSecret as _;
    let mut secrets = agent.registries.secrets();
    secrets.extend(lease.clone_token.as_ref().map(|token| token.expose_secret().to_owned()));
    secrets
}

struct Attempt<'a> {
    agent: &'a Arc<Agent>,
    lease: Lease,
    names: AttemptNames,
    log: AttemptLog,
}

impl Attempt<'_> {
    async fn run(self, mut pulse: Pulse) {
        let (job, fence) = (self.lease.job, self.lease.fence);
        let stop_shipping = CancellationToken::new();
        let shipper = self.log.reader().map(|reader| {
            let client = self.agent.client.clone();
            tokio::spawn(log::ship(reader, client, job, fence, stop_shipping.clone()))
        });
        let progress = Progress::start(self.agent.client.clone(), job, fence, self.log.clone());

        let ended = self.execute_in_workspace(&mut pulse, &progress).await;
        if let Err(stop) = &ended {
            progress.ended(stop.outcome());
            self.log.line(&format!("Strata: {}: {stop}", stop.outcome()));
        }
        self.log.close();
        let report = self.report(ended);

        let Some(report) = report else {
            stop_shipping.cancel();
            progress.abandon();
            self.log.remove();
            return;
        };
        let told = async {
            if let Ok(shipper) = shipper {
                let shipped = shipper.await.unwrap_or(Shipped::Interrupted);
                tracing::debug!(job.id = %job, ?shipped, "log is over");
            }
            progress.all_told().await;
            finish_until_answered(self.agent, &self.lease, Some(report), &stop_shipping).await
        };
        tokio::select! {
            told = tokio::time::timeout(REPORT_TIMEOUT, told) => match told {
                Ok(()) => self.log.remove(),
                Err(_) => tracing::error!(job.id = %job, "job {job} cannot be reported; its log waits"),
            },
            why = pulse.lost() => {
                tracing::warn!(job.id = %job, why, "lease was lost before the report");
                self.log.remove();
            }
        }
    }

    /// Executes the job and removes everything that it made.
    async fn execute_in_workspace(
        &self,
        pulse: &mut Pulse,
        progress: &Progress,
    ) -> Result<Option<Pushed>, Stop> {
        let workspace = Workspace::create(&self.agent.config.state_dir, &self.names.key())?;
        let execution = Execution {
            engine: &self.agent.engine,
            registries: &self.agent.registries,
            lookaside: &self.agent.lookaside,
            lease: &self.lease,
            names: &self.names,
            log: &self.log,
            workspace: &workspace,
            progress,
            halt: CancellationToken::new(),
        };
        let ended = self.supervise(&execution, pulse).await;
        if let Some(image) = workspace.image() {
            forget_local(&self.agent.engine, &image).await;
        }
        let sources = tokio::task::spawn_blocking(move || workspace.remove());
        let ((), removed) = tokio::join!(self.agent.engine.sweep_attempt(&self.names), sources);
        if let Err(error) = removed {
            tracing::error!(%error, job.id = %self.lease.job, "removal of the workspace broke");
        }
        ended
    }

    /// Lets the job run until it ends or must: then asks nicely, waits a little, and ends it.
    async fn supervise(
        &self,
        execution: &Execution<'_>,
        pulse: &mut Pulse,
    ) -> Result<Option<Pushed>, Stop> {
        let mut work = std::pin::pin!(execute(execution));
        let stop = tokio::select! {
            ended = &mut work => return ended,
            stop = self.must_stop(pulse) => stop,
        };
        tracing::info!(job.id = %self.lease.job, "job {} must stop: {stop}", self.lease.job);
        execution.halt.cancel();
        if !matches!(stop, Stop::LeaseLost(_)) {
            self.log.line(&format!("Strata: stopping: {stop}"));
            let gently =
                async { tokio::join!(self.agent.engine.terminate(&self.names), &mut work).1 };
            // Whatever the work says now, it ended because it had to.
            let _ = tokio::time::timeout(GRACE, gently).await;
        }
        // Dropping the work ends every stream; the sweep then kills the containers.
        Err(stop)
    }

    /// Waits for a reason to end the job before its end.
    async fn must_stop(&self, pulse: &mut Pulse) -> Stop {
        let seconds = self.lease.spec.limits.timeout_seconds;
        tokio::select! {
            state = pulse.interrupted() => match state {
                LeaseState::Lost(why) => Stop::LeaseLost(why),
                LeaseState::Held | LeaseState::Cancelled => Stop::Cancelled,
            },
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {
                Stop::TimedOut(format!("ran longer than {seconds} seconds"))
            }
            () = self.agent.drained.cancelled() => Stop::Fault {
                fault: Fault::RunnerLost,
                message: "the runner was stopped".to_owned(),
            },
        }
    }

    fn report(&self, ended: Result<Option<Pushed>, Stop>) -> Option<JobReport> {
        match ended {
            Ok(pushed) => {
                let (image, evidence) =
                    pushed.map(|pushed| (pushed.image, pushed.evidence)).unzip();
                Some(JobReport {
                    fence: self.lease.fence,
                    outcome: Outcome::Success,
                    fault: None,
                    message: String::new(),
                    image,
                    evidence,
                })
            }
            Err(stop) => stop.report(self.lease.fence),
        }
    }
}

/// Reports the end until the bridge has taken it or will never.
async fn finish_until_answered(
    agent: &Agent,
    lease: &Lease,
    report: Option<JobReport>,
    stop: &CancellationToken,
) {
    let Some(report) = report else { return };
    let mut failures = 0;
    loop {
        match agent.client.finish(lease.job, &report).await {
            Ok(()) => {
                tracing::info!(
                    job.id = %lease.job, outcome = %report.outcome,
                    "job {} ended: {}", lease.job, report.outcome
                );
                return;
            }
            Err(error) if error.is_transient() => {
                failures += 1;
                tracing::warn!(%error, job.id = %lease.job, failures, "report waits");
                if pause(failures, stop).await.is_stopped() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, job.id = %lease.job, "report was refused");
                return;
            }
        }
    }
}
