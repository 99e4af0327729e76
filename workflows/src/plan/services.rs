//! What runs beside a job, and what its own container gets beyond the ordinary.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Drafting;
use crate::diagnostic::{Position, quoted};
use crate::image::{DOCKER_HUB, Reference};
use crate::job::{
    ContainerError, ContainerOptions, Credentials, HealthCheck, MAX_SERVICES, PortSpec, VolumeSpec,
};
use crate::template::{Kind, Template};
use crate::workflow::{self, Container, Service, Text};

/// Longest name of a service, in characters; it becomes a name in the job's network.
const MAX_NAME_CHARS: usize = 63;

/// One of `services`, before its image is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDraft {
    /// By this name the job's containers reach it.
    pub name: String,
    /// The image, as written.
    pub image: String,
    /// How the workflow logs in where the image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Box<Credentials>>,
    /// Its variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Its variables that stand on `secrets`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_templates: BTreeMap<String, Template>,
    /// Ports that the workflow names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
    /// Beyond the ordinary, its volumes among it.
    #[serde(default)]
    pub options: ContainerOptions,
    /// In place of the image's own entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's own command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
}

impl Drafting<'_> {
    /// The services of a job.
    pub(super) fn services(&mut self, services: &[Service]) -> Vec<ServiceDraft> {
        if let Some(one) = services.get(MAX_SERVICES) {
            let message = format!("a job has {MAX_SERVICES} services at most");
            self.report.error(one.name.at, message);
            return Vec::new();
        }
        let mut names = BTreeSet::new();
        let mut drafts = Vec::new();
        for service in services {
            let name = &service.name;
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let is_name = !name.value.is_empty()
                && name.value.len() <= MAX_NAME_CHARS
                && name.value.chars().all(letter);
            // Names in a network have no case.
            if !is_name || !names.insert(name.value.to_ascii_lowercase()) {
                let message = format!(
                    "{} in `services` must be a name of its own, of letters, digits, `-` and `_`, \
                     at most {MAX_NAME_CHARS} of them",
                    quoted(&name.value)
                );
                self.report.error(name.at, message);
                continue;
            }
            drafts.extend(self.service(service));
        }
        drafts
    }

    fn service(&mut self, service: &Service) -> Option<ServiceDraft> {
        let container = &service.container;
        let image = self.image_of(&container.image, "`services`")?;
        // An empty image is how an expression leaves a service out, as on GitHub.
        if image.is_empty() {
            return None;
        }
        let outer = std::mem::take(&mut self.later);
        let env = self.env(&container.env);
        let env_templates = self.secret_env();
        let own = std::mem::replace(&mut self.later, outer);
        self.later.extend(own);
        let ports = container.ports.iter().filter_map(|port| {
            let text = self.literal(port, "`ports`")?;
            self.fits(port.at, "`ports`", PortSpec::parse(&text))
        });
        let ports = ports.collect();
        let options = self.options(container)?;
        let mut words = |text: Option<&Text>, what: &str| {
            let text = text?;
            let written = self.literal(text, what)?;
            let words = shlex::split(&written);
            if words.is_none() {
                self.report.error(text.at, format!("in {what}: a quote is not closed"));
            }
            words
        };
        Some(ServiceDraft {
            name: service.name.value.clone(),
            image,
            credentials: credentials(container),
            env,
            env_templates,
            ports,
            options,
            entrypoint: words(service.entrypoint.as_ref(), "`entrypoint`"),
            command: words(service.command.as_ref(), "`command`"),
        })
    }

    /// Options and volumes of a container.
    pub(super) fn options(&mut self, container: &Container) -> Option<ContainerOptions> {
        let mut options = match &container.options {
            Some(text) => {
                let written = self.literal(text, "`options`")?;
                self.fits(text.at, "`options`", ContainerOptions::parse(&written))?
            }
            None => ContainerOptions::default(),
        };
        for volume in &container.volumes {
            let text = self.literal(volume, "`volumes`")?;
            options.volumes.extend(self.fits(volume.at, "`volumes`", VolumeSpec::parse(&text)));
        }
        Some(options)
    }

    /// The options of the container that steps run in. What only a service can have is refused:
    /// the steps are root's, and nobody waits for the health of what runs them.
    pub(super) fn job_options(&mut self, container: Option<&Container>) -> ContainerOptions {
        let Some(container) = container else { return ContainerOptions::default() };
        let Some(options) = self.options(container) else { return ContainerOptions::default() };
        let at = container.options.as_ref().map(|text| text.at);
        let is_more = options.user.is_some() || options.health != HealthCheck::default();
        if let (true, Some(at)) = (is_more, at) {
            let message = "in `options`: a user or a health check is for services; the steps of a \
                           job run as root";
            self.report.error(at, message);
        }
        options
    }

    /// An image, as written where it is known later.
    pub(super) fn image_of(&mut self, text: &Text, what: &str) -> Option<String> {
        let before = self.later.len();
        let image = self.literal(text, what)?.trim().to_owned();
        if self.later.len() > before || image.is_empty() {
            return Some(image);
        }
        // Which registry a short name belongs to is decided when it is pinned.
        if let Err(error) = Reference::parse(&image, DOCKER_HUB) {
            self.report.error(text.at, format!("in {what}: {error}"));
            return None;
        }
        Some(image)
    }

    fn fits<T>(&mut self, at: Position, what: &str, read: Result<T, ContainerError>) -> Option<T> {
        read.map_err(|error| self.report.error(at, format!("in {what}: {error}"))).ok()
    }
}

/// How a container logs in where its image is.
pub(super) fn credentials(container: &Container) -> Option<Box<Credentials>> {
    let template = |text: &Text| Template {
        text: text.value.clone(),
        at: text.expressions.first().copied().unwrap_or(text.at),
        kind: Kind::Text,
    };
    let workflow::Credentials { username, password } = container.credentials.as_ref()?;
    Some(Box::new(Credentials { username: template(username), password: template(password) }))
}
