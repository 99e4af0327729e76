//! One command, from its start to the end of its last process.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;

use super::overlay::Overlay;
use super::runtime::Runtime;
use super::spec::{self, Memory};
use super::stubs::{Stub, make_stubs};
use super::users::Identity;
use super::{Limits, Network};
use crate::root::Root;

/// Pieces of output that wait for the one who shows them; then the command has to wait as well.
const OUTPUT_PIECES: usize = 64;
/// Longest piece of output, in bytes.
const OUTPUT_BYTES: usize = 16 * 1024;

/// A command with all that it sees.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) user: Identity,
    pub(crate) network: Network,
    /// Mounted besides what every command has.
    pub(crate) memory: Vec<Memory>,
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Exit(i32),
    /// The runtime could not start it.
    NotStarted(String),
    TimedOut,
    Silent,
}

/// Carries out the commands of one build.
#[derive(Debug)]
pub(crate) struct Sandbox<'a> {
    pub(crate) runtime: &'a Runtime,
    /// The build's own directory.
    pub(crate) work: &'a Path,
    /// An empty directory.
    pub(crate) empty: &'a Path,
    pub(crate) limits: &'a Limits,
}

impl Sandbox<'_> {
    /// Runs a command on the layers; its changes are in `dir/upper` afterwards. `show` gets what
    /// it prints.
    pub(crate) fn run(
        &self,
        layers: &[PathBuf],
        dir: &Path,
        command: &Command,
        show: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Ending> {
        let mut layers = layers.to_vec();
        let below = Overlay::read_only(&layers, self.empty)?;
        let stubs = dir.join("stubs");
        let extra = command.memory.iter().map(|memory| (memory.target.as_str(), Stub::Directory));
        let places: Vec<(&str, Stub)> = spec::PLACES.into_iter().chain(extra).collect();
        if make_stubs(&Root::of_fd(below.fd()?), &stubs, &places)? {
            layers.push(stubs);
        }
        drop(below);
        let overlay = Overlay::writable(&layers, self.empty, dir)?;
        let spec = spec::write(dir, overlay.path(), command, self.limits)?;
        std::fs::write(dir.join("config.json"), spec)?;
        let id = container_id(dir);
        let container = Container { runtime: self.runtime, work: self.work, id: &id };
        let mut child = self
            .runtime
            .run(self.work, dir, &id)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let ending = self.watch(dir, &mut child, &container, show);
        drop(container);
        drop(overlay);
        ending
    }

    fn watch(
        &self,
        dir: &Path,
        child: &mut Child,
        container: &Container<'_>,
        show: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Ending> {
        let (sender, pieces) = sync_channel(OUTPUT_PIECES);
        for stream in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)] {
            let sender = sender.clone();
            std::thread::spawn(move || stream.map(|stream| forward(stream, &sender)));
        }
        drop(sender);
        let end = Instant::now() + self.limits.step_timeout;
        let mut killed = None;
        loop {
            let wait =
                self.limits.silence_timeout.min(end.saturating_duration_since(Instant::now()));
            match pieces.recv_timeout(wait) {
                Ok(piece) => show(&piece),
                // The pipes close with the last process of the container.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let why = if Instant::now() >= end { Ending::TimedOut } else { Ending::Silent };
                    killed = killed.or(Some(why));
                    container.kill();
                    break;
                }
            }
        }
        let status = child.wait()?;
        match (killed, status.code()) {
            (Some(ending), _) => Ok(ending),
            (None, Some(0)) => Ok(Ending::Exit(0)),
            (None, Some(code)) => Ok(match Runtime::complaint(dir) {
                Some(why) => Ending::NotStarted(why),
                None => Ending::Exit(code),
            }),
            (None, None) => Err(io::Error::other(format!("the runtime ended by {status}"))),
        }
    }
}

/// Takes away what is left of the container, however its command ended.
struct Container<'a> {
    runtime: &'a Runtime,
    work: &'a Path,
    id: &'a str,
}

impl Container<'_> {
    fn kill(&self) {
        self.runtime.delete(self.work, self.id);
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // A runtime takes its container away itself when all went well.
        if self.work.join("runtime").join(self.id).exists() {
            self.kill();
        }
    }
}

/// Unique on the machine: control groups have this name too.
pub(super) fn container_id(dir: &Path) -> String {
    let names: Vec<_> = dir.iter().rev().take(2).map(|name| name.to_string_lossy()).collect();
    let (step, build) = (&names[0], names.get(1).map_or("", |name| name.as_ref()));
    format!("strata-{}-{build}-{step}", std::process::id()).replace('.', "_")
}

fn boxed<R: Read + Send + 'static>(stream: R) -> Box<dyn Read + Send> {
    Box::new(stream)
}

fn forward(mut stream: Box<dyn Read + Send>, sender: &SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; OUTPUT_BYTES];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) if sender.send(buffer[..read].to_vec()).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}
