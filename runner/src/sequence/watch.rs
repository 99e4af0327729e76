//! Ends a step that must not go on: asks, waits a little, ends it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::execute::Execution;
use crate::steps::output::StepOutput;
use crate::steps::{Command, JobContainer, Signal};
use crate::stop::Stop;

/// How long processes have between the request to end and their end.
const GRACE: Duration = Duration::from_secs(10);
/// How long the end of processes that were killed is waited for.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// When a step has to end before its end.
#[derive(Clone)]
pub(super) struct Watch {
    deadline: Option<(Instant, f64)>,
    /// Whether it goes on although the job is cancelled.
    ignores_cancellation: bool,
}

impl Watch {
    /// Over a step that begins now; `outer` is over the step that uses the action which it is part
    /// of.
    pub(super) fn over(
        minutes: Option<f64>,
        ignores_cancellation: bool,
        outer: Option<&Self>,
    ) -> Self {
        const SECONDS_A_MINUTE: f64 = 60.0;
        let deadline = minutes.map(|minutes| {
            let after = Duration::from_secs_f64(minutes * SECONDS_A_MINUTE);
            (Instant::now() + after, minutes)
        });
        let outer_deadline = outer.and_then(|outer| outer.deadline);
        let earlier = |one: &(Instant, f64), other: &(Instant, f64)| one.0.cmp(&other.0);
        let deadline = deadline.into_iter().chain(outer_deadline).min_by(earlier);
        let outer_ignores = outer.is_some_and(|outer| outer.ignores_cancellation);
        Self { deadline, ignores_cancellation: ignores_cancellation || outer_ignores }
    }

    /// Whether the step goes on although the job is cancelled.
    pub(super) fn ignores_cancellation(&self) -> bool {
        self.ignores_cancellation
    }

    /// Waits for a reason to end the step.
    async fn must_end(&self, execution: &Execution<'_>) -> Stop {
        let late = async {
            match self.deadline {
                Some((at, minutes)) => {
                    tokio::time::sleep_until(at).await;
                    Stop::TimedOut(format!("ran longer than {minutes} minutes"))
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            stop = late => stop,
            () = execution.cancel.cancelled(), if !self.ignores_cancellation => Stop::Cancelled,
        }
    }

    /// Runs a command of the job's container. Asked to end, its process group has some time.
    pub(super) async fn run(
        &self,
        execution: &Execution<'_>,
        container: &JobContainer,
        command: Command<'_>,
        output: &mut StepOutput<'_>,
    ) -> Result<i64, Stop> {
        let process_file = command.process_file.clone();
        let mut work = std::pin::pin!(container.run(execution, command, output));
        let stop = tokio::select! {
            ended = &mut work => return ended,
            stop = self.must_end(execution) => stop,
        };
        execution.log.line(&format!("Strata: ending the step: {stop}"));
        container.signal(execution, &process_file, Signal::Terminate).await;
        if tokio::time::timeout(GRACE, &mut work).await.is_err() {
            container.signal(execution, &process_file, Signal::Kill).await;
            // Whatever still runs then goes with the container.
            let _ = tokio::time::timeout(KILL_TIMEOUT, &mut work).await;
        }
        Err(stop)
    }

    /// Does work in containers of its own. Asked to end, they have some time; `keep` are the
    /// containers that are not the work's.
    pub(super) async fn over_containers<T>(
        &self,
        execution: &Execution<'_>,
        keep: &[String],
        mut work: Pin<&mut impl Future<Output = Result<T, Stop>>>,
    ) -> Result<T, Stop> {
        let stop = tokio::select! {
            ended = &mut work => return ended,
            stop = self.must_end(execution) => stop,
        };
        execution.halt.cancel();
        execution.log.line(&format!("Strata: ending the step: {stop}"));
        let gently =
            async { tokio::join!(execution.engine.terminate(execution.names, keep), &mut work).1 };
        // Whatever the work says now, it ended because it had to.
        let _ = tokio::time::timeout(GRACE, gently).await;
        execution.engine.end_containers(execution.names, keep).await;
        Err(stop)
    }
}
