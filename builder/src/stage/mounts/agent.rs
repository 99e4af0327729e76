//! ssh agents: the command talks to a socket of ours, and we talk to the agent.
//!
//! An agent answers nobody but its own user, whom the sandbox does not have.

use std::fs::{self, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use workflows::dockerfile::Mount;

use super::options::Options;
use super::{Mounts, give};
use crate::stage::steps::{Fault, Site};

/// The id of an agent that nobody named.
const DEFAULT_ID: &str = "default";
/// Permissions of the socket, as BuildKit sets them.
const SOCKET_MODE: u32 = 0o600;
/// Conversations with an agent at the same time; git and ssh have one each.
const MAX_CONVERSATIONS: usize = 32;
/// The variable by which programs find their agent.
const VARIABLE: &str = "SSH_AUTH_SOCK";

impl Mounts {
    pub(super) fn ssh(
        &mut self,
        mount: &Mount,
        options: &Options,
        number: usize,
        site: &Site<'_>,
    ) -> Result<(), Fault> {
        let id = mount.id.as_deref().unwrap_or(DEFAULT_ID);
        let count = self.agents.len();
        let target = options.target_or(|| format!("/run/buildkit/ssh_agent.{count}"));
        // BuildKit names the place even when nobody answers there.
        if !self.env.iter().any(|(name, _)| name == VARIABLE) {
            self.env.push((VARIABLE.to_owned(), target.clone()));
        }
        let Some(socket) = site.request.given.agents.get(id) else {
            let why = format!("the ssh agent `{id}` is required and was not given: --ssh {id}");
            return if mount.required { Err(Fault::User(why)) } else { Ok(()) };
        };
        let dir = self.dir.join(format!("agent{number}"));
        fs::create_dir(&dir).map_err(Fault::Machine)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o711)).map_err(Fault::Machine)?;
        let agent = Agent::serve(&dir, socket).map_err(Fault::Machine)?;
        let mode = Permissions::from_mode(options.mode.unwrap_or(SOCKET_MODE));
        fs::set_permissions(agent.path(), mode).map_err(Fault::Machine)?;
        give(agent.path(), options.uid, options.gid)?;
        self.bind(target, agent.path().to_owned(), false, true);
        self.agents.push(agent);
        Ok(())
    }
}

/// A socket that hands everything on to an agent; closed when dropped.
pub(super) struct Agent {
    path: PathBuf,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    fn serve(dir: &Path, agent: &Path) -> io::Result<Self> {
        let path = dir.join("s");
        let listener = UnixListener::bind(short(dir)?.path())?;
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("ssh-agent".to_owned()).spawn({
            let (ended, agent) = (Arc::clone(&ended), agent.to_owned());
            move || accept(&listener, &agent, &ended)
        })?;
        Ok(Self { path, ended, thread: Some(thread) })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is over.
        let woken = self.path.parent().map(short).map(|dir| UnixStream::connect(dir?.path()));
        if let (Some(Ok(_)), Some(thread)) = (woken, self.thread.take()) {
            // It has nothing to say, and a panic in it was told already.
            let _ = thread.join();
        }
    }
}

/// A name of the socket that fits into an address: no more than 107 bytes.
struct Short(std::fs::File);

fn short(dir: &Path) -> io::Result<Short> {
    Ok(Short(std::fs::File::open(dir)?))
}

impl Short {
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/s", self.0.as_raw_fd()))
    }
}

fn accept(listener: &UnixListener, agent: &Path, ended: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONVERSATIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (open, agent) = (Arc::clone(&open), agent.to_owned());
        std::thread::spawn(move || {
            if let Err(error) = converse(&client, &agent) {
                tracing::debug!(agent = %agent.display(), %error, "a conversation with an agent ended");
            }
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn converse(client: &UnixStream, agent: &Path) -> io::Result<()> {
    let agent = UnixStream::connect(agent)?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Either side may go at any time.
            let _ = io::copy(&mut &agent, &mut &*client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let sent = io::copy(&mut &*client, &mut &agent);
        let _ = agent.shutdown(Shutdown::Both);
        sent.map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn what_is_asked_reaches_the_agent_and_its_answer_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut asked = String::new();
            (&client).take(3).read_to_string(&mut asked).unwrap();
            client.write_all(b"answer").unwrap();
            asked
        });
        // Longer than an address of a socket may be.
        let deep = dir.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let agent = Agent::serve(&deep, &socket).unwrap();
        let mut client = UnixStream::connect(short(&deep).unwrap().path()).unwrap();
        client.write_all(b"ask").unwrap();
        assert_eq!(answering.join().unwrap(), "ask");
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
        drop(agent);
        assert!(UnixStream::connect(short(&deep).unwrap().path()).is_err(), "it is closed");
    }
}
