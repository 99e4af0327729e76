//! The OCI runtime: crun or runc, whichever is there, or gVisor where it is asked for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use super::sealed::Sealed;
use super::warden::Warden;
use super::{groups, namesakes};
use crate::build::TextFile;
use crate::network::Network;
use crate::owners::is_rootless;

/// Where programs of the administrator stand; a build's own search path is not asked.
const DIRECTORIES: [&str; 5] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin"];
/// In the order in which they are taken: crun starts a command in half of runc's time.
const NAMES: [&str; 2] = ["crun", "runc"];
/// The directory in a build's own one in which the runtime keeps its state.
const STATE: &str = "runtime";
/// The file beside it that names the runtime's program, for whoever cleans up after a killed build.
const PROGRAM: &str = "runtime-program";
/// The file in a bundle to which the runtime writes the number of the container's first process.
const PID: &str = "pid";
/// What gVisor puts between a container's name and its sandbox's in the names of files.
const OF_SANDBOX: &str = "_sandbox:";
/// The file in a bundle to which the runtime writes what goes wrong.
const LOG: &str = "log.json";
/// What gVisor's last words begin with.
const FATAL: &str = "FATAL ERROR";
/// Most of that file that is read, in bytes.
const MAX_LOG_BYTES: u64 = 64 * 1024;

/// A line of that file.
#[derive(serde::Deserialize)]
struct Complaint {
    level: String,
    msg: String,
}

/// The runtimes whose command lines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Crun,
    Runc,
    /// gVisor: a kernel of its own for every command.
    Runsc,
}

/// A runtime of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    program: PathBuf,
    /// A copy of the program, made for the first command and shared by all.
    sealed: Arc<OnceLock<Option<Sealed>>>,
}

impl Runtime {
    /// The one that is given, by its path or its name, or the first that is found.
    pub(crate) fn find(given: Option<&Path>) -> Option<Self> {
        let in_directories = |name: &Path| {
            DIRECTORIES.map(|dir| Path::new(dir).join(name)).into_iter().find(|path| path.is_file())
        };
        let program = match given {
            Some(name) if name.components().count() == 1 => in_directories(name),
            Some(path) => Some(path.to_owned()).filter(|path| path.is_file()),
            None => NAMES.into_iter().find_map(|name| in_directories(Path::new(name))),
        };
        program.map(|program| Self { program, sealed: Arc::default() })
    }

    /// What to say when [`Self::find`] finds nothing.
    pub(crate) fn missing(given: Option<&Path>) -> String {
        match given {
            Some(given) => {
                format!("there is no OCI runtime {}: install it, or take another", given.display())
            }
            None => "neither crun nor runc is installed: install the package crun".to_owned(),
        }
    }

    /// Leaves word in a build's directory of what runs its containers.
    pub(crate) fn note(&self, work: &Path) -> std::io::Result<()> {
        std::fs::write(work.join(PROGRAM), self.program.as_os_str().as_bytes())
    }

    /// What ran the containers of a build that lives no more.
    fn noted(work: &Path) -> Option<Self> {
        let program = std::fs::read(work.join(PROGRAM)).ok()?;
        Some(Self { program: OsStr::from_bytes(&program).into(), sealed: Arc::default() })
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    fn command(&self, work: &Path) -> Command {
        self.command_of(&self.program, work, is_rootless())
    }

    /// What is started for a command: a copy of the program, where that saves it work.
    fn started(&self) -> PathBuf {
        let copy = || (self.kind() == Kind::Crun).then(|| Sealed::copy(&self.program)).flatten();
        let sealed = self.sealed.get_or_init(copy).as_ref();
        sealed.map_or_else(|| self.program.clone(), Sealed::path)
    }

    /// `keeps_groups` has it leave control groups alone.
    fn command_of(&self, started: &Path, work: &Path, keeps_groups: bool) -> Command {
        let mut command = Command::new(started);
        command.arg0(&self.program);
        command.arg("--root").arg(work.join(STATE)).env_clear().stdin(Stdio::null());
        if keeps_groups {
            command.args(match self.kind() {
                Kind::Crun => ["--cgroup-manager", "disabled"].as_slice(),
                Kind::Runc | Kind::Runsc => &["--rootless=true"],
            });
        }
        command
    }

    /// Why this runtime cannot start commands here; a sentence.
    pub(super) fn unfit(&self) -> Option<&'static str> {
        let is_unfit = self.kind() == Kind::Runsc && is_rootless();
        is_unfit.then_some("gVisor (runsc) needs root: build as root, or take another --runtime")
    }

    /// What the runtime said when it could not start a command, with what to do about it where
    /// that is known.
    pub(crate) fn explained(&self, why: String) -> String {
        if self.kind() == Kind::Runc && is_rootless() && why.contains("cgroup") {
            return format!(
                "{why}; runc needs control groups, which root alone has here: install crun and \
                 take --runtime crun, or build as root"
            );
        }
        why
    }

    /// A file that this runtime must find: gVisor mounts memory of its own over a `/tmp` that is
    /// empty, and what a command leaves there would be in no layer.
    pub(super) fn own_file(&self) -> Option<TextFile> {
        let path = "/tmp/.strata".to_owned();
        (self.kind() == Kind::Runsc).then(|| TextFile { path, content: String::new() })
    }

    pub(super) fn kind(&self) -> Kind {
        match self.program.file_name().and_then(|name| name.to_str()) {
            Some(name) if name.contains("runsc") => Kind::Runsc,
            Some(name) if name.contains("runc") => Kind::Runc,
            _ => Kind::Crun,
        }
    }

    /// Whether it can be started within control groups that it leaves alone.
    pub(super) fn may_keep_groups(&self) -> bool {
        self.kind() == Kind::Crun && !is_rootless()
    }

    /// The command that runs the bundle's process and ends as it does; `keeps_groups` where it is
    /// started within its control groups.
    pub(super) fn run(
        &self,
        work: &Path,
        bundle: &Path,
        id: &str,
        network: Network,
        keeps_groups: bool,
    ) -> Command {
        let mut command = self.command_of(&self.started(), work, is_rootless() || keeps_groups);
        command.arg("--log").arg(bundle.join(LOG)).args(["--log-format", "json"]);
        if self.kind() == Kind::Runsc {
            // What the command changes must be on the disk, to become a layer. A network other than
            // none is a namespace of ours, which is used as it is.
            let network = if network == Network::None { "none" } else { "host" };
            command.args(["--overlay2=none", &format!("--network={network}")]);
        }
        command.arg("run").arg("--bundle").arg(bundle).arg("--pid-file").arg(bundle.join(PID));
        command.arg(id);
        command
    }

    /// Watches over a build's containers, see [`Warden`].
    pub(super) fn warden(&self, work: &Path) -> std::io::Result<Warden> {
        Warden::start(&self.command(work), &work.join(STATE))
    }

    /// Whether the runtime keeps something of a container.
    pub(super) fn has(&self, work: &Path, id: &str) -> bool {
        containers(work).any(|known| known == id)
    }

    /// What the runtime itself complained about, which is not what the command printed.
    pub(crate) fn complaint(bundle: &Path) -> Option<String> {
        let mut text = String::new();
        let file = std::fs::File::open(bundle.join(LOG)).ok()?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_LOG_BYTES), &mut text)
            .ok()?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Complaint>(line).ok());
        // gVisor tells what ends it as a warning.
        let is_last = |line: &Complaint| line.level == "error" || line.msg.starts_with(FATAL);
        lines.filter(is_last).map(|line| line.msg).next_back()
    }

    /// Sends SIGTERM to all processes of a container; tells whether it was there. `runtime` is the
    /// process that [`Self::run`] became.
    pub(super) fn terminate(&self, work: &Path, bundle: &Path, id: &str, runtime: u32) -> bool {
        let sent = match self.kind() {
            // Its processes are none of the machine's.
            Kind::Runsc => {
                let mut command = self.command(work);
                command.args(["kill", "--all", id, "TERM"]);
                let sent = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
                sent.map(|status| status.success())
            }
            Kind::Crun | Kind::Runc => match std::fs::read_to_string(bundle.join(PID)) {
                Ok(text) => text
                    .trim()
                    .parse()
                    .map_or(Ok(false), |first| namesakes::terminate(first, runtime)),
                Err(_) => Ok(false),
            },
        };
        sent.unwrap_or_else(|error| {
            tracing::warn!(container.id = id, %error, "cannot ask a container to end");
            false
        })
    }

    /// Kills all processes of a container and takes it away; it may be gone already.
    pub(crate) fn delete(&self, work: &Path, id: &str) {
        let deleted = self
            .command(work)
            .args(["delete", "--force", id])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if let Err(error) = deleted {
            tracing::warn!(container.id = id, %error, "cannot take away a container");
        }
    }
}

/// Ends the containers of a build that lives no more; tells whether there is none any more.
pub(crate) fn kill_leftovers(work: &Path) -> bool {
    let Some(runtime) = Runtime::noted(work) else { return true };
    for container in containers(work) {
        runtime.delete(work, &container);
    }
    if let Some(build) = work.file_name().and_then(OsStr::to_str) {
        groups::remove_of(&build.replace('.', "_"));
    }
    containers(work).next().is_none()
}

/// The containers that a runtime keeps for a build, by its directories or, of gVisor, by its files.
fn containers(work: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(work.join(STATE)).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.split_once(OF_SANDBOX) {
            Some((id, _)) => name.ends_with(".state").then(|| id.to_owned()),
            None => Some(name),
        }
    })
}
