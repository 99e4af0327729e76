//! Images in from and out to registries; the only place that holds their passwords.
//!
//! A credential goes with each single call to the engine. None is ever stored in the engine, in
//! an image or in a container, so no build can find one.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder};
use builder::{BuildError, RegistryError};
use futures_util::StreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use secrecy::{ExposeSecret as _, SecretString};
use workflows::image::{BuiltImage, Digest, ParentPin, Reference, Tag};
use workflows::job::{Credentials, JobSpec, Known, Login};

use crate::backoff::pause;
use crate::config::{RegistryAccess, read_secret};
use crate::engine::{Engine, pinned_name, status_of, words_of};
use crate::execute::Execution;
use crate::stop::Stop;

/// How often a pull or push is tried before it is a fault of the registry.
const ATTEMPTS: u32 = 5;
/// Longest silence in the engine's report of a pull or push; big layers report their progress.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time to ask a registry for one manifest.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Media type of the manifests that the engine pushes.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Words by which the engine tells that trying again is pointless.
const FINAL_WORDS: [&str; 6] = [
    "unauthorized",
    "authentication required",
    "denied",
    "manifest unknown",
    "not found",
    "name unknown",
];

/// The registries that the runner was told about.
pub(crate) struct Registries {
    accesses: Vec<RegistryAccess>,
}

impl Registries {
    /// The configured registries.
    pub(crate) fn new(accesses: Vec<RegistryAccess>) -> Self {
        Self { accesses }
    }

    /// Every password, for the masking of logs. One that cannot be read now cannot be used.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let files = self.accesses.iter().filter_map(|access| access.password_file.as_ref());
        files
            .filter_map(|path| read_secret(path).ok())
            .map(|secret| secret.expose_secret().to_owned())
            .collect()
    }

    /// Makes sure that the engine has a pinned image, which it gets as the user that the workflow
    /// names, or else as the operator's. What is there already is not asked for: that the user may
    /// have it was found out when it was pinned.
    pub(crate) async fn pull(
        &self,
        execution: &Execution<'_>,
        pin: &ParentPin,
        credentials: Option<&Credentials>,
    ) -> Result<(), Stop> {
        let name = pinned_name(pin);
        let engine = execution.engine;
        if engine.inspect_image(&name).await.is_ok() {
            return Ok(());
        }
        execution.log.line(&format!("Strata: pulling {name}"));
        let host = &pin.reference.registry;
        let credentials = match credentials {
            Some(own) => Some(docker_credentials(host, own_login(execution, own)?)),
            None => self.credentials(host)?,
        };
        repeated(execution, &format!("pull {name}"), || {
            pull_once(engine, &pin.reference, &pin.digest, credentials.clone())
        })
        .await
    }

    /// Pushes the engine's image `target:tag` and tells what the registry has now.
    pub(crate) async fn push(
        &self,
        execution: &Execution<'_>,
        target: &Reference,
        tag: &Tag,
    ) -> Result<Stored, Stop> {
        let reference = target.tagged(tag);
        execution.log.line(&format!("Strata: pushing {reference}"));
        let credentials = self.credentials(&reference.registry)?;
        let digest = repeated(execution, &format!("push {reference}"), || {
            push_once(execution.engine, &reference, tag, credentials.clone())
        })
        .await?;
        let manifest = self.stored(execution, &reference, &digest).await?;
        let sizes = manifest.layers.iter().map(|layer| layer.size).chain([manifest.config.size]);
        let size_bytes = sizes.filter_map(|size| u64::try_from(size).ok()).sum();
        execution.log.line(&format!("Strata: pushed {reference} as {digest}"));
        Ok(Stored { image: BuiltImage { reference, digest, size_bytes }, manifest })
    }

    /// The same registries for Strata's own builder, with the passwords that are in the files now.
    pub(crate) fn for_builder(&self) -> Result<builder::Registries, Stop> {
        let access = |access: &RegistryAccess| {
            Ok(builder::RegistryAccess {
                host: access.host.clone(),
                plain_http: access.plain_http,
                credentials: self.login(&access.host)?,
            })
        };
        let known = self.accesses.iter().map(access).collect::<Result<_, Stop>>()?;
        builder::Registries::new(known).map_err(Stop::registry)
    }

    /// Whether a registry speaks plain HTTP: as configured, else as the engine itself takes it.
    fn is_plain(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let is_loopback = name == "localhost" || name.starts_with("127.");
        self.access(host).map_or(is_loopback, |access| access.plain_http)
    }

    fn access(&self, host: &str) -> Option<&RegistryAccess> {
        self.accesses.iter().find(|access| access.host == host)
    }

    /// Who we are at a registry. Read anew each time, so that a password can be changed under a
    /// running runner.
    fn login(&self, host: &str) -> Result<Option<(String, SecretString)>, Stop> {
        let Some(access) = self.access(host) else { return Ok(None) };
        let (Some(username), Some(file)) = (&access.username, &access.password_file) else {
            return Ok(None);
        };
        match read_secret(file) {
            Ok(password) => Ok(Some((username.clone(), password))),
            Err(error) => Err(Stop::registry(format!("no password for {host}: {error}"))),
        }
    }

    fn credentials(&self, host: &str) -> Result<Option<DockerCredentials>, Stop> {
        let login = self.login(host)?;
        Ok(login.map(|(username, password)| docker_credentials(host, Login { username, password })))
    }

    /// Asks the registry itself for what was pushed: that it is there, under the digest that the
    /// engine told, and what it is.
    async fn stored(
        &self,
        execution: &Execution<'_>,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<OciImageManifest, Stop> {
        let plain = self.is_plain(&reference.registry);
        let protocol = if plain { ClientProtocol::Http } else { ClientProtocol::Https };
        let auth = match self.login(&reference.registry)? {
            Some((username, password)) => {
                RegistryAuth::Basic(username, password.expose_secret().to_owned())
            }
            None => RegistryAuth::Anonymous,
        };
        let config = ClientConfig { protocol, ..ClientConfig::default() };
        let client = oci_client::Client::new(config);
        let image = oci_client::Reference::with_digest(
            reference.registry.clone(),
            reference.repository.clone(),
            digest.to_string(),
        );
        let accepted = [DOCKER_MANIFEST, IMAGE_MANIFEST_MEDIA_TYPE];
        let bytes = repeated(execution, &format!("read back {reference}"), || async {
            let manifest = client.pull_manifest_raw(&image, &auth, &accepted);
            match tokio::time::timeout(MANIFEST_TIMEOUT, manifest).await {
                Ok(Ok((bytes, _))) => Ok(bytes),
                Ok(Err(error)) => Err(Trouble::Passing(error.to_string())),
                Err(_) => Err(Trouble::Passing("no answer".to_owned())),
            }
        })
        .await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Stop::registry(format!("manifest of {reference}: {error}")))
    }
}

/// A login in the form of the engine.
pub(crate) fn docker_credentials(host: &str, login: Login) -> DockerCredentials {
    DockerCredentials {
        username: Some(login.username),
        password: Some(login.password.expose_secret().to_owned()),
        serveraddress: Some(host.to_owned()),
        ..DockerCredentials::default()
    }
}

/// The login of a workflow, whose password is masked from here on.
fn own_login(execution: &Execution<'_>, credentials: &Credentials) -> Result<Login, Stop> {
    let lease = execution.lease;
    let JobSpec { contexts, env, env_templates, .. } = &lease.spec;
    let known = Known { contexts, env, env_templates, secrets: &lease.secrets };
    let login = credentials.login(known).map_err(Stop::failure)?;
    if execution.log.add_mask(login.password.expose_secret()) {
        Ok(login)
    } else {
        Err(Stop::failure("the job has too many secrets to mask"))
    }
}

/// What a registry has after a push.
pub(crate) struct Stored {
    /// Where, and how big.
    pub(crate) image: BuiltImage,
    /// Its manifest, whose bytes have the image's digest.
    pub(crate) manifest: OciImageManifest,
}

impl Stored {
    /// What the manifest's bytes say that they are; the specification lets them say nothing.
    pub(crate) fn media_type(&self) -> &str {
        self.manifest.media_type.as_deref().unwrap_or(IMAGE_MANIFEST_MEDIA_TYPE)
    }
}

/// Why one try failed.
pub(crate) enum Trouble {
    /// May be over in a while.
    Passing(String),
    /// Will be the same next time.
    Lasting(String),
    /// No registry's: a disk of ours that is full, for one.
    Own(String),
}

impl Trouble {
    /// What Strata's own builder met.
    pub(crate) fn of_builder(error: BuildError) -> Self {
        match error {
            BuildError::Registry(RegistryError::Unavailable { why, .. }) => Self::Passing(why),
            error @ BuildError::Io { .. } => Self::Own(error.to_string()),
            other => Self::Lasting(other.to_string()),
        }
    }

    fn of(error: &Error) -> Self {
        let words = words_of(error);
        let lower = words.to_lowercase();
        let is_final = FINAL_WORDS.iter().any(|word| lower.contains(word))
            || status_of(error).is_some_and(|status| status == 400);
        if is_final { Self::Lasting(words) } else { Self::Passing(words) }
    }
}

/// Tries until it works, with growing waits, and names what was tried when it does not.
pub(crate) async fn repeated<T, F: Future<Output = Result<T, Trouble>>>(
    execution: &Execution<'_>,
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Stop> {
    for failures in 1.. {
        let why = match attempt().await {
            Ok(done) => return Ok(done),
            Err(Trouble::Lasting(why)) => {
                return Err(Stop::registry(format!("cannot {what}: {why}")));
            }
            Err(Trouble::Own(why)) => return Err(Stop::sandbox(format!("cannot {what}: {why}"))),
            Err(Trouble::Passing(why)) => why,
        };
        if failures >= ATTEMPTS {
            return Err(Stop::registry(format!("cannot {what} after {failures} tries: {why}")));
        }
        execution.log.line(&format!("Strata: cannot {what}: {why}; trying again"));
        if pause(failures, &execution.halt).await.is_stopped() {
            return Err(Stop::Cancelled);
        }
    }
    Err(Stop::bug("endless tries came to an end"))
}

async fn pull_once(
    engine: &Engine,
    reference: &Reference,
    digest: &Digest,
    credentials: Option<DockerCredentials>,
) -> Result<(), Trouble> {
    let options = CreateImageOptionsBuilder::default()
        .from_image(&reference.name())
        .tag(digest.as_str())
        .build();
    let mut progress = engine.create_image(Some(options), None, credentials).boxed();
    while let Some(piece) = heard(progress.next()).await? {
        piece.map_err(|error| Trouble::of(&error))?;
    }
    Ok(())
}

async fn push_once(
    engine: &Engine,
    reference: &Reference,
    tag: &Tag,
    credentials: Option<DockerCredentials>,
) -> Result<Digest, Trouble> {
    let options = PushImageOptionsBuilder::default().tag(tag.as_str()).build();
    let mut progress = engine.push_image(&reference.name(), Some(options), credentials).boxed();
    let mut digest = None;
    while let Some(piece) = heard(progress.next()).await? {
        let piece = piece.map_err(|error| Trouble::of(&error))?;
        digest = piece.status.as_deref().and_then(digest_in).or(digest);
    }
    digest.ok_or_else(|| Trouble::Passing("the engine told no digest".to_owned()))
}

/// The digest in the engine's last line, `1.0: digest: sha256:… size: 528`.
fn digest_in(status: &str) -> Option<Digest> {
    let (_, rest) = status.split_once("digest: ")?;
    Digest::parse(rest.split_whitespace().next()?).ok()
}

async fn heard<T>(next: impl Future<Output = Option<T>>) -> Result<Option<T>, Trouble> {
    tokio::time::timeout(SILENCE_TIMEOUT, next).await.map_err(|_| {
        Trouble::Passing(format!("the engine told nothing for {}s", SILENCE_TIMEOUT.as_secs()))
    })
}

/// Forgets the local name of an image that was built; its layers go when nothing else stands on them.
pub(crate) async fn forget_local(engine: &Engine, reference: &str) {
    if let Err(error) = engine.remove_image(reference).await {
        tracing::debug!(%error, image.reference = reference, "local image stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_last_line_tells_the_digest() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let line = format!("1.0: digest: {digest} size: 528");
        assert_eq!(digest_in(&line), Digest::parse(&digest).ok());
        assert_eq!(digest_in("Layer already exists"), None);
        assert_eq!(digest_in("1.0: digest: sha256:abc size: 5"), None);
    }

    #[test]
    fn a_wrong_password_is_not_tried_again() {
        let error = |message: &str| Error::DockerStreamError { error: message.to_owned() };
        let trouble = Trouble::of(&error("unauthorized: authentication required"));
        assert!(matches!(trouble, Trouble::Lasting(_)));
        let trouble = Trouble::of(&error("received unexpected HTTP status: 503"));
        assert!(matches!(trouble, Trouble::Passing(_)));
    }
}
