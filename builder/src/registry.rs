//! Registries: manifests and blobs in, layers and manifests out.
//!
//! Whatever comes from a registry is read up to a bound and compared with its digest, so that a
//! registry or a proxy in between can be wrong but not deceive.

mod error;
mod facts;
mod host;
mod manifest;
mod pull;
mod push;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Semaphore;
use workflows::image::{Digest, Reference};

pub use error::RegistryError;
pub use facts::ImageFacts;
pub(crate) use host::Host;
pub(crate) use manifest::{
    CONFIG_TYPE, Descriptor, LAYER_TYPE, MANIFEST_TYPE, Manifest, ZSTD_LAYER_TYPE, architecture,
    layer_type,
};
pub(crate) use push::{Pusher, Stream, StreamEnd};

/// How long a connection to a registry may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a registry may stay silent in the middle of an answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Blobs that are fetched at once: more are no faster, and images have hundreds of layers.
const MAX_STREAMS: usize = 6;

/// How one registry is reached.
#[derive(Debug, Clone)]
pub struct RegistryAccess {
    /// Its name in references, with a port where it has one.
    pub host: String,
    /// Whether it is spoken to without TLS.
    pub plain_http: bool,
    /// User name and password, where it wants them.
    pub credentials: Option<(String, SecretString)>,
}

/// The registries that a build may use.
#[derive(Debug)]
pub struct Registries {
    http: reqwest::Client,
    known: HashMap<String, RegistryAccess>,
    hosts: Mutex<HashMap<String, std::sync::Arc<Host>>>,
    /// Images by references with a digest, which never mean another one.
    images: Mutex<HashMap<String, pull::PulledImage>>,
    /// Who may fetch a blob now.
    streams: Semaphore,
}

impl Registries {
    /// A client for registries. Those that `known` does not name are asked without credentials
    /// over https, or without TLS when they are on the loopback, as Docker does it.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`] when there is no TLS.
    pub fn new(known: Vec<RegistryAccess>) -> Result<Self, RegistryError> {
        let without_tls =
            |why: String| RegistryError::Unavailable { host: "(none)".to_owned(), why };
        let tls = crate::tls::client_config().map_err(|error| without_tls(error.to_string()))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent("strata")
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(host::redirect_policy())
            .build()
            .map_err(|error| without_tls(format!("cannot make a client: {error}")))?;
        let known = known.into_iter().map(|access| (access.host.clone(), access)).collect();
        let streams = Semaphore::new(MAX_STREAMS);
        Ok(Self { http, known, hosts: Mutex::default(), images: Mutex::default(), streams })
    }

    /// The registry of that name.
    pub(crate) fn host(&self, name: &str) -> std::sync::Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let host = hosts.entry(name.to_owned()).or_insert_with(|| {
            let access = self.known.get(name).cloned().unwrap_or_else(|| RegistryAccess {
                host: name.to_owned(),
                plain_http: is_loopback(name),
                credentials: None,
            });
            std::sync::Arc::new(Host::new(self.http.clone(), access))
        });
        std::sync::Arc::clone(host)
    }
}

/// Whether a registry's name is one of this machine's loopback, where it needs no TLS.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn manifest_path(reference: &Reference) -> String {
    let name = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.as_str(),
        (None, Some(tag)) => tag.as_str(),
        (None, None) => "latest",
    };
    format!("/v2/{}/manifests/{name}", reference.repository)
}

fn blob_path(repository: &str, digest: &Digest) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_loopback_is_spoken_to_in_the_clear() {
        for (host, expected) in [
            ("127.0.0.1:5000", true),
            ("127.1.2.3", true),
            ("localhost:5000", true),
            ("localhost.example", false),
            ("10.0.0.1:5000", false),
            ("127.0.0.1.example", false),
        ] {
            assert_eq!(super::is_loopback(host), expected, "{host}");
        }
    }
}
