//! Commands of a job: one long-lived container of its image, one `exec` for each step.
//!
//! A container costs four times an exec, so a job has one and its steps share it; what a build
//! does stays in containers of its own.

pub(crate) mod command_files;
pub(crate) mod output;
mod program;
pub(crate) mod progress;
mod signal;

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HealthConfig, HostConfig};
use builder::Passage;
use futures_util::{Stream, StreamExt as _};
use workflows::working_directory;

use crate::egress;
use crate::engine::{pinned_name, sandbox_fault, status_of, words_of};
use crate::environment;
use crate::execute::Execution;
use crate::sandbox::{WorkspaceMount, bind};
use crate::services;
use crate::steps::output::StepOutput;
use crate::stop::Stop;

pub(crate) use program::{Program, argv};
pub(crate) use signal::{Processes, Signal};

/// Where containers see the checkout.
pub(crate) const WORKSPACE: &str = "/workspace";
/// Where containers see the scripts of the steps, the event and the actions, to read only.
pub(crate) const SCRIPTS: &str = "/strata";
/// Where containers see `$RUNNER_TEMP`.
pub(crate) const TEMPORARY: &str = "/strata-temp";
/// Where programs are in an image that does not say it, as Docker has it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Waits for input that never comes: a way to sleep that every image with a shell knows. It
/// ignores TERM, which is meant for the commands beside it.
const IDLE: &str = "trap '' TERM; read -r _";
/// Exit status of a process that was killed, as a shell reports it.
pub(crate) const KILLED: i64 = 137;
/// Exit status of a program that is not there, as a shell reports it. Engines differ in what they
/// say of one that they could not start.
pub(crate) const NOT_FOUND: i64 = 127;
/// How often it is asked whether a command ended whose output is still held open by another.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long output is awaited once the command itself has ended.
const TRAILING_OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);
/// Files and environment of steps belong to root, whatever the image's user is: the checkout is
/// root's, and an image that is only tested must not need to know that.
const USER: &str = "0:0";

/// The container that a job's commands run in.
pub(crate) struct JobContainer {
    id: String,
    path: String,
    /// Closed with the container.
    _passage: Option<Passage>,
}

/// What one step runs.
pub(crate) struct Command<'a> {
    /// What does it.
    pub(crate) program: Program,
    /// All variables.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// As the container sees it.
    pub(crate) directory: &'a str,
    /// Where the first process leaves its number, as the container sees it.
    pub(crate) process_file: String,
}

impl JobContainer {
    /// Creates and starts the container.
    pub(crate) async fn start(execution: &Execution<'_>) -> Result<Self, Stop> {
        let spec = &execution.lease.spec;
        let Some(image) = &spec.image else {
            return Err(Stop::failure(
                "the job has commands and no image to run them in; name one under `container`",
            ));
        };
        let body = ContainerCreateBody {
            image: Some(pinned_name(image)),
            entrypoint: Some(["/bin/sh", "-c", IDLE].map(str::to_owned).to_vec()),
            open_stdin: Some(true),
            user: Some(USER.to_owned()),
            working_dir: Some(WORKSPACE.to_owned()),
            healthcheck: Some(no_healthcheck()),
            labels: Some(execution.names.labels()),
            host_config: Some(HostConfig {
                binds: Some(mounts(execution).iter().map(bind).collect()),
                ..services::host_config(
                    &spec.limits,
                    spec.network,
                    services::network_of(execution),
                    &spec.container,
                )
            }),
            ..services::own(&spec.container)
        };
        let name = execution.names.container("steps");
        let fault = sandbox_fault("create the container of the job's steps");
        let id = execution.engine.create(&name, body).await.map_err(fault)?;
        match execution.engine.start_container(&id, None).await {
            Ok(()) => {
                tracing::debug!(container = %id, "a container starts");
                let passage = egress::open(execution, &id, spec.network).await?;
                Ok(Self { path: path_of(execution, &id).await?, id, _passage: passage })
            }
            // 400: the image's own command cannot be executed, here our shell.
            Err(error) if status_of(&error) == Some(400) => Err(Stop::failure(format!(
                "image {} cannot run steps, it needs /bin/sh: {}",
                image.written,
                words_of(&error)
            ))),
            Err(error) => Err(sandbox_fault("start the container of the job's steps")(error)),
        }
    }

    /// Where the image has its programs.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The container's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Ends the container and every process in it.
    pub(crate) async fn remove(self, execution: &Execution<'_>) -> Result<(), Stop> {
        let removed = execution.engine.remove(&self.id).await;
        removed.map_err(sandbox_fault("remove the container of the job's steps"))
    }

    /// Runs a command to its end; the answer is its exit status.
    pub(crate) async fn run(
        &self,
        execution: &Execution<'_>,
        command: Command<'_>,
        output: &mut StepOutput<'_>,
    ) -> Result<i64, Stop> {
        let engine = execution.engine;
        let fault = sandbox_fault("run the step's commands");
        let config = exec_config(command)?;
        let exec = engine.create_exec(&self.id, config).await.map_err(&fault)?;
        let StartExecResults::Attached { output: stream, input } =
            engine.start_exec(&exec.id, None).await.map_err(&fault)?
        else {
            return Err(Stop::bug("an attached exec was started detached"));
        };
        let status = self.follow(execution, &exec.id, stream, output).await;
        output.finish();
        // Kept until here: closing it would end the connection that the output comes over.
        drop(input);
        status
    }

    /// Copies output to the log until the command ended, and gives its status. A process that
    /// the command left behind may hold the output open; it is not waited for.
    async fn follow(
        &self,
        execution: &Execution<'_>,
        exec: &str,
        mut stream: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
        output: &mut StepOutput<'_>,
    ) -> Result<i64, Stop> {
        let fault = sandbox_fault("follow the step's commands");
        let mut poll = tokio::time::interval(EXIT_POLL_INTERVAL);
        loop {
            let ended = tokio::select! {
                piece = stream.next() => match piece {
                    Some(Ok(piece)) => { output.push(&piece); continue }
                    Some(Err(error)) => return Err(fault(error)),
                    None => true,
                },
                _ = poll.tick() => false,
            };
            output.pause();
            let state = execution.engine.inspect_exec(exec).await.map_err(&fault)?;
            if state.running != Some(true)
                && let Some(status) = state.exit_code
            {
                if !ended {
                    drain(&mut stream, output).await;
                }
                let never_began = state.pid == Some(0);
                return Ok(if never_began { NOT_FOUND } else { status });
            }
            if ended {
                // The output ended and the command goes on: nothing to do but ask again.
                poll.tick().await;
            }
        }
    }
}

async fn drain(
    stream: &mut (impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin),
    output: &mut StepOutput<'_>,
) {
    let rest = async {
        while let Some(Ok(piece)) = stream.next().await {
            output.push(&piece);
        }
    };
    // Running out of time is the ordinary end when a process was left behind.
    let _ = tokio::time::timeout(TRAILING_OUTPUT_TIMEOUT, rest).await;
}

/// The `PATH` that the image gives its programs.
async fn path_of(execution: &Execution<'_>, id: &str) -> Result<String, Stop> {
    let inspected = execution.engine.inspect_container(id, None).await;
    let inspected = inspected.map_err(sandbox_fault("look at the container of the job's steps"))?;
    let env = inspected.config.and_then(|config| config.env).unwrap_or_default();
    let path = env.iter().find_map(|variable| variable.strip_prefix("PATH="));
    Ok(path.unwrap_or(DEFAULT_PATH).to_owned())
}

/// What the containers of a job's steps see of this machine.
pub(crate) fn mounts(execution: &Execution<'_>) -> Vec<WorkspaceMount> {
    let workspace = execution.workspace;
    let mount = |host: std::path::PathBuf, container, read_only| WorkspaceMount {
        host: host.to_string_lossy().into_owned(),
        container,
        read_only,
    };
    vec![
        mount(workspace.sources(), WORKSPACE, false),
        mount(workspace.scripts(), SCRIPTS, true),
        mount(workspace.command_files(), command_files::DIRECTORY, false),
        mount(workspace.temporary(), TEMPORARY, false),
    ]
}

fn exec_config(command: Command<'_>) -> Result<ExecConfig, Stop> {
    // The engine makes the first process the leader of a session, and so of a process group.
    let led = command.program.led(&command.process_file, command.directory);
    Ok(ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        env: Some(environment::listed(command.env)?),
        cmd: Some(led.argv),
        user: Some(USER.to_owned()),
        working_dir: Some(led.directory.to_owned()),
        ..ExecConfig::default()
    })
}

/// A `working-directory` as the container sees it.
pub(crate) fn directory_in_container(written: &str) -> Result<String, Stop> {
    let directory = working_directory::read(written).map_err(|why| {
        Stop::failure(format!("`working-directory` `{}` {why}", written.escape_debug()))
    })?;
    Ok(match directory.as_str() {
        "" => WORKSPACE.to_owned(),
        whole if whole.starts_with('/') => directory,
        below => format!("{WORKSPACE}/{below}"),
    })
}

/// The image's own health check would run beside the commands, unasked.
pub(crate) fn no_healthcheck() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_begins_in_the_workspace() {
        for (written, expected) in
            [("", "/workspace"), ("./a/b/", "/workspace/a/b"), ("/tmp", "/tmp"), ("/", "/")]
        {
            assert_eq!(directory_in_container(written).unwrap(), expected);
        }
        for bad in ["..", "a/../../etc", "/proc/self/fd/8"] {
            assert!(matches!(directory_in_container(bad), Err(Stop::Failure(_))), "{bad}");
        }
    }
}
