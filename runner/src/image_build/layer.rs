//! One layer: a container, what goes in, what runs, and the commit.

use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig};
use bollard::query_parameters::{AttachContainerOptionsBuilder, CommitContainerOptionsBuilder};
use futures_util::StreamExt as _;
use workflows::job::Network;

use super::Build;
use super::from::NEVER;
use super::plan::{Layer, Put, RunStep};
use super::stage::Stages;
use crate::engine::{sandbox_fault, status_of, words_of};
use crate::sandbox::confinement;
use crate::steps::no_healthcheck;
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

impl Build<'_> {
    /// Makes a layer on an image and gives the image with it.
    pub(super) async fn layer(
        &self,
        base: &str,
        layer: &Layer,
        name: &str,
        stages: &Stages,
    ) -> Result<String, Stop> {
        self.execution.may_go_on()?;
        let engine = self.execution.engine;
        let container_name = self.execution.names.container(name);
        let body = self.container(base, layer);
        let workdir = body.working_dir.clone();
        let container = engine.create(&container_name, body).await;
        let container = container.map_err(sandbox_fault("create a container of the build"))?;
        // The engine has made the working directory of the container already.
        let is_there =
            |put: &Put| matches!(put, Put::Directory(path) if workdir.as_ref() == Some(path));
        for put in layer.before.iter().filter(|put| !is_there(put)) {
            self.put(&container, put, stages).await?;
        }
        if let Some(run) = &layer.run {
            self.run(&container, run).await?;
        }
        for put in &layer.after {
            self.put(&container, put, stages).await?;
        }
        let options = CommitContainerOptionsBuilder::default()
            .container(&container)
            .repo(&self.execution.names.repository())
            .tag(name)
            .pause(false)
            .build();
        let committed = engine.commit_container(options, ContainerConfig::default()).await;
        let image = committed.map_err(sandbox_fault("commit a layer"))?.id;
        self.remove_later(container).await;
        Ok(image)
    }

    /// The confinement of a build's container; one that never runs reaches nothing.
    pub(super) fn confined(&self, run: Option<&RunStep>) -> HostConfig {
        let spec = &self.execution.lease.spec;
        let network = match run {
            Some(run) => run.network.unwrap_or(spec.network),
            None => Network::None,
        };
        confinement(&spec.limits, network, &[])
    }

    fn container(&self, base: &str, layer: &Layer) -> ContainerCreateBody {
        let run = layer.run.as_ref();
        let last_directory = layer.before.iter().rev().find_map(|put| match put {
            Put::Directory(path) => Some(path.clone()),
            Put::Files(_) => None,
        });
        let workdir = run.map(|run| run.workdir.clone()).filter(|path| !path.is_empty());
        ContainerCreateBody {
            image: Some(base.to_owned()),
            // As entrypoint the whole command replaces whatever the image would start.
            entrypoint: Some(run.map_or_else(|| vec![NEVER.to_owned()], |run| run.argv.clone())),
            env: run.map(|run| run.env.clone()),
            user: run.map(|run| run.user.clone()).filter(|user| !user.is_empty()),
            working_dir: if run.is_some() { workdir } else { last_directory },
            healthcheck: Some(no_healthcheck()),
            labels: Some(self.execution.names.labels()),
            host_config: Some(self.confined(run)),
            ..ContainerCreateBody::default()
        }
    }

    /// Runs a command, its output in the log; a status other than 0 is the user's failure.
    async fn run(&self, container: &str, step: &RunStep) -> Result<(), Stop> {
        self.execution.may_go_on()?;
        let engine = self.execution.engine;
        let log = self.execution.log;
        log.line(&format!("Strata: {}", step.shown));
        let options =
            AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = engine.attach_container(container, Some(options)).await;
        let mut attached = attached.map_err(sandbox_fault("follow a command of the build"))?;
        if let Err(error) = engine.start_container(container, None).await {
            return Err(self.not_started(step, &error));
        }
        while let Some(piece) = attached.output.next().await {
            match piece {
                Ok(piece) => log.write(piece.as_ref()),
                Err(error) => return Err(sandbox_fault("follow a command of the build")(error)),
            }
        }
        match self.status(container).await? {
            0 => Ok(()),
            status => {
                let why = self.why(container, status).await;
                Err(self.recipe.failure(step.line, format!("{}: {why}", step.shown)))
            }
        }
    }

    async fn status(&self, container: &str) -> Result<i64, Stop> {
        let mut answers = self.execution.engine.wait_container(container, None).boxed();
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(sandbox_fault("wait for a command of the build")(error)),
            None => Err(Stop::sandbox("the engine did not tell how a command ended")),
        }
    }

    /// The status in words; of a killed process the engine knows whether memory was the cause.
    async fn why(&self, container: &str, status: i64) -> String {
        if status == KILLED {
            let inspected = self.execution.engine.inspect_container(container, None).await;
            let state = inspected.ok().and_then(|inspected| inspected.state);
            if state.and_then(|state| state.oom_killed) == Some(true) {
                let bytes = self.execution.lease.spec.limits.memory_bytes;
                return format!("killed: it used more memory than the job may ({bytes} bytes)");
            }
        }
        format!("exit status {status}")
    }

    fn not_started(&self, step: &RunStep, error: &bollard::errors::Error) -> Stop {
        let words = words_of(error);
        let is_users = status_of(error) == Some(400)
            || USERS_MISTAKES.iter().any(|mistake| words.contains(mistake));
        if is_users {
            self.recipe.failure(step.line, format!("{}: cannot start: {words}", step.shown))
        } else {
            Stop::sandbox(format!("cannot start a command of the build: {words}"))
        }
    }

    /// Removes a container while the build goes on.
    async fn remove_later(&self, container: String) {
        let engine = self.execution.engine.clone();
        self.removals.lock().await.spawn(async move {
            if let Err(error) = engine.remove(&container).await {
                tracing::warn!(%error, container.id = container, "container is left to the sweep");
            }
        });
    }
}
