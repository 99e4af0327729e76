//! One command as the only process of a container.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use workflows::job::Network;

use crate::egress;
use crate::engine::{sandbox_fault, status_of, words_of};
use crate::execute::Execution;
use crate::stop::Stop;

/// Exit status of a process that was killed, as the engine reports it.
const KILLED: i64 = 137;
/// Words by which the engine tells that the command, its user or its directory is not there.
const USERS_MISTAKES: [&str; 5] = [
    "unable to find user",
    "no matching entries in",
    "executable file not found",
    "no such file or directory",
    "not a directory",
];

/// How often a listener is told that time goes by.
const PAUSE_INTERVAL: Duration = Duration::from_millis(500);

/// What is heard of a command.
pub(crate) enum Heard<'a> {
    /// It prints.
    Output(&'a LogOutput),
    /// Time went by.
    Pause,
}

/// Runs the command of a container that was created and not started, to its end; `take` gets what
/// is heard of it. The answer is why it failed, in words, where it did by its own fault. With the network
/// `egress` the command is one that waits at [`egress::gated`].
pub(crate) async fn run(
    execution: &Execution<'_>,
    container: &str,
    network: Network,
    mut take: impl FnMut(Heard<'_>),
) -> Result<Result<(), String>, Stop> {
    execution.may_go_on()?;
    let engine = execution.engine;
    let is_gated = network == Network::Egress;
    let options = AttachContainerOptionsBuilder::default();
    let options = options.stream(true).stdin(is_gated).stdout(true).stderr(true).build();
    let attached = engine.attach_container(container, Some(options)).await;
    let mut attached = attached.map_err(sandbox_fault("follow a command"))?;
    if let Err(error) = engine.start_container(container, None).await {
        let words = words_of(&error);
        let is_users = status_of(&error) == Some(400)
            || USERS_MISTAKES.iter().any(|mistake| words.contains(mistake));
        return if is_users {
            Ok(Err(format!("cannot start: {words}")))
        } else {
            Err(Stop::sandbox(format!("cannot start a command: {words}")))
        };
    }
    // Held until the command has ended.
    let _passage = egress::open(execution, container, network).await?;
    if is_gated {
        let opened = attached.input.write_all(egress::OPEN).await;
        opened.map_err(|error| Stop::sandbox(format!("cannot let a command begin: {error}")))?;
    }
    let mut pauses = tokio::time::interval(PAUSE_INTERVAL);
    loop {
        tokio::select! {
            piece = attached.output.next() => match piece {
                Some(Ok(piece)) => take(Heard::Output(&piece)),
                Some(Err(error)) => return Err(sandbox_fault("follow a command")(error)),
                None => break,
            },
            _ = pauses.tick() => take(Heard::Pause),
        }
    }
    match status(execution, container).await? {
        0 => Ok(Ok(())),
        status => Ok(Err(why(execution, container, status).await)),
    }
}

async fn status(execution: &Execution<'_>, container: &str) -> Result<i64, Stop> {
    let mut answers = execution.engine.wait_container(container, None).boxed();
    match answers.next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(sandbox_fault("wait for a command")(error)),
        None => Err(Stop::sandbox("the engine did not tell how a command ended")),
    }
}

/// The status in words; of a killed process the engine knows whether memory was the cause.
async fn why(execution: &Execution<'_>, container: &str, status: i64) -> String {
    if status == KILLED {
        let inspected = execution.engine.inspect_container(container, None).await;
        let state = inspected.ok().and_then(|inspected| inspected.state);
        if state.and_then(|state| state.oom_killed) == Some(true) {
            let bytes = execution.lease.spec.limits.memory_bytes;
            return format!("killed: it used more memory than the job may ({bytes} bytes)");
        }
    }
    format!("exit status {status}")
}
