//! Commands of a job: one long-lived container of its image, one `exec` for each step.
//!
//! A container costs four times an exec, so a job has one and its steps share it; what a build
//! does stays in containers of its own.

pub(crate) mod progress;

use std::path::{Component, Path};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HealthConfig};
use futures_util::{Stream, StreamExt as _};
use workflows::job::{Shell, StepSpec};

use crate::engine::{pinned_name, sandbox_fault, status_of, words_of};
use crate::execute::Execution;
use crate::sandbox::{WorkspaceMount, confinement};
use crate::stop::Stop;

/// Where containers see the checkout.
const WORKSPACE: &str = "/workspace";
/// Where containers see the scripts of the steps.
const SCRIPTS: &str = "/strata";
/// Waits for input that never comes: a way to sleep that every image with a shell knows. It
/// ignores TERM, which is meant for the commands beside it.
const IDLE: &str = "trap '' TERM; read -r _";
/// Exit status of a process that was killed, as a shell reports it.
const KILLED: i64 = 137;
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
}

/// What one step runs.
pub(crate) struct Command<'a> {
    /// Position in the job.
    pub(crate) index: u32,
    /// The script as written.
    pub(crate) script: &'a str,
    /// What reads it.
    pub(crate) shell: Shell,
    /// Below the workspace.
    pub(crate) working_directory: &'a str,
}

impl JobContainer {
    /// Creates and starts the container.
    pub(crate) async fn start(execution: &Execution<'_>) -> Result<Self, Stop> {
        let spec = &execution.lease.spec;
        let Some(image) = &spec.image else {
            return Err(Stop::bug("the job has commands and no image to run them in"));
        };
        let body = ContainerCreateBody {
            image: Some(pinned_name(image)),
            entrypoint: Some(["/bin/sh", "-c", IDLE].map(str::to_owned).to_vec()),
            open_stdin: Some(true),
            user: Some(USER.to_owned()),
            working_dir: Some(WORKSPACE.to_owned()),
            healthcheck: Some(no_healthcheck()),
            labels: Some(execution.names.labels()),
            host_config: Some(confinement(&spec.limits, spec.network, &mounts(execution))),
            ..ContainerCreateBody::default()
        };
        let name = execution.names.container("steps");
        let id = execution
            .engine
            .create(&name, body)
            .await
            .map_err(sandbox_fault("create the container of the job's steps"))?;
        match execution.engine.start_container(&id, None).await {
            Ok(()) => Ok(Self { id }),
            // 400: the image's own command cannot be executed, here our shell.
            Err(error) if status_of(&error) == Some(400) => Err(Stop::failure(format!(
                "image {} cannot run steps, it needs /bin/sh: {}",
                image.written,
                words_of(&error)
            ))),
            Err(error) => Err(sandbox_fault("start the container of the job's steps")(error)),
        }
    }

    /// Ends the container and every process in it.
    pub(crate) async fn remove(self, execution: &Execution<'_>) -> Result<(), Stop> {
        let removed = execution.engine.remove(&self.id).await;
        removed.map_err(sandbox_fault("remove the container of the job's steps"))
    }

    /// Runs one step's commands; a status other than 0 is the user's failure.
    pub(crate) async fn run(
        &self,
        execution: &Execution<'_>,
        step: &StepSpec,
        command: &Command<'_>,
    ) -> Result<(), Stop> {
        let config = exec_config(execution, step, command)?;
        let script = execution.workspace.scripts().join(script_name(command.index));
        std::fs::write(&script, command.script).map_err(|error| {
            Stop::sandbox(format!("cannot write {}: {error}", script.display()))
        })?;
        let engine = execution.engine;
        let fault = sandbox_fault("run the step's commands");
        let exec = engine.create_exec(&self.id, config).await.map_err(&fault)?;
        let StartExecResults::Attached { output, input } =
            engine.start_exec(&exec.id, None).await.map_err(&fault)?
        else {
            return Err(Stop::bug("an attached exec was started detached"));
        };
        let status = self.follow(execution, &exec.id, output).await?;
        // Kept until here: closing it would end the connection that the output comes over.
        drop(input);
        match status {
            0 => Ok(()),
            KILLED => Err(Stop::failure(format!(
                "step `{}`: killed, as a process that uses more memory than the job may ({} \
                 bytes) would be",
                step.name, execution.lease.spec.limits.memory_bytes
            ))),
            status => Err(Stop::failure(format!("step `{}`: exit status {status}", step.name))),
        }
    }

    /// Copies output to the log until the command ended, and gives its status. A process that
    /// the command left behind may hold the output open; it is not waited for.
    async fn follow(
        &self,
        execution: &Execution<'_>,
        exec: &str,
        mut output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    ) -> Result<i64, Stop> {
        let fault = sandbox_fault("follow the step's commands");
        let mut poll = tokio::time::interval(EXIT_POLL_INTERVAL);
        loop {
            let ended = tokio::select! {
                piece = output.next() => match piece {
                    Some(Ok(piece)) => { execution.log.write(piece.as_ref()); continue }
                    Some(Err(error)) => return Err(fault(error)),
                    None => true,
                },
                _ = poll.tick() => false,
            };
            let state = execution.engine.inspect_exec(exec).await.map_err(&fault)?;
            if state.running != Some(true)
                && let Some(status) = state.exit_code
            {
                if !ended {
                    drain(execution, &mut output).await;
                }
                return Ok(status);
            }
            if ended {
                // The output ended and the command goes on: nothing to do but ask again.
                poll.tick().await;
            }
        }
    }
}

async fn drain(
    execution: &Execution<'_>,
    output: &mut (impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin),
) {
    let rest = async {
        while let Some(Ok(piece)) = output.next().await {
            execution.log.write(piece.as_ref());
        }
    };
    // Running out of time is the ordinary end when a process was left behind.
    let _ = tokio::time::timeout(TRAILING_OUTPUT_TIMEOUT, rest).await;
}

fn mounts(execution: &Execution<'_>) -> [WorkspaceMount; 2] {
    let host = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    [
        WorkspaceMount {
            host: host(execution.workspace.sources()),
            container: WORKSPACE,
            read_only: false,
        },
        WorkspaceMount {
            host: host(execution.workspace.scripts()),
            container: SCRIPTS,
            read_only: true,
        },
    ]
}

fn exec_config(
    execution: &Execution<'_>,
    step: &StepSpec,
    command: &Command<'_>,
) -> Result<ExecConfig, Stop> {
    let mut env = execution.lease.spec.env.clone();
    env.extend(step.env.clone());
    let directory = directory_in_workspace(command.working_directory).ok_or_else(|| {
        Stop::failure(format!(
            "step `{}`: working_directory `{}` is not below the workspace",
            step.name, command.working_directory
        ))
    })?;
    Ok(ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: Some(argv(command.shell, &format!("{SCRIPTS}/{}", script_name(command.index)))),
        user: Some(USER.to_owned()),
        working_dir: Some(directory),
        ..ExecConfig::default()
    })
}

/// The program that reads a script file; the script itself is never part of a command line.
pub(crate) fn argv(shell: Shell, script: &str) -> Vec<String> {
    let program: &[&str] = match shell {
        Shell::Sh => &["/bin/sh", "-e"],
        Shell::Bash => &["bash", "--noprofile", "--norc", "-eo", "pipefail"],
        Shell::Python => &["python3"],
    };
    program.iter().copied().chain([script]).map(str::to_owned).collect()
}

fn script_name(index: u32) -> String {
    format!("step-{index}")
}

/// The directory as the container sees it; `None` for one that would leave the workspace.
fn directory_in_workspace(written: &str) -> Option<String> {
    let mut directory = WORKSPACE.to_owned();
    for component in Path::new(written).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => {
                directory.push('/');
                directory.push_str(part.to_str()?);
            }
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => return None,
        }
    }
    Some(directory)
}

/// The image's own health check would run beside the commands, unasked.
pub(crate) fn no_healthcheck() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_stays_in_the_workspace() {
        assert_eq!(directory_in_workspace("").as_deref(), Some("/workspace"));
        assert_eq!(directory_in_workspace("./a/b/").as_deref(), Some("/workspace/a/b"));
        for bad in ["/etc", "..", "a/../../etc", "../x"] {
            assert_eq!(directory_in_workspace(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_script_is_named_and_never_quoted() {
        assert_eq!(argv(Shell::Sh, "/strata/step-0"), ["/bin/sh", "-e", "/strata/step-0"]);
        assert_eq!(argv(Shell::Bash, "f").last().map(String::as_str), Some("f"));
        assert_eq!(argv(Shell::Python, "f"), ["python3", "f"]);
    }
}
