//! Programs as children that never outlive the test.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::wait::{SHORT, until};

/// The `strata` binary that `./test` built.
///
/// # Panics
/// When it is not there; the message says how to build it.
#[must_use]
pub fn strata() -> PathBuf {
    let target = std::env::current_exe().expect("a test has a path");
    let debug = target.ancestors().nth(2).expect("target/debug/deps").to_owned();
    let binary = debug.join("strata");
    assert!(
        binary.is_file(),
        "{} is missing: run `cargo build --workspace --bins`",
        binary.display()
    );
    binary
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
    listener.local_addr().expect("an address").port()
}

/// A running child, killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program, its output in `<dir>/<name>.log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(dir: &Path, name: &str, command: &mut Command) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// SIGKILL, and wait for the end.
    pub fn kill(mut self) {
        self.stop_hard();
    }

    /// Its own children that run.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let parent = format!("PPid:\t{}", self.child.id());
        let is_ours = |process: &std::fs::DirEntry| {
            let status = std::fs::read_to_string(process.path().join("status"));
            status.is_ok_and(|status| status.lines().any(|line| line == parent))
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ours = processes.filter(is_ours);
        ours.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
    }

    /// SIGTERM, without waiting for what comes of it.
    ///
    /// # Panics
    /// When it cannot be signalled.
    pub fn terminate(&mut self) {
        assert!(self.is_running(), "{} was gone before it was terminated", self.name);
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success(), "{} cannot be signalled", self.name);
    }

    /// Waits until it logs that.
    pub async fn said(&self, words: &str) {
        until(&format!("{} says `{words}`", self.name), SHORT, async || {
            let log = self.log();
            if log.contains(words) { Ok(()) } else { Err(log) }
        })
        .await;
    }

    /// How it ended, once it has; a signal has no code.
    ///
    /// # Panics
    /// When it does not end within the limit.
    pub async fn ended(mut self, limit: Duration) -> Option<i32> {
        let name = self.name.clone();
        until(&format!("the end of {name}"), limit, async || {
            match self.child.try_wait().expect("a child can be asked") {
                Some(status) => Ok(status.code()),
                None => Err(self.log()),
            }
        })
        .await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All that it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn stop_hard(&mut self) {
        // Both fail only when the child is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop_hard();
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be started.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// Runs a program that must succeed; the answer is its output without the last newline.
///
/// # Panics
/// When it fails; the message has its errors.
pub fn succeed(command: &mut Command) -> String {
    let output = output(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// `docker` with arguments, which must succeed.
pub fn docker(arguments: &[&str]) -> String {
    succeed(Command::new("docker").args(arguments))
}

/// The lines that `docker` answers with.
#[must_use]
pub fn lines_of_docker(arguments: &[&str]) -> Vec<String> {
    docker(arguments).lines().map(ToOwned::to_owned).collect()
}
