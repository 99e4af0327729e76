//! Listeners inside of a command's network that pass connections on to the places on the list.
//!
//! Each name on the list has an address of its own on the command's loopback, and our name server
//! there tells it. The command speaks with the place itself, over TLS where it wants, and needs
//! to know of no proxy. Nothing else has a route.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use workflows::egress::{Host, MAX_PLACES, Place, may_lead_to};

use super::dns;
use super::namespace::Inside;

/// Where the name server is.
pub(super) const NAME_SERVER: &str = "127.0.0.1";
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
/// The first address for names: the number of the name is added to it.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([127, 77, 0, 1]);
/// Connections of one command at a time; package managers open some ten.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection to a place may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a socket that failed is left alone: the process may have too many files open.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest question to the name server, in bytes.
const MAX_QUESTION_BYTES: usize = 1500;

/// Sockets inside of the network, not used yet.
pub(super) struct Listeners {
    names: UdpSocket,
    places: Vec<(TcpListener, Place)>,
}

/// The way out of one command's network; it is closed with the value.
#[derive(Debug)]
pub(super) struct Egress {
    _tasks: JoinSet<()>,
    unreached: Unreached,
}

/// The places that could not be reached, each with why; never more than the list has.
type Unreached = Arc<Mutex<Vec<(Place, String)>>>;

/// The content of `resolv.conf`.
pub(super) fn resolver() -> String {
    format!("nameserver {NAME_SERVER}\n")
}

/// Opens the sockets; called inside of the network.
pub(super) fn listen(listed: &[Place], inside: &Inside) -> io::Result<Listeners> {
    if listed.len() > MAX_PLACES {
        return Err(io::Error::other(format!("more than {MAX_PLACES} places on the list")));
    }
    let addresses = addresses(listed);
    let mut places = Vec::new();
    for one in listed {
        let address = match &one.host {
            Host::Name(name) => IpAddr::V4(addresses[name]),
            Host::Address(address) => {
                if !address.is_loopback() {
                    match inside.add_address(*address) {
                        // Another port of the same address came before.
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        added => added?,
                    }
                }
                *address
            }
        };
        match TcpListener::bind((address, one.port)) {
            Ok(listener) => places.push((listener, one.clone())),
            // The same place is on the list twice.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Listeners { names: UdpSocket::bind(RESOLVER)?, places })
}

/// The address of each name on the command's loopback.
fn addresses(listed: &[Place]) -> BTreeMap<String, Ipv4Addr> {
    let mut addresses = BTreeMap::new();
    for one in listed {
        if let Host::Name(name) = &one.host {
            let next = Ipv4Addr::from(FIRST_ADDRESS + addresses.len() as u32);
            addresses.entry(name.clone()).or_insert(next);
        }
    }
    addresses
}

impl Egress {
    /// Begins to serve; the sockets to the places are the machine's own.
    pub(super) fn start(
        listeners: Listeners,
        listed: &[Place],
        handle: &tokio::runtime::Handle,
    ) -> io::Result<Self> {
        let _entered = handle.enter();
        let mut tasks = JoinSet::new();
        listeners.names.set_nonblocking(true)?;
        let names = tokio::net::UdpSocket::from_std(listeners.names)?;
        let addresses = addresses(listed);
        tasks.spawn_on(async move { answer_names(&names, &addresses).await }, handle);
        let listed: Arc<[Place]> = listed.into();
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let unreached = Unreached::default();
        for (listener, place) in listeners.places {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (listed, connections) = (Arc::clone(&listed), Arc::clone(&connections));
            let way = Way { place, listed, unreached: Arc::clone(&unreached) };
            tasks.spawn_on(async move { serve(&listener, &way, &connections).await }, handle);
        }
        Ok(Self { _tasks: tasks, unreached })
    }

    /// What could not be reached since the last call.
    pub(super) fn unreached(&self) -> Vec<(Place, String)> {
        std::mem::take(&mut self.unreached.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// To one place.
#[derive(Clone)]
struct Way {
    place: Place,
    listed: Arc<[Place]>,
    unreached: Unreached,
}

impl Way {
    /// The command sees a connection that ends, so that somebody else has to say why.
    fn note(&self, error: &io::Error) {
        tracing::debug!(place = %self.place, %error, "a place cannot be reached");
        let mut unreached = self.unreached.lock().unwrap_or_else(PoisonError::into_inner);
        if !unreached.iter().any(|(place, _)| *place == self.place) {
            unreached.push((self.place.clone(), error.to_string()));
        }
    }
}

async fn answer_names(socket: &tokio::net::UdpSocket, addresses: &BTreeMap<String, Ipv4Addr>) {
    let mut question = vec![0; MAX_QUESTION_BYTES];
    loop {
        let (length, from) = match socket.recv_from(&mut question).await {
            Ok(received) => received,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let look_up = |name: &str| addresses.get(name).copied();
        if let Some(answer) = dns::answer(&question[..length], look_up)
            && let Err(error) = socket.send_to(&answer, from).await
        {
            tracing::debug!(%error, "a command does not wait for its answer");
        }
    }
}

async fn serve(listener: &tokio::net::TcpListener, way: &Way, connections: &Arc<Semaphore>) {
    // They end with this task.
    let mut open = JoinSet::new();
    loop {
        let mut inner = match listener.accept().await {
            Ok((inner, _)) => inner,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        while open.try_join_next().is_some() {}
        // Not before: there are many places, and most of them only wait.
        let Ok(permit) = Arc::clone(connections).acquire_owned().await else { return };
        let way = way.clone();
        open.spawn(async move {
            match connect(&way.place, &way.listed).await {
                // How a connection ends is a matter between its two ends.
                Ok(mut outer) => {
                    drop(tokio::io::copy_bidirectional(&mut inner, &mut outer).await);
                }
                Err(error) => way.note(&error),
            }
            drop(permit);
        });
    }
}

async fn pause(error: &io::Error) {
    tracing::debug!(%error, "a socket in the network of a command failed");
    tokio::time::sleep(PAUSE).await;
}

/// Connects to a place, under addresses alone that it may have.
async fn connect(place: &Place, listed: &[Place]) -> io::Result<TcpStream> {
    let connecting = async {
        let addresses: Vec<SocketAddr> = match &place.host {
            Host::Address(address) => vec![SocketAddr::new(*address, place.port)],
            Host::Name(name) => tokio::net::lookup_host((name.as_str(), place.port))
                .await?
                .filter(|address| {
                    let is_own = is_own(address.ip());
                    may_lead_to(address.ip(), place.port, is_own, listed)
                })
                .collect(),
        };
        if addresses.is_empty() {
            let why = "its name leads to private addresses or to this machine alone; put the \
                       address itself on the list";
            return Err(io::Error::other(why));
        }
        TcpStream::connect(&addresses[..]).await
    };
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?
}

/// Whether an address is this machine's: only such a one can be bound.
pub(crate) fn is_own(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_place_that_waits_holds_no_connection() {
        let outside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = outside.local_addr().unwrap();
        let place = Place { host: Host::Address(address.ip()), port: address.port() };
        let listed: Arc<[Place]> = [place.clone()].into();
        let way = Way { place, listed, unreached: Unreached::default() };
        let idle = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = busy.local_addr().unwrap();
        let one = Arc::new(Semaphore::new(1));
        let talk = async {
            let mut command = TcpStream::connect(to).await.unwrap();
            let (mut answers, _) = outside.accept().await.unwrap();
            answers.write_all(b"word").await.unwrap();
            let mut word = [0; 4];
            command.read_exact(&mut word).await.unwrap();
            word
        };
        let word = tokio::select! {
            biased;
            () = serve(&idle, &way, &one) => None,
            () = serve(&busy, &way, &one) => None,
            word = tokio::time::timeout(CONNECT_TIMEOUT, talk) => word.ok(),
        };
        assert_eq!(word.as_ref(), Some(b"word"));
    }
}
