//! Ends a step that must not go on: asks, waits a little, ends it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::{MaybeDone, maybe_done};
use tokio::time::Instant;

use crate::execute::Execution;
use crate::steps::output::StepOutput;
use crate::steps::{Command, JobContainer, Processes, Signal};
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

    /// Runs a command of the job's container. Asked to end, its processes have some time; nothing
    /// of them is there any more when this returns.
    pub(super) async fn run(
        &self,
        execution: &Execution<'_>,
        container: &mut JobContainer,
        command: Command<'_>,
        output: &mut StepOutput<'_>,
    ) -> Result<i64, Stop> {
        let processes = Processes::of(command.process_file.clone());
        let (stop, are_gone) = {
            let mut work = std::pin::pin!(maybe_done(container.run(execution, command, output)));
            let stop = tokio::select! {
                () = &mut work => None,
                stop = self.must_end(execution) => Some(stop),
            };
            let Some(stop) = stop else {
                let ended = work.as_mut().take_output();
                return ended.unwrap_or_else(|| Err(Stop::bug("a step has ended twice")));
            };
            execution.log.line(&format!("Strata: ending the step: {stop}"));
            (stop, ended(execution, container, processes, work).await)
        };
        output.finish();
        if !are_gone {
            execution.log.line(
                "##[warning]the step's processes do not end; the container of the job is started \
                 anew, which ends all that runs in it",
            );
            container.restart(execution).await?;
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

/// Asks what runs of a step to end, and ends it after a while; the answer is whether it is all gone.
async fn ended(
    execution: &Execution<'_>,
    container: &JobContainer,
    mut processes: Processes,
    mut work: Pin<&mut MaybeDone<impl Future>>,
) -> bool {
    for (signal, time) in [(Signal::Terminate, GRACE), (Signal::Kill, KILL_TIMEOUT)] {
        if let Err(why) = container.signal(execution, &mut processes, signal).await {
            let name = signal.name();
            let line = format!("##[warning]the step's processes cannot be sent {name}: {why}");
            execution.log.line(&line);
        }
        let gone = async {
            work.as_mut().await;
            container.none_left(execution, &mut processes, signal).await;
        };
        if tokio::time::timeout(time, gone).await.is_ok() {
            return true;
        }
    }
    false
}
