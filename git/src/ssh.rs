//! Git over ssh, with a bound on what a host may send, and on how long.
//!
//! The library reads from `ssh` for as long as it runs: one whose host is silent, or sends on and
//! on, would hold a thread. Here a thread of its own reads the program's output, whoever waits for
//! it looks at the clock, and the program ends with the connection.

use std::ffi::OsString;
use std::io::{self, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;

use crate::bounded::Meter;
use crate::{GitError, Remote};

/// No prompt, and an end to a network that is gone.
const OPTIONS: [&str; 5] = [
    "BatchMode=yes",
    "ConnectTimeout=20",
    "ServerAliveInterval=20",
    "ServerAliveCountMax=3",
    "SendEnv=GIT_PROTOCOL",
];
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 32 * 1024;
/// Pieces that wait to be read: the program waits meanwhile.
const MAX_WAITING: usize = 4;
/// How often who waits for output looks at the clock.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// What is kept of the program's complaints, in bytes.
const MAX_COMPLAINT_BYTES: u64 = 4 * 1024;
/// How long the complaints of a program are waited for that has ended.
const COMPLAINT_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts ssh; the program ends when the transport is dropped.
pub(crate) fn connect(
    remote: &Remote,
    url: &gix::Url,
    meter: &Arc<Meter>,
) -> Result<Box<dyn Transport + Send>, GitError> {
    let program = remote.ssh_program();
    let mut command = command(program, url)?;
    let mut child = command.spawn().map_err(|error| {
        GitError::Local(format!("cannot start {}: {error}", program.to_string_lossy()))
    })?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let child = Running(child);
    let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
        return Err(GitError::Local("ssh has no pipes".to_owned()));
    };
    let output = Output {
        chunks: read_on(output),
        complaint: read_complaint(errors),
        rest: io::Cursor::new(Vec::new()),
        meter: Arc::clone(meter),
        _child: child,
    };
    let connection = Connection::new(
        meter.metered(output),
        input,
        Protocol::V2,
        url.path.clone(),
        None::<(&str, _)>,
        ConnectMode::Process,
        false,
    );
    Ok(Box::new(connection.custom_url(Some(url.to_bstring()))))
}

fn command(program: &OsString, url: &gix::Url) -> Result<Command, GitError> {
    let refuse = |what: &str| GitError::Invalid(format!("repository URL: {what}"));
    let host = url.host().filter(|host| !host.starts_with('-'));
    let host = host.ok_or_else(|| refuse("it names no host"))?;
    let mut command = Command::new(program);
    for option in OPTIONS {
        command.args(["-o", option]);
    }
    if let Some(port) = url.port {
        command.arg(format!("-p{port}"));
    }
    match url.user().filter(|user| !user.is_empty()) {
        Some(user) if user.starts_with('-') => return Err(refuse("bad user")),
        Some(user) => command.arg(format!("{user}@{host}")),
        None => command.arg(host),
    };
    let path = url.path.to_string();
    // The host's shell reads it; `~user` is for git there.
    let path = if path.starts_with("/~") { &path[1..] } else { &path };
    command
        .arg(format!("git-upload-pack {}", quoted(path)))
        .env("GIT_PROTOCOL", "version=2")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// One word for a shell.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''").replace('!', r"'\!'"))
}

/// A program that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What ssh writes. An empty piece is never sent: the channel ends with the output.
struct Output {
    chunks: Receiver<Vec<u8>>,
    complaint: Receiver<String>,
    rest: io::Cursor<Vec<u8>>,
    meter: Arc<Meter>,
    _child: Running,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.rest.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.chunks.recv_timeout(LOOK_INTERVAL) {
                Ok(chunk) => self.rest = io::Cursor::new(chunk),
                Err(RecvTimeoutError::Timeout) => self.meter.check()?,
                Err(RecvTimeoutError::Disconnected) => return self.ended(),
            }
        }
    }
}

impl Output {
    /// The end of the output, or why it came.
    fn ended(&self) -> io::Result<usize> {
        let complaint = self.complaint.recv_timeout(COMPLAINT_TIMEOUT).unwrap_or_default();
        let complaint = complaint.trim();
        if complaint.is_empty() {
            return Ok(0);
        }
        // As "permission denied" the library would take it for a question for a password.
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, complaint.to_owned()))
    }
}

/// Reads until nobody wants more.
fn read_on(mut output: ChildStdout) -> Receiver<Vec<u8>> {
    let (chunks, read) = sync_channel(MAX_WAITING);
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match output.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if chunks.send(buffer[..count].to_vec()).is_err() {
                        return;
                    }
                }
            }
        }
    });
    read
}

/// Keeps the beginning of what the program complains about, and drops the rest.
fn read_complaint(mut errors: ChildStderr) -> Receiver<String> {
    let (told, complaint): (SyncSender<String>, _) = sync_channel(1);
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.by_ref().take(MAX_COMPLAINT_BYTES).read_to_end(&mut text);
        let _ = io::copy(&mut errors, &mut io::sink());
        let _ = told.send(String::from_utf8_lossy(&text).into_owned());
    });
    complaint
}

#[cfg(test)]
mod tests;
