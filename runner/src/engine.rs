//! The container engine: one connection, names and labels by which everything is found again.

mod sweep;
mod usage;
mod volumes;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerSummary};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use workflows::image::ParentPin;
use workflows::protocol::Lease;

use crate::stop::Stop;

/// Longest time for the engine's answer to begin. A commit or the unpacking of many files is
/// answered at its end; jobs have a time of their own, so this one is only for a dead engine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Longest time for an answer that takes the engine no work.
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest instance name that is taken into names of containers.
const MAX_INSTANCE_BYTES: usize = 40;

/// Label: the Strata instance that the job belongs to.
pub(crate) const INSTANCE_LABEL: &str = "strata.instance";
/// Label: the job's number.
pub(crate) const JOB_LABEL: &str = "strata.job";
/// Label: which attempt of the job.
pub(crate) const ATTEMPT_LABEL: &str = "strata.attempt";
/// Label: the fence of the lease.
pub(crate) const FENCE_LABEL: &str = "strata.fence";
/// Label: the runner that made it; several runners may share one engine.
pub(crate) const OWNER_LABEL: &str = "strata.owner";

/// How the part of a container's name begins that tells which service of the job it is.
const SERVICE_PART: &str = "service-";

/// Labels of one object.
pub(crate) type Labels = HashMap<String, String>;

/// One attempt of a job, as its containers and images are named and labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptNames {
    /// As the bridge says it.
    instance: String,
    /// The same, fit for names.
    short: String,
    job: i64,
    attempt: u32,
    fence: i64,
    owner: String,
}

impl AttemptNames {
    /// The names of a lease's attempt; characters that a name must not hold become `-`.
    pub(crate) fn of(lease: &Lease, owner: &str) -> Self {
        let short: String = lease
            .instance
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .take(MAX_INSTANCE_BYTES)
            .collect();
        let short = short.trim_matches('-');
        Self {
            instance: lease.instance.clone(),
            short: if short.is_empty() { "strata" } else { short }.to_owned(),
            job: lease.job.0,
            attempt: lease.attempt,
            fence: lease.fence,
            owner: owner.to_owned(),
        }
    }

    /// A container's name: the same after a crash, so that a leftover is met, not doubled.
    pub(crate) fn container(&self, what: &str) -> String {
        format!("strata-{}-{}-{}-{what}", self.short, self.job, self.attempt)
    }

    /// The name of the container of a service, which runs as long as the job.
    pub(crate) fn service(&self, service: &str) -> String {
        self.container(&format!("{SERVICE_PART}{service}"))
    }

    /// Whether that is a service's container. Its name tells, which is ours alone: whoever made an
    /// image chose labels that its containers bear too.
    fn is_service(&self, container: &ContainerSummary) -> bool {
        let ours = self.service("");
        let mut names = container.names.iter().flatten();
        // The engine lists names with a slash before them.
        names.any(|name| name.trim_start_matches('/').starts_with(&ours))
    }

    /// The local repository of intermediate images.
    pub(crate) fn repository(&self) -> String {
        format!("strata-build/{}-{}-{}", self.short, self.job, self.attempt)
    }

    /// What job and fence make one attempt on this runner, as `job.fence`.
    pub(crate) fn key(&self) -> String {
        format!("{}.{}", self.job, self.fence)
    }

    /// The labels of everything that is made for the attempt.
    pub(crate) fn labels(&self) -> Labels {
        HashMap::from([
            (INSTANCE_LABEL.to_owned(), self.instance.clone()),
            (JOB_LABEL.to_owned(), self.job.to_string()),
            (ATTEMPT_LABEL.to_owned(), self.attempt.to_string()),
            (FENCE_LABEL.to_owned(), self.fence.to_string()),
            (OWNER_LABEL.to_owned(), self.owner.clone()),
        ])
    }

    fn filter(&self) -> Vec<String> {
        vec![
            format!("{OWNER_LABEL}={}", self.owner),
            format!("{JOB_LABEL}={}", self.job),
            format!("{FENCE_LABEL}={}", self.fence),
        ]
    }
}

/// The key that an object's labels tell, as [`AttemptNames::key`] writes it.
pub(crate) fn key_of(labels: &Labels) -> Option<String> {
    Some(format!("{}.{}", labels.get(JOB_LABEL)?, labels.get(FENCE_LABEL)?))
}

/// A connection to the engine.
#[derive(Clone)]
pub(crate) struct Engine {
    docker: Docker,
    /// The engine's processor architecture, as images name it.
    pub(crate) architecture: String,
    /// The engine's system, as images name it.
    pub(crate) os: String,
    /// The engine's version, as it says itself.
    pub(crate) version: String,
}

impl std::ops::Deref for Engine {
    type Target = Docker;
    fn deref(&self) -> &Docker {
        &self.docker
    }
}

impl Engine {
    /// Connects and agrees on a version of the API.
    pub(crate) async fn connect(host: Option<&str>) -> anyhow::Result<Self> {
        let docker = match host {
            Some(host) if host.starts_with('/') => {
                Docker::connect_with_host(&format!("unix://{host}"))
            }
            Some(host) => Docker::connect_with_host(host),
            None => Docker::connect_with_defaults(),
        };
        let docker = docker
            .context("cannot connect to Docker; is the daemon running, may we use its socket?")?
            .with_timeout(ANSWER_TIMEOUT)
            .negotiate_version()
            .await
            .context("Docker does not answer; is the daemon running, may we use its socket?")?;
        let version = docker.version().await.context("Docker does not tell its version")?;
        let info = docker.info().await.context("Docker does not tell about itself")?;
        // Images are finished by loading a new configuration over layers that the engine has;
        // containerd's image store keeps no layers by their chain and would refuse that.
        let status = info.driver_status.unwrap_or_default();
        if status.iter().flatten().any(|text| text.contains("io.containerd.snapshotter")) {
            bail!(
                "Docker uses containerd's image store; set \"features\": \
                 {{\"containerd-snapshotter\": false}} in its daemon.json"
            );
        }
        Ok(Self {
            docker,
            architecture: version.arch.unwrap_or_else(|| "amd64".to_owned()),
            os: version.os.unwrap_or_else(|| "linux".to_owned()),
            version: version.version.unwrap_or_else(|| "unknown".to_owned()),
        })
    }

    /// Whether the engine answers.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let ping = tokio::time::timeout(PING_TIMEOUT, self.docker.ping()).await;
        ping.context("Docker does not answer")?.context("Docker answers with an error")?;
        Ok(())
    }

    /// Creates a container under a name that is ours; a leftover of that name goes first.
    pub(crate) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, Error> {
        let body = self.with_labelled_volumes(body).await;
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        match self.docker.create_container(Some(options.clone()), body.clone()).await {
            Err(error) if status_of(&error) == Some(409) => {
                self.remove(name).await?;
                self.docker.create_container(Some(options), body).await.map(|made| made.id)
            }
            answer => answer.map(|made| made.id),
        }
    }

    /// Kills and removes a container with its anonymous volumes; gone already is as good.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        gone_is_good(self.docker.remove_container(name, Some(options)).await)
    }

    /// Removes a tag or an image; gone already, or still in use by another, is as good. With the
    /// last of a chain go the nameless images below it, in whatever order they are removed; a
    /// pulled parent has its digest for a name and stays.
    pub(crate) async fn remove_image(&self, name: &str) -> Result<(), Error> {
        let options = RemoveImageOptionsBuilder::default().force(true).noprune(false).build();
        gone_is_good(self.docker.remove_image(name, Some(options), None).await.map(drop))
    }
}

/// The engine's HTTP status, where it answered with one.
pub(crate) fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The engine's own words, without bollard's frame.
pub(crate) fn words_of(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

/// Turns an engine's error into our fault, naming what was tried.
pub(crate) fn sandbox_fault(tried: &str) -> impl Fn(Error) -> Stop {
    move |error| Stop::sandbox(format!("cannot {tried}: {}", words_of(&error)))
}

/// Takes "not there" and "on its way out" for a success.
fn gone_is_good(answer: Result<(), Error>) -> Result<(), Error> {
    match answer {
        // 404: gone. 409: its removal is under way, or another holds it and will remove it.
        Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
        answer => answer,
    }
}

/// The name of a pinned image, as the engine and a Dockerfile take it.
pub(crate) fn pinned_name(pin: &ParentPin) -> String {
    pin.reference.at(&pin.digest).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_name_and_not_by_what_its_image_says() {
        let names = AttemptNames {
            instance: "forge".to_owned(),
            short: "forge".to_owned(),
            job: 7,
            attempt: 1,
            fence: 3,
            owner: "o".to_owned(),
        };
        let container = |name: String| ContainerSummary {
            names: Some(vec![format!("/{name}")]),
            labels: Some(Labels::from([("strata.service".to_owned(), "db".to_owned())])),
            ..ContainerSummary::default()
        };
        assert!(names.is_service(&container(names.service("db"))));
        for step in ["action0", "steps", "network"] {
            assert!(!names.is_service(&container(names.container(step))), "{step}");
        }
        assert!(!names.is_service(&container("strata-forge-7-2-service-db".to_owned())));
        assert!(!names.is_service(&ContainerSummary::default()));
    }
}
