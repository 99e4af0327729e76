//! Actions that run in a container of their own.

use std::collections::BTreeMap;

use bollard::models::{ContainerCreateBody, HostConfig};
use chrono::Utc;
use serde_json::json;
use workflows::action::{self, ActionImage, DockerAction};
use workflows::cache::CacheSpec;
use workflows::compression::Compression;
use workflows::expression::{Budget, Value};
use workflows::image::{BuildMode, DOCKER_HUB, Reference, Tag, TagPlan};
use workflows::job::{BuildSpec, ContainerOptions, Network, RebuildFacts};

use super::action::{Phase, Use};
use super::around::Program;
use super::watch::Watch;
use super::work::said;
use super::{Left, Scope, Sequence};
use crate::actions::Place;
use crate::egress;
use crate::engine::{pinned_name, sandbox_fault};
use crate::environment;
use crate::foreground::{self, Heard};
use crate::image_build;
use crate::sandbox::bind;
use crate::services;
use crate::steps::output::StepOutput;
use crate::steps::{WORKSPACE, mounts, no_healthcheck};
use crate::stop::Stop;

/// A container to be made.
pub(super) struct ActionContainer {
    /// As the engine knows it.
    image: String,
    /// Nothing leaves the image's own.
    entrypoint: Option<String>,
    /// Nothing leaves the image's own.
    args: Vec<String>,
}

impl Sequence<'_> {
    /// The container of one phase; nothing when the action does nothing then.
    pub(super) async fn docker_program(
        &mut self,
        used: &Use<'_>,
        docker: &DockerAction,
        phase: Phase,
        watch: &Watch,
    ) -> Result<Option<Program>, Stop> {
        let given = |name: &str| {
            let mut inputs = used.inputs.iter();
            inputs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let declares = |name: &str| {
            used.loaded.action.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name))
        };
        let said = |name: &str| given(name).filter(|_| !declares(name));
        let entrypoint = match phase {
            Phase::Pre => match &docker.around.pre {
                Some(entrypoint) => Some(entrypoint.clone()),
                None => return Ok(None),
            },
            Phase::Main => said("entrypoint").cloned().or_else(|| docker.entrypoint.clone()),
            Phase::Post => docker.around.post.clone(),
        };
        let mut args = Vec::new();
        if phase == Phase::Main {
            args = match said("args") {
                Some(args) => action::words(args)
                    .map_err(|why| Stop::failure(format!("in input `args`: {why}")))?,
                None => self.docker_args(used, docker).await?,
            };
        }
        let image = self.image_of_action(used, docker, watch).await?;
        Ok(Some(Program::Docker(ActionContainer { image, entrypoint, args })))
    }

    /// The container of what is done after all steps; its image is there by now.
    pub(super) fn posted_container(
        &self,
        used: &Use<'_>,
        docker: &DockerAction,
        entrypoint: String,
    ) -> Option<Program> {
        let image = match &docker.image {
            ActionImage::Named(written) => {
                pinned_name(self.execution.lease.spec.actions.image(written)?)
            }
            ActionImage::Dockerfile(file) => {
                self.images.get(&key_of(&used.loaded.place, file))?.clone()
            }
        };
        let entrypoint = Some(entrypoint);
        Some(Program::Docker(ActionContainer { image, entrypoint, args: Vec::new() }))
    }

    async fn docker_args(
        &self,
        used: &Use<'_>,
        docker: &DockerAction,
    ) -> Result<Vec<String>, Stop> {
        let mut context = self.contexts(&Scope::default(), &used.env);
        context.set("inputs", Value::from(&json!(used.inputs)));
        let args = docker.args.clone();
        let args = self.evaluate(move |evaluator| {
            let mut budget = Budget::default();
            let value = |template| {
                let value = evaluator.value(template, "`args`", &context, &mut budget)?;
                Ok(value.to_text().to_string())
            };
            args.iter().map(value).collect()
        });
        args.await.map_err(Stop::Failure)
    }

    /// Variables that the action's file gives its container.
    pub(super) async fn docker_env(
        &self,
        used: &Use<'_>,
        docker: &DockerAction,
    ) -> Result<BTreeMap<String, String>, Stop> {
        let mut context = self.contexts(&Scope::default(), &used.env);
        context.set("inputs", Value::from(&json!(used.inputs)));
        let env = docker.env.clone();
        let env = self.evaluate(move |evaluator| {
            let mut budget = Budget::default();
            let value = |(name, template)| {
                let what = format!("`env`.{name}");
                let value = evaluator.value(&template, &what, &context, &mut budget)?;
                Ok((name, value.to_text().to_string()))
            };
            env.into_iter().map(value).collect()
        });
        env.await.map_err(Stop::Failure)
    }

    /// Makes sure that the engine has the image of an action.
    async fn image_of_action(
        &mut self,
        used: &Use<'_>,
        docker: &DockerAction,
        watch: &Watch,
    ) -> Result<String, Stop> {
        let execution = self.for_one_step();
        match &docker.image {
            ActionImage::Named(written) => {
                let Some(pin) = execution.lease.spec.actions.image(written) else {
                    return Err(Stop::failure(format!(
                        "image `{written}` was not pinned when the job was planned"
                    )));
                };
                let pull = std::pin::pin!(execution.registries.pull(&execution, pin, None));
                watch.over_containers(&execution, &self.kept(), pull).await?;
                Ok(pinned_name(pin))
            }
            ActionImage::Dockerfile(file) => {
                let key = key_of(&used.loaded.place, file);
                if let Some(known) = self.images.get(&key) {
                    return Ok(known.clone());
                }
                let name = format!("action{}", self.images.len());
                let reference = format!("{}:{name}", execution.names.repository());
                execution.log.line(&format!("Strata: building the image of `{}`", used.source));
                let spec = self.spec_of_action(&used.loaded.place, file)?;
                // What earlier steps left running could swap files for links to files of the host
                // under the eyes of the build.
                self.hold(true).await?;
                let root = used.loaded.place.root.clone();
                let built = {
                    let build = image_build::build_here(&execution, &spec, root, &reference);
                    let build = std::pin::pin!(build);
                    watch.over_containers(&execution, &self.kept(), build).await
                };
                self.hold(false).await?;
                built?;
                self.images.insert(key, reference.clone());
                Ok(reference)
            }
        }
    }

    /// Stops the processes of the job's container for a while, or lets them go on.
    async fn hold(&self, held: bool) -> Result<(), Stop> {
        let Some(container) = &self.container else { return Ok(()) };
        let engine = self.execution.engine;
        let done = if held {
            engine.pause_container(container.id()).await
        } else {
            engine.unpause_container(container.id()).await
        };
        done.map_err(sandbox_fault("hold the container of the job's steps"))
    }

    /// Containers that are no single step's.
    fn kept(&self) -> Vec<String> {
        self.container.iter().map(|container| container.id().to_owned()).collect()
    }

    /// A build of an image that goes nowhere, and bears the labels by which it is found again.
    fn spec_of_action(&self, place: &Place, file: &str) -> Result<BuildSpec, Stop> {
        let execution = self.execution;
        let pins = &execution.lease.spec.actions;
        let dockerfile = place.below(file.trim_start_matches("./"));
        let context = dockerfile.rsplit_once('/').map_or("", |(directory, _)| directory);
        let repository = execution.names.repository();
        Ok(BuildSpec {
            context: context.to_owned(),
            dockerfile,
            pins: pins.images.clone(),
            source_registry: pins.source_registry.clone(),
            sources: None,
            artifacts: None,
            add_url: Default::default(),
            names: None,
            parent_images: Vec::new(),
            build_args: BTreeMap::new(),
            labels: execution.names.labels().into_iter().collect(),
            stage_env: BTreeMap::new(),
            repository_files: Vec::new(),
            notes: Vec::new(),
            autorebuild: None,
            rebuild: RebuildFacts::default(),
            mode: BuildMode::Scratch,
            nvr: None,
            target: Reference::parse(&repository, DOCKER_HUB).map_err(Stop::bug)?,
            tags: TagPlan {
                unique: Tag::parse("action").map_err(Stop::bug)?,
                primary: None,
                floating: Vec::new(),
            },
            push: false,
            source_date_epoch: Utc::now().timestamp(),
            // The engine builds it, and keeps what it wants to.
            cache: CacheSpec::default(),
            compression: Compression::default(),
        })
    }

    /// Entrypoint and arguments of a container; nothing leaves the image's own. Where the command
    /// has to wait for its network, it is spelt out whole.
    async fn command_of(
        &self,
        container: &ActionContainer,
    ) -> Result<(Option<Vec<String>>, Option<Vec<String>>), Stop> {
        let network = self.execution.lease.spec.network;
        let entrypoint = container.entrypoint.clone().map(|entrypoint| vec![entrypoint]);
        let args = Some(container.args.clone()).filter(|args| !args.is_empty());
        if network != Network::Egress {
            return Ok((entrypoint, args));
        }
        let inspected = self.execution.engine.inspect_image(&container.image).await;
        let inspected = inspected.map_err(sandbox_fault("look at the image of an action"))?;
        let config = inspected.config.unwrap_or_default();
        // An entrypoint that is given takes the image's arguments away, as the engine has it.
        let of_image = if entrypoint.is_none() { config.cmd } else { None };
        let first = entrypoint.or(config.entrypoint).unwrap_or_default();
        let argv: Vec<String> =
            first.into_iter().chain(args.or(of_image).unwrap_or_default()).collect();
        Ok((Some(egress::gated(network, &argv)), Some(Vec::new())))
    }

    /// Runs the container of an action to its end.
    pub(super) async fn container_of_action(
        &mut self,
        container: &ActionContainer,
        (id, env): (Option<&str>, &BTreeMap<String, String>),
        watch: &Watch,
        left: &mut Left,
    ) -> Result<(), Stop> {
        let execution = self.for_one_step();
        let files = self.files.files()?;
        let env = self.variables(env, id, &files);
        let env = environment::listed(&env)?;
        let spec = &execution.lease.spec;
        let network = spec.network;
        let (entrypoint, args) = self.command_of(container).await?;
        let body = ContainerCreateBody {
            image: Some(container.image.clone()),
            entrypoint,
            cmd: args,
            open_stdin: (network == Network::Egress).then_some(true),
            env: Some(env),
            working_dir: Some(WORKSPACE.to_owned()),
            healthcheck: Some(no_healthcheck()),
            labels: Some(execution.names.labels()),
            host_config: Some(HostConfig {
                binds: Some(mounts(&execution).iter().map(bind).collect()),
                ..services::host_config(
                    &spec.limits,
                    network,
                    services::network_of(&execution),
                    &ContainerOptions::default(),
                )
            }),
            ..ContainerCreateBody::default()
        };
        let name = execution.names.container(&format!("action{}", self.scripts));
        self.scripts += 1;
        let made = execution.engine.create(&name, body).await;
        let made = made.map_err(sandbox_fault("create the container of an action"))?;
        let mut output = StepOutput::new(execution.log, execution.gathered, self.shows_debug);
        let ended = {
            let take = |heard: Heard<'_>| match heard {
                Heard::Output(piece) => output.push(piece),
                Heard::Pause => output.pause(),
            };
            let work = std::pin::pin!(foreground::run(&execution, &made, network, take));
            watch.over_containers(&execution, &self.kept(), work).await
        };
        output.finish();
        left.take(&mut output);
        let said = said(&files);
        drop(files);
        self.heed(said, left)?;
        let ended = ended?;
        let removed = execution.engine.remove(&made).await;
        removed.map_err(sandbox_fault("remove the container of an action"))?;
        ended.map_err(Stop::Failure)?;
        output.judged()
    }
}

fn key_of(place: &Place, file: &str) -> String {
    format!("{}/{file}", place.container)
}
