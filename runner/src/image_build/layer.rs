//! One layer: a container, what goes in, what runs, and the commit.

use std::collections::BTreeSet;

use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig};
use bollard::query_parameters::CommitContainerOptionsBuilder;
use workflows::job::Network;

use super::Build;
use super::from::NEVER;
use super::plan::{Layer, Put, RunStep};
use super::repositories::Injected;
use super::stage::Stages;
use crate::egress::gated;
use crate::engine::sandbox_fault;
use crate::foreground::{self, Heard};
use crate::last_words::LastWords;
use crate::log::Printed;
use crate::sandbox::confinement;
use crate::steps::no_healthcheck;
use crate::stop::Stop;

/// A layer that was committed.
pub(super) struct Made {
    /// The image with it.
    pub(super) image: String,
    /// What was put in beside the Dockerfile's own.
    pub(super) injected: Injected,
}

impl Build<'_> {
    /// Makes a layer on an image.
    pub(super) async fn layer(
        &self,
        base: &str,
        layer: &Layer,
        name: &str,
        stages: &Stages,
    ) -> Result<Made, Stop> {
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
        let copied = if layer.takes_from_stages() {
            self.not_yet_made(&container).await?
        } else {
            BTreeSet::new()
        };
        for put in layer.before.iter().filter(|put| !is_there(put)) {
            self.put(&container, put, stages).await?;
        }
        let mut injected = Injected::default();
        if let Some(run) = &layer.run {
            if run.has_repositories {
                injected = self.inject(&container).await?;
            }
            self.run(&container, run).await?;
        }
        injected.directories.extend(copied);
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
        Ok(Made { image, injected })
    }

    /// The confinement of a build's container; one that never runs reaches nothing.
    pub(super) fn confined(&self, run: Option<&RunStep>) -> HostConfig {
        confinement(&self.execution.lease.spec.limits, self.network(run), &[])
    }

    fn network(&self, run: Option<&RunStep>) -> Network {
        run.map_or(Network::None, |run| run.network.unwrap_or(self.execution.lease.spec.network))
    }

    fn container(&self, base: &str, layer: &Layer) -> ContainerCreateBody {
        let run = layer.run.as_ref();
        let last_directory = layer.before.iter().rev().find_map(|put| match put {
            Put::Directory(path) => Some(path.clone()),
            Put::Files(_) | Put::Text { .. } => None,
        });
        let workdir = run.map(|run| run.workdir.clone()).filter(|path| !path.is_empty());
        let network = self.network(run);
        ContainerCreateBody {
            image: Some(base.to_owned()),
            // As entrypoint the whole command replaces whatever the image would start.
            entrypoint: Some(
                run.map_or_else(|| vec![NEVER.to_owned()], |run| gated(network, &run.argv)),
            ),
            open_stdin: (network == Network::Egress).then_some(true),
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
        self.execution.log.line(&format!("Strata: {}", step.shown));
        let network = self.network(Some(step));
        let words = LastWords::default();
        let mut printed = Printed::new(self.execution.log);
        let show = |heard: Heard<'_>| {
            printed.hear(&heard);
            if let Heard::Output(piece) = heard {
                words.hear(piece.as_ref());
            }
        };
        let ended = foreground::run(self.execution, container, network, show).await?;
        ended.map_err(|why| {
            self.recipe.failure(step.line, format!("{}: {}", step.shown, words.after(&why)))
        })
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
