//! One attempt of a job, from its lease to its report: supervised, ended in time, cleaned up.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workflows::protocol::{JobReport, Lease};
use workflows::state::{Fault, Outcome};

use crate::agent::Agent;
use crate::backoff::pause;
use crate::delivery::Pushed;
use crate::disk;
use crate::engine::AttemptNames;
use crate::execute::{Execution, execute};
use crate::gathered::Gathered;
use crate::image_build::blocking;
use crate::log::{self, AttemptLog, Masker, Shipped};
use crate::pulse::{LeaseState, Pulse};
use crate::push::forget_local;
use crate::steps::progress::Progress;
use crate::stop::Stop;
use crate::workspace::Workspace;

/// How long processes have between the request to end and their end.
const GRACE: Duration = Duration::from_secs(10);
/// How long a job that is cancelled or late may go on with the steps that ask for it; as on
/// GitHub.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a report is repeated while the bridge does not answer; its lease is long over then,
/// and the spool waits for the next start.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How long the answer to a report may be on its way when the lease is over: it was taken, perhaps,
/// and a heartbeat heard of that first.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

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
    secrets.extend(lease.secrets.values().map(|secret| secret.expose_secret().to_owned()));
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

        let gathered = Gathered::default();
        let ended = self.execute_in_workspace(&mut pulse, &progress, &gathered).await;
        if let Err(stop) = &ended {
            progress.ended(stop.outcome());
            self.log.line(&format!("Strata: {}: {stop}", stop.outcome()));
        }
        self.log.close();
        let report = report(&self.log, self.lease.fence, ended);
        let report = report.map(|report| gathered.into_report(report));

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
        let told = tokio::time::timeout(REPORT_TIMEOUT, told);
        match told_or_lost(told, pulse.lost()).await {
            Ok(Ok(())) => self.log.remove(),
            Ok(Err(_)) => {
                tracing::error!(job.id = %job, "job {job} cannot be reported; its log waits");
            }
            Err(why) => {
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
        gathered: &Gathered,
    ) -> Result<Option<Pushed>, Stop> {
        let (state_dir, key) = (self.agent.config.state_dir.clone(), self.names.key());
        let workspace = blocking(move || Workspace::create(&state_dir, &key)).await?;
        let execution = Execution {
            engine: &self.agent.engine,
            strata: self.agent.strata.as_ref(),
            builds: TaskTracker::new(),
            registries: &self.agent.registries,
            lookaside: &self.agent.lookaside,
            runner: &self.agent.config.name,
            lease: &self.lease,
            names: &self.names,
            log: &self.log,
            gathered,
            workspace: &workspace,
            progress,
            tree: None,
            disk_bytes: self.agent.config.job_disk_bytes,
            cancel: CancellationToken::new(),
            halt: CancellationToken::new(),
        };
        let drained = &self.agent.drained;
        let ended = supervise(&execution, Overseer::Bridge { pulse, drained }).await;
        tidy_up(&execution).await;
        let sources = tokio::task::spawn_blocking(move || workspace.remove());
        if let Err(error) = sources.await {
            tracing::error!(%error, job.id = %self.lease.job, "removal of the workspace broke");
        }
        ended
    }
}

/// What comes of a report, or why the lease was lost before it. The end of a lease that was
/// reported is the report's.
async fn told_or_lost<T>(
    told: impl Future<Output = T>,
    lost: impl Future<Output = String>,
) -> Result<T, String> {
    let mut told = std::pin::pin!(told);
    tokio::select! {
        biased;
        told = &mut told => Ok(told),
        why = lost => {
            let told = tokio::time::timeout(LAST_ANSWER_TIMEOUT, told).await;
            told.map_err(|_| why)
        }
    }
}

/// What is told of a job that has ended so; nothing when its lease is another's. The message goes to
/// pages and forges: what is masked in the log is masked there too.
pub(crate) fn report(
    log: &AttemptLog,
    fence: i64,
    ended: Result<Option<Pushed>, Stop>,
) -> Option<JobReport> {
    match ended {
        Ok(pushed) => {
            let (image, evidence) = pushed.map(|pushed| (pushed.image, pushed.evidence)).unzip();
            Some(JobReport {
                fence,
                outcome: Outcome::Success,
                fault: None,
                message: String::new(),
                image,
                evidence,
                outputs: Default::default(),
                summary: None,
                annotations: Vec::new(),
            })
        }
        Err(stop) => stop
            .report(fence)
            .map(|report| JobReport { message: log.masked(&report.message), ..report }),
    }
}

/// Who may end a job before its end.
pub(crate) enum Overseer<'a> {
    /// The bridge by the lease, and the runner when it stops.
    Bridge {
        /// Of the lease.
        pulse: &'a mut Pulse,
        /// Cancelled when the drain time is over.
        drained: &'a CancellationToken,
    },
    /// The person who started it.
    Person {
        /// Cancelled when it is to stop.
        stop: &'a CancellationToken,
        /// Cancelled when it is to end at once.
        now: &'a CancellationToken,
    },
}

impl Overseer<'_> {
    /// Waits for a reason to end the job before its end.
    async fn must_stop(&mut self, seconds: u64) -> Stop {
        let late = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Stop::TimedOut(format!("ran longer than {seconds} seconds"))
        };
        match self {
            Self::Bridge { pulse, drained } => tokio::select! {
                state = pulse.interrupted() => match state {
                    LeaseState::Lost(why) => Stop::LeaseLost(why),
                    LeaseState::Held | LeaseState::Cancelled => Stop::Cancelled,
                },
                stop = late => stop,
                () = drained.cancelled() => Stop::Fault {
                    fault: Fault::RunnerLost,
                    message: "the runner was stopped".to_owned(),
                },
            },
            Self::Person { stop, .. } => tokio::select! {
                () = stop.cancelled() => Stop::Cancelled,
                stop = late => stop,
            },
        }
    }

    /// Waits for a reason to end what a stopping job still does; nothing when its time is over.
    async fn must_stop_now(&mut self) -> Option<Stop> {
        let late = tokio::time::sleep(CLEANUP_TIMEOUT);
        match self {
            Self::Bridge { pulse, drained } => tokio::select! {
                why = pulse.lost() => Some(Stop::LeaseLost(why)),
                () = late => None,
                () = drained.cancelled() => None,
            },
            Self::Person { now, .. } => tokio::select! {
                () = now.cancelled() => None,
                () = late => None,
            },
        }
    }
}

/// Lets the job run until it ends or must. A job that is cancelled or late still runs the steps
/// that ask for it; one that fills the disk, whose runner stops, or whose lease is another's, does
/// not.
pub(crate) async fn supervise(
    execution: &Execution<'_>,
    mut overseer: Overseer<'_>,
) -> Result<Option<Pushed>, Stop> {
    let Execution { lease, log, engine, names, .. } = execution;
    let mut work = std::pin::pin!(execute(execution));
    let mut full = std::pin::pin!(disk::full(execution));
    let mut stop = tokio::select! {
        ended = &mut work => return ended,
        stop = overseer.must_stop(lease.spec.limits.timeout_seconds) => stop,
        stop = &mut full => stop,
    };
    tracing::info!(job.id = %lease.job, "job {} must stop: {stop}", lease.job);
    if matches!(stop, Stop::Cancelled | Stop::TimedOut(_)) {
        log.line(&format!("Strata: stopping: {stop}"));
        execution.cancel.cancel();
        tokio::select! {
            ended = &mut work => return Err(told(stop, ended)),
            harder = overseer.must_stop_now() => if let Some(harder) = harder { stop = harder },
            harder = &mut full => stop = harder,
        }
    }
    execution.halt.cancel();
    // Who fills the disk is not given time to go on.
    if !matches!(stop, Stop::LeaseLost(_) | Stop::Failure(_)) {
        log.line("Strata: ending all that still runs");
        let all = engine.terminate(names, &[]);
        let gently = async { tokio::join!(all, &mut work).1 };
        // Whatever the work says now, it ended because it had to.
        let _ = tokio::time::timeout(GRACE, gently).await;
    }
    // Dropping the work ends every stream; the sweep then kills the containers.
    Err(stop)
}

/// Removes everything that an attempt has made in the engine.
pub(crate) async fn tidy_up(execution: &Execution<'_>) {
    let Execution { engine, names, lease, workspace, builds, .. } = execution;
    builds.close();
    if tokio::time::timeout(GRACE, builds.wait()).await.is_err() {
        tracing::error!(job.id = %lease.job, "a build that was killed does not end");
    }
    if let Some(image) = workspace.image() {
        forget_local(engine, &image).await;
    }
    engine.sweep_attempt(names).await;
}

/// Why a job that had to stop has ended: that, unless the lease was lost meanwhile.
fn told(stop: Stop, ended: Result<Option<Pushed>, Stop>) -> Stop {
    match ended {
        Err(lost @ Stop::LeaseLost(_)) => lost,
        _ => stop,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_ends_by_its_report_was_not_lost() {
        use std::future::{pending, ready};

        let lost = || ready("stale fence".to_owned());
        assert_eq!(told_or_lost(ready(1), lost()).await, Ok(1));
        let (answer, is_on_its_way) = tokio::sync::oneshot::channel();
        let (ended, sent) = tokio::join!(told_or_lost(is_on_its_way, lost()), async {
            tokio::task::yield_now().await;
            answer.send(2)
        });
        assert_eq!((ended, sent), (Ok(Ok(2)), Ok(())));
        assert_eq!(told_or_lost(pending::<()>(), lost()).await, Err("stale fence".to_owned()));
    }

    #[test]
    fn the_message_of_a_report_shows_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let masker = Masker::new(["hunter2".to_owned()]);
        let log = AttemptLog::create(dir.path(), "1.1", 1_000, masker).unwrap();
        log.close();
        let ended = Err(Stop::failure("line 7: cannot change to /hunter2"));
        let told = report(&log, 3, ended).unwrap();
        assert_eq!((told.fence, told.message.as_str()), (3, "line 7: cannot change to /***"));
        assert!(report(&log, 3, Err(Stop::LeaseLost("gone".to_owned()))).is_none());
    }
}
