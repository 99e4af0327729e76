//! All that the machine reaches but its own loopback: a router in user mode, as rootless engines
//! use it.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::namespace::Namespace;

/// Where programs of the administrator stand; a build's own search path is not asked.
const DIRECTORIES: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin"];
const NAME: &str = "slirp4netns";
/// The router's own name server, in its default network.
const RESOLVER: &str = "10.0.2.3";
/// How long it may take to begin.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// The device that commands see.
const DEVICE: &str = "eth0";

/// A router that runs; it ends with the value, and with us however we end.
#[derive(Debug)]
pub(super) struct Router {
    child: Child,
    /// The other end of its output, at whose end it ends.
    _life: UnixStream,
}

impl Router {
    pub(super) fn start(namespace: &Namespace) -> io::Result<Self> {
        let in_directories = DIRECTORIES.map(|dir| Path::new(dir).join(NAME));
        let program: Option<PathBuf> = in_directories.into_iter().find(|path| path.is_file());
        let program = program.ok_or_else(|| {
            let why = "the network `bridge` needs the program slirp4netns: install its package";
            io::Error::new(io::ErrorKind::NotFound, why)
        })?;
        // It says that it is ready on its input and ends when nobody listens to its output; what
        // it prints there stays below what a socket holds.
        let (mut ready, input) = UnixStream::pair()?;
        let (life, output) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command
            .args(["--configure", "--mtu=65520", "--disable-host-loopback"])
            .args(["--enable-sandbox", "--enable-seccomp"])
            .args(["--ready-fd=0", "--exit-fd=1", "--netns-type=path"])
            .arg(namespace.path())
            .arg(DEVICE)
            .env_clear()
            .stdin(OwnedFd::from(input))
            .stdout(OwnedFd::from(output))
            .stderr(Stdio::null());
        let router = Self { child: command.spawn()?, _life: life };
        // Our copies of its ends, so that its own end is seen.
        drop(command);
        let mut said = [0];
        ready.set_read_timeout(Some(READY_TIMEOUT))?;
        match ready.read(&mut said) {
            Ok(1) => Ok(router),
            Ok(_) => Err(io::Error::other("slirp4netns ended before the network was there")),
            Err(error) => Err(io::Error::other(format!("slirp4netns does not begin: {error}"))),
        }
    }

    /// The content of `resolv.conf`.
    pub(super) fn resolver() -> String {
        format!("nameserver {RESOLVER}\n")
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // Both fail only when it is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
