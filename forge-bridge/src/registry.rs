//! Registries: what a reference names now, and putting a tag on a digest.
//!
//! Only configured hosts are ever asked. Manifests, tokens and image configurations are read up
//! to a bound and compared with their digests, so that a registry or a proxy in between can be
//! wrong but not deceive.

mod answer;
mod host;
mod manifest;
mod observe;
mod referrers;
mod remove;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use sha2::{Digest as _, Sha256};
use workflows::image::{Digest, ManifestForm, Reference, Tag};
use workflows::job::Login;

use crate::config::{ConfigError, RegistryConfig, read_secret};
use answer::Answer;
use host::{Access, Host, Request};
pub(crate) use manifest::ImageFacts;
pub(crate) use observe::Seen;
pub(crate) use referrers::Artifact;
pub(crate) use remove::Removed;

/// How long one request to a registry may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection to a registry may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest manifest that is read, in bytes; the distribution specification asks registries to
/// take no larger one.
const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Largest image configuration that is read, in bytes.
const MAX_CONFIG_BYTES: usize = 4 * 1024 * 1024;

/// Why a registry did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The operator does not allow it.
    #[error("registry {host} is not allowed; a [[registry]] of the configuration would allow it")]
    NotAllowed {
        /// Which.
        host: String,
    },
    /// The registry answers and has no such image.
    #[error("{reference} does not exist")]
    Unknown {
        /// What was looked for.
        reference: String,
    },
    /// The registry wants other credentials, or hides that the image does not exist.
    #[error("registry {host} refuses access to {reference}: check the name and the credentials")]
    Unauthorised {
        /// Which.
        host: String,
        /// What was looked for.
        reference: String,
    },
    /// The registry does not answer; try again later.
    #[error("registry {host} is not available: {why}")]
    Unavailable {
        /// Which.
        host: String,
        /// What happened.
        why: String,
    },
    /// The registry's answer, or the image, is not what it must be.
    #[error("registry {host}, {reference}: {why}")]
    Malformed {
        /// Which.
        host: String,
        /// What was looked for.
        reference: String,
        /// What is wrong.
        why: String,
    },
}

impl RegistryError {
    /// Whether the same question may be answered well later, with nothing changed here. Of an image
    /// that a repository names, everything else is for its packager to hear: many registries refuse
    /// access to what does not exist.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedImage {
    /// Of the index when there is one, else of the manifest: what a FROM line is pinned to.
    pub(crate) digest: Digest,
    /// Which of the two it is.
    pub(crate) form: ManifestForm,
    /// From the configuration for linux/amd64.
    pub(crate) facts: ImageFacts,
}

/// The registries of the allow-list.
#[derive(Debug)]
pub(crate) struct Registries {
    hosts: HashMap<String, Host>,
}

/// A manifest's bytes, as they were stored, and what they were served as.
struct Manifest {
    digest: Digest,
    media_type: &'static str,
    bytes: Bytes,
}

impl Registries {
    /// Reads the password files and makes the client.
    ///
    /// # Errors
    /// [`ConfigError`] names a password file that cannot be read.
    pub(crate) fn new(configs: &[RegistryConfig]) -> Result<Self, ConfigError> {
        let mut hosts = HashMap::new();
        for config in configs {
            let password = config.password_file.as_deref().map(read_secret).transpose()?;
            let credentials = match (&config.username, password) {
                (Some(name), Some(password)) => Some((name.clone(), password)),
                (None, None) => None,
                _ => {
                    return Err(ConfigError::Meaning(format!(
                        "registry `{}` needs both username and password_file, or none",
                        config.host
                    )));
                }
            };
            hosts.insert(config.host.clone(), Host::new(config, credentials)?);
        }
        Ok(Self { hosts })
    }

    /// The same registry, asked by somebody else.
    pub(crate) fn as_user(&self, host: &str, login: Login) -> Self {
        let known = self.hosts.get(host).map(|known| (host.to_owned(), known.as_user(login)));
        Self { hosts: known.into_iter().collect() }
    }

    /// What the reference names now, with the facts that a build on it needs.
    pub(crate) async fn resolve(
        &self,
        reference: &Reference,
    ) -> Result<ResolvedImage, RegistryError> {
        let malformed = |why: String| malformed(reference, why);
        let top = self.manifest(reference).await?;
        let (form, config) = match manifest::read(&top.bytes).map_err(malformed)? {
            manifest::Content::Image { config } => (ManifestForm::Manifest, config),
            manifest::Content::Index { entries } => {
                let chosen = manifest::choose(&entries).map_err(malformed)?;
                let child = self.manifest(&reference.at(chosen)).await?;
                match manifest::read(&child.bytes).map_err(malformed)? {
                    manifest::Content::Image { config } => (ManifestForm::Index, config),
                    manifest::Content::Index { .. } => {
                        return Err(malformed("an index inside of an index".to_owned()));
                    }
                }
            }
        };
        let path = format!("/v2/{}/blobs/{config}", reference.repository);
        let answer = self.ask(reference, Method::GET, &path, Access::Pull, None).await?;
        let bytes = answer.body(MAX_CONFIG_BYTES).await.map_err(|e| e.about(reference))?;
        if digest_of_bytes(&bytes) != config {
            return Err(malformed(format!("the configuration is not the one of {config}")));
        }
        let facts = manifest::facts(&bytes).map_err(malformed)?;
        Ok(ResolvedImage { digest: top.digest, form, facts })
    }

    /// The digest that the reference names now.
    pub(crate) async fn digest_of(&self, reference: &Reference) -> Result<Digest, RegistryError> {
        let path = manifest_path(reference);
        let answer = self.ask(reference, Method::HEAD, &path, Access::Pull, None).await?;
        match answer.digest() {
            None => Ok(self.manifest(reference).await?.digest),
            Some(text) => {
                let digest =
                    Digest::parse(text).map_err(|error| malformed(reference, error.to_string()))?;
                match &reference.digest {
                    Some(wanted) if *wanted != digest => {
                        Err(malformed(reference, format!("the registry answers with {digest}")))
                    }
                    _ => Ok(digest),
                }
            }
        }
    }

    /// Gives a digest one more name: the same bytes are put under the tag, so that the digest
    /// stays what it is.
    pub(crate) async fn put_tag(&self, source: &Reference, tag: &Tag) -> Result<(), RegistryError> {
        if source.digest.is_none() {
            return Err(malformed(source, "a tag is put on a digest only".to_owned()));
        }
        let manifest = self.manifest(source).await?;
        let target = source.tagged(tag);
        let body = (manifest.media_type, manifest.bytes);
        let path = manifest_path(&target);
        let answer = self.ask(&target, Method::PUT, &path, Access::Push, Some(body)).await?;
        match answer.digest() {
            Some(stored) if stored != manifest.digest.as_str() => {
                Err(malformed(&target, format!("stored as {stored}, not as {}", manifest.digest)))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that a tag is served as the manifest that was pushed: its bytes are those of
    /// the digest, and they go by the kind of manifest that they themselves say they are. A
    /// registry that converts manifests would otherwise hand out an image that nobody tested.
    pub(crate) async fn verify(
        &self,
        tagged: &Reference,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let manifest = self.manifest(tagged).await?;
        if manifest.digest != *digest {
            let why = format!("it is served as {}, pushed was {digest}", manifest.digest);
            return Err(malformed(tagged, why));
        }
        match manifest::own_media_type(&manifest.bytes) {
            Some(own) if own != manifest.media_type => {
                let why = format!("it is served as `{}`, pushed as `{own}`", manifest.media_type);
                Err(malformed(tagged, why))
            }
            _ => Ok(()),
        }
    }

    async fn manifest(&self, reference: &Reference) -> Result<Manifest, RegistryError> {
        let path = manifest_path(reference);
        let answer = self.ask(reference, Method::GET, &path, Access::Pull, None).await?;
        let served_as = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default().to_owned();
        let named = answer.digest().map(ToOwned::to_owned);
        let bytes = answer.body(MAX_MANIFEST_BYTES).await.map_err(|e| e.about(reference))?;
        let digest = digest_of_bytes(&bytes);
        let wanted = reference.digest.as_ref().map(Digest::as_str).or(named.as_deref());
        if wanted.is_some_and(|wanted| wanted != digest.as_str()) {
            return Err(malformed(reference, format!("the manifest's digest is {digest}")));
        }
        let media_type = manifest::media_type(&served_as)
            .ok_or_else(|| malformed(reference, format!("served as `{served_as}`, no image")))?;
        Ok(Manifest { digest, media_type, bytes })
    }

    async fn ask(
        &self,
        reference: &Reference,
        method: Method,
        path: &str,
        access: Access,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Answer, RegistryError> {
        let host = self
            .hosts
            .get(&reference.registry)
            .ok_or_else(|| RegistryError::NotAllowed { host: reference.registry.clone() })?;
        let repository = &reference.repository;
        let request = Request { method, path, repository, access, unless: None, body };
        host.ask(&request).await.map_err(|error| error.about(reference))
    }
}

fn manifest_path(reference: &Reference) -> String {
    let name = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.as_str(),
        (None, Some(tag)) => tag.as_str(),
        (None, None) => "latest",
    };
    format!("/v2/{}/manifests/{name}", reference.repository)
}

fn malformed(reference: &Reference, why: String) -> RegistryError {
    RegistryError::Malformed {
        host: reference.registry.clone(),
        reference: reference.to_string(),
        why,
    }
}

fn digest_of_bytes(bytes: &[u8]) -> Digest {
    let text = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    Digest::parse(&text).expect("64 lower-case digits are a digest")
}
