//! Where the bridge's own requests may go.
//!
//! Names are resolved once, by us, and the connection goes to what that gave, so that a name
//! cannot be good when it is looked at and lead elsewhere when it is used. Addresses that are not
//! for everybody are refused unless the operator asked for them: by writing such an address into
//! the configuration, or with `allow_private` for names that lead to one.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use workflows::address::not_public;

use crate::config::{ConfigError, ForgeConfig, RegistryConfig};

/// How long a connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may take, from connecting to the end of the answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Why a request is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutboundError {
    /// Neither `http` nor `https`, or no host.
    #[error("`{0}` is no http or https address")]
    Scheme(String),
    /// All that a host leads to is private.
    #[error(
        "{host} leads to {address}, which belongs to {what}; set allow_private = true for the \
         forge or registry when this is meant"
    )]
    Private {
        /// As the URL has it.
        host: String,
        /// What it resolves to.
        address: IpAddr,
        /// Whose it is.
        what: &'static str,
    },
}

/// What may be reached beyond the addresses that are for everybody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    private: bool,
    /// Hosts that the operator wrote as an address, or as `localhost`; a registry's whatever it is.
    written: BTreeSet<String>,
}

impl Reach {
    /// What a forge's configuration allows.
    pub(crate) fn of(forge: &ForgeConfig) -> Self {
        let urls = [forge.api_url.as_deref(), Some(forge.clone_url.as_str())];
        let hosts = urls.into_iter().flatten().filter_map(host_of);
        let is_address = |host: &String| literal(host).is_some() || host == "localhost";
        Self { private: forge.allow_private, written: hosts.filter(is_address).collect() }
    }

    /// What a registry's configuration allows: itself, wherever it is, and beside it, where its
    /// token server and its blobs may be, what is for everybody.
    pub(crate) fn of_registry(registry: &RegistryConfig) -> Self {
        let host = host_of(&format!("https://{}/", registry.host));
        Self { private: registry.allow_private, written: host.into_iter().collect() }
    }

    /// Everything; for what the operator alone decides.
    pub(crate) fn anywhere() -> Self {
        Self { private: true, written: BTreeSet::new() }
    }

    /// Refuses a URL that names no host over http, or names a private address itself. Names are
    /// looked at when they are resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let host = host.ok_or_else(|| OutboundError::Scheme(shown(url.as_str())))?;
        match literal(host) {
            Some(address) => self.check_address(host, address),
            None => Ok(()),
        }
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), OutboundError> {
        match not_public(address) {
            Some(what) if !self.private && !self.written.contains(host) => {
                Err(OutboundError::Private { host: shown(host), address, what })
            }
            _ => Ok(()),
        }
    }

    /// Those of a name's addresses that may be reached.
    fn admit(
        &self,
        host: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, OutboundError> {
        let mut refusal = None;
        let mut admitted = Vec::new();
        for address in found.take(MAX_ADDRESSES) {
            match self.check_address(host, address.ip()) {
                Ok(()) => admitted.push(address),
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(refusal) if admitted.is_empty() => Err(refusal),
            _ => Ok(admitted),
        }
    }

    /// The resolver that keeps to it.
    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        Arc::new(Resolver { reach: self.clone() })
    }

    /// A client that goes where it is told and nowhere else: a redirect could lead a token to
    /// another host, and a redirected POST would arrive as a GET and look like a success.
    ///
    /// # Errors
    /// [`ConfigError`] when TLS cannot be set up.
    pub(crate) fn client(&self) -> Result<reqwest::Client, ConfigError> {
        reqwest::Client::builder()
            .user_agent("strata")
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(self.resolver())
            .build()
            .map_err(|error| ConfigError::Meaning(format!("cannot make a client: {error}")))
    }
}

/// Resolves names by the system and drops what may not be reached.
#[derive(Debug)]
pub(crate) struct Resolver {
    reach: Reach,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let admitted = reach.admit(host, found).map_err(io::Error::other)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// The host of a URL as written, for comparing.
fn host_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.host_str()?.to_owned())
}

/// The address that a host of a URL is, when it is one; IPv6 stands in brackets.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 100;
    text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
