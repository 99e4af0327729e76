//! `POST /hooks/{forge}`: from a stranger's request to a row on disk.
//!
//! The cheap refusals come first: name, signature header, declared length. Then the body is read
//! within bounds of size, time and memory, verified, and stored. No forge and no registry is
//! asked anything before the answer.

mod answer;
mod read;
mod signers;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Router, response::Response};
use chrono::Utc;
use http::HeaderMap;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use workflows::names::RepositoryName;

use self::answer::Refusal;
use self::signers::{Secrets, Signers};
use super::inbox::Inbox;
use super::keys::ProjectKeys;
use super::signature::{self, Claim, Verified};
use super::wanted::Wanted;
use super::{body, heading};
use crate::config::{Config, ConfigError, ForgeConfig, ForgeKind, read_secret};
use crate::store::{Insertion, NewDelivery};

/// Secrets of one forge or project: the present one, and the next while it is being replaced.
pub(super) const MAX_SECRETS: usize = 2;
/// Bytes of all bodies that are being read or waiting to be stored, together. Twice the largest
/// delivery of any forge and room for thousands of usual ones.
const MAX_BODIES_BYTES: usize = 64 * 1024 * 1024;
/// Longest wait for the disk. Forgejo gives up after five seconds; a delivery that is stored
/// after all is recognised when it comes again.
const STORE_TIMEOUT: Duration = Duration::from_secs(4);
/// Bodies above this size are verified on a thread of their own: others would wait for the
/// milliseconds that it takes.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// A forge as the receiver knows it.
#[derive(Debug)]
pub struct Source {
    name: Arc<str>,
    kind: ForgeKind,
    secrets: Secrets,
    max_body_bytes: usize,
}

impl Source {
    /// A forge whose webhooks are signed with any of these secrets.
    ///
    /// # Errors
    /// [`ConfigError::Meaning`] when there is no secret, or more than the present and the next,
    /// or when one body could fill the memory that all share.
    pub fn new(
        name: &str,
        kind: ForgeKind,
        secrets: Vec<SecretString>,
        max_body_bytes: usize,
    ) -> Result<Self, ConfigError> {
        if secrets.is_empty() || secrets.len() > MAX_SECRETS {
            return Err(ConfigError::Meaning(format!(
                "forge `{name}` has {} webhook secrets; one, or two during a rotation, are needed",
                secrets.len()
            )));
        }
        Self::bounded(name, kind, Secrets::of_forge(secrets), max_body_bytes)
    }

    fn bounded(
        name: &str,
        kind: ForgeKind,
        secrets: Secrets,
        max_body_bytes: usize,
    ) -> Result<Self, ConfigError> {
        if max_body_bytes > MAX_BODIES_BYTES {
            return Err(ConfigError::Meaning(format!(
                "max_body_bytes of forge `{name}` is larger than {MAX_BODIES_BYTES}, which all \
                 deliveries share"
            )));
        }
        Ok(Self { name: name.into(), kind, secrets, max_body_bytes })
    }

    /// Reads the forge's secrets from its file, one a line, or finds where those of its projects
    /// are.
    ///
    /// # Errors
    /// [`ConfigError`] names the file that cannot be read or holds no or too many secrets, or the
    /// setting that is missing.
    pub fn load(config: &Config, forge: &ForgeConfig) -> Result<Self, ConfigError> {
        use secrecy::ExposeSecret;
        if let Some(directory) = config.keys_dir(forge) {
            let keys = Secrets::OfProjects(ProjectKeys::new(&directory));
            return Self::bounded(&forge.name, forge.kind, keys, forge.max_body_bytes);
        }
        let file = forge.webhook_secret_file.as_deref().ok_or_else(|| {
            ConfigError::Meaning(format!("forge `{}` needs webhook_secret_file", forge.name))
        })?;
        let text = read_secret(file)?;
        let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets = lines.map(SecretString::from).collect();
        Self::new(&forge.name, forge.kind, secrets, forge.max_body_bytes)
    }
}

/// The secret that signs now: the first line of the forge's file, or of that of a project.
///
/// # Errors
/// Why the file cannot be read.
pub(crate) async fn first_secret(
    config: &Config,
    forge: &ForgeConfig,
    project: Option<&RepositoryName>,
) -> Result<Option<SecretString>, ConfigError> {
    let secrets = Source::load(config, forge)?.secrets;
    let keys = match secrets {
        Secrets::OfForge(secrets) => return Ok(secrets.first().cloned()),
        Secrets::OfProjects(keys) => keys,
    };
    let Some(project) = project.cloned() else { return Ok(None) };
    let path = keys.path(&project);
    let found = tokio::task::spawn_blocking(move || keys.of(&project)).await;
    let found = found.map_err(std::io::Error::other).flatten();
    let found = found.map_err(|why| ConfigError::Secret { path, why })?;
    Ok(found.into_iter().next())
}

struct Receiver {
    sources: HashMap<Arc<str>, Arc<Source>>,
    inbox: Inbox,
    bodies: Arc<Semaphore>,
    wanted: Arc<Wanted>,
}

/// The route `POST /hooks/{forge}` for these forges.
pub fn router(sources: Vec<Source>, inbox: Inbox) -> Router {
    router_wanting(sources, inbox, Arc::default())
}

/// The same, telling in `wanted` which keys of projects are missing or wrong.
pub(crate) fn router_wanting(sources: Vec<Source>, inbox: Inbox, wanted: Arc<Wanted>) -> Router {
    let sources =
        sources.into_iter().map(|source| (Arc::clone(&source.name), Arc::new(source))).collect();
    let bodies = Arc::new(Semaphore::new(MAX_BODIES_BYTES));
    Router::new().route("/hooks/{forge}", post(receive)).with_state(Arc::new(Receiver {
        sources,
        inbox,
        bodies,
        wanted,
    }))
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    Path(forge): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match receiver.accept(&forge, &headers, body).await {
        Ok((delivery, insertion)) => answer::accepted(&delivery, insertion),
        Err(refusal) => {
            refusal.log(&forge);
            receiver.want_key(&forge, &headers, &refusal);
            refusal.into_answer()
        }
    }
}

impl Receiver {
    /// A project whose key is not here or not that any more: somebody may fetch it, later. This
    /// delivery stays refused, since nobody is asked while its sender waits.
    fn want_key(&self, forge: &str, headers: &HeaderMap, refusal: &Refusal) {
        let is_about_key = matches!(refusal, Refusal::Signature(_) | Refusal::UnknownProject(_));
        let Some(source) = self.sources.get(forge).filter(|_| is_about_key) else { return };
        if let (Secrets::OfProjects(_), Some(project)) =
            (&source.secrets, signers::named_project(headers))
        {
            self.wanted.want(&source.name, project);
        }
    }

    async fn accept(
        &self,
        forge: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(String, Insertion), Refusal> {
        let source = self.sources.get(forge).ok_or(Refusal::UnknownForge)?;
        let is_form = heading::is_form(headers);
        if is_form && source.kind != ForgeKind::Github {
            // Forgejo signs the JSON inside the form and not what is sent.
            return Err(Refusal::Form);
        }
        let claim = signature::claim(source.kind, headers, Utc::now())?;
        let signers = source.secrets.signers(headers).await?;
        let bounds = read::Bounds::up_to(source.max_body_bytes);
        let (bytes, held) = read::body(body, headers, bounds, &self.bodies).await?;
        let body = believed(claim, signers, bytes, is_form).await?;
        let heading = heading::read(source.kind, headers, body.body())?;
        let delivery = NewDelivery {
            forge: Arc::clone(&source.name),
            delivery: heading.delivery.clone(),
            event_name: heading.event_name,
            headers: heading.headers,
            body,
        };
        let stored = tokio::time::timeout(STORE_TIMEOUT, self.inbox.store(delivery, held));
        let insertion = stored.await.map_err(|_| Refusal::StoreSlow)??;
        Ok((heading.delivery, insertion))
    }
}

/// The body, if its sender knew a secret that counts for it and it is JSON.
async fn believed(
    claim: Claim,
    signers: Signers,
    bytes: Vec<u8>,
    is_form: bool,
) -> Result<Verified, Refusal> {
    let is_large = bytes.len() > LARGE_BODY_BYTES;
    let check = move || {
        let verified = claim.verify(bytes, &signers.secrets)?;
        body::check(is_form, verified.body())?;
        signers.check_project(verified.body())?;
        Ok(verified)
    };
    if !is_large {
        return check();
    }
    tokio::task::spawn_blocking(check).await.map_err(|_| Refusal::Unchecked)?
}

#[cfg(test)]
mod tests;
