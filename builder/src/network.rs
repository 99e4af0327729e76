//! What the commands of a build reach.
//!
//! Every network but the machine's own is a namespace that is made for the commands of one stage.
//! It has its loopback and, where the build was granted more, one way out: a user-mode router for all that
//! the machine reaches but its own loopback, or listeners of ours that pass connections on to
//! what is on a list and to nothing else.

mod dns;
mod egress;
mod namespace;
mod netlink;
mod router;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use egress::Egress;
pub(crate) use egress::is_own;
use namespace::Namespace;
use router::Router;
use workflows::egress::Place;

/// What a command may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Nothing but its own loopback.
    #[default]
    None,
    /// What is on the build's list, and nothing else: no other address has a route and no other
    /// name is known.
    Egress,
    /// All that the machine reaches but the machine's own loopback, behind the machine's address:
    /// what Docker's default bridge gives. Needs the program slirp4netns.
    Bridge,
    /// All that the machine reaches, the machine's own services included.
    Host,
}

/// A network of its own; gone with the value.
#[derive(Debug)]
pub(crate) struct Space {
    namespace: Namespace,
    resolver: String,
    way_out: Option<WayOut>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held so that it ends with the command")]
enum WayOut {
    Router(Router),
    Egress(Egress),
}

impl Space {
    /// Makes the network of commands that have one of their own; `dir` lives longer.
    pub(crate) fn open(
        network: Network,
        listed: &[Place],
        dir: &Path,
        handle: &tokio::runtime::Handle,
    ) -> io::Result<Option<Self>> {
        match network {
            Network::Host => Ok(None),
            Network::None => {
                let (namespace, ()) = Namespace::make(dir, |_| Ok(()))?;
                Ok(Some(Self { namespace, resolver: String::new(), way_out: None }))
            }
            Network::Bridge => {
                let (namespace, ()) = Namespace::make(dir, |_| Ok(()))?;
                let router = Router::start(&namespace)?;
                let (resolver, way_out) = (Router::resolver(), WayOut::Router(router));
                Ok(Some(Self { namespace, resolver, way_out: Some(way_out) }))
            }
            Network::Egress => {
                let (namespace, listeners) =
                    Namespace::make(dir, |link| egress::listen(listed, link))?;
                let way_out = WayOut::Egress(Egress::start(listeners, listed, handle)?);
                let (resolver, way_out) = (egress::resolver(), Some(way_out));
                Ok(Some(Self { namespace, resolver, way_out }))
            }
        }
    }

    /// Where an OCI runtime finds the namespace.
    pub(crate) fn path(&self) -> PathBuf {
        self.namespace.path()
    }

    /// The places that connections could not be passed on to since the last call, with why.
    pub(crate) fn unreached(&self) -> Vec<(Place, String)> {
        match &self.way_out {
            Some(WayOut::Egress(egress)) => egress.unreached(),
            _ => Vec::new(),
        }
    }

    /// A directory that tells about this network's devices, to be mounted at `/sys`.
    pub(crate) fn sys(&self) -> &Path {
        self.namespace.sys()
    }

    /// The content of `resolv.conf`.
    pub(crate) fn resolver(&self) -> &str {
        &self.resolver
    }
}

/// The one way out of a network that somebody else made without any, such as that of a container
/// of another engine: the places on a list. It is closed with the value.
#[derive(Debug)]
pub struct Passage(#[expect(dead_code, reason = "held so that it ends with the command")] Egress);

impl Passage {
    /// Where commands of that network find their name server.
    pub const NAME_SERVER: &str = egress::NAME_SERVER;

    /// Opens it in a namespace of the network, as `/proc/PID/ns/net` shows one.
    ///
    /// # Errors
    /// When the caller may not enter the namespace, or an address there is taken.
    pub fn open(
        namespace: BorrowedFd<'_>,
        listed: &[Place],
        handle: &tokio::runtime::Handle,
    ) -> io::Result<Self> {
        let listeners = Namespace::within(namespace, |inside| egress::listen(listed, inside))?;
        Ok(Self(Egress::start(listeners, listed, handle)?))
    }
}

#[cfg(test)]
mod tests;
