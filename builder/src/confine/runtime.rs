//! The OCI runtime: crun or runc, whichever is there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs of the administrator stand; a build's own search path is not asked.
const DIRECTORIES: [&str; 5] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin"];
/// In the order in which they are taken: crun starts a command in half of runc's time.
const NAMES: [&str; 2] = ["crun", "runc"];
/// The directory in a build's own one in which the runtime keeps its state.
const STATE: &str = "runtime";
/// The file in a bundle to which the runtime writes what goes wrong.
const LOG: &str = "log.json";
/// Most of that file that is read, in bytes.
const MAX_LOG_BYTES: u64 = 64 * 1024;

/// A line of that file.
#[derive(serde::Deserialize)]
struct Complaint {
    level: String,
    msg: String,
}

/// A runtime of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    program: PathBuf,
}

impl Runtime {
    /// The one that is given, or the first that is found.
    pub(crate) fn find(given: Option<&Path>) -> Option<Self> {
        let found = || {
            let in_directories =
                |name: &str| DIRECTORIES.map(|dir| Path::new(dir).join(name)).into_iter();
            NAMES.into_iter().flat_map(in_directories).find(|path| path.is_file())
        };
        let program = given.map(Path::to_owned).or_else(found)?;
        Some(Self { program })
    }

    fn command(&self, work: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(work.join(STATE)).env_clear().stdin(Stdio::null());
        command
    }

    /// The command that runs the bundle's process and ends as it does.
    pub(crate) fn run(&self, work: &Path, bundle: &Path, id: &str) -> Command {
        let mut command = self.command(work);
        command.arg("--log").arg(bundle.join(LOG)).args(["--log-format", "json"]);
        command.arg("run").arg("--bundle").arg(bundle).arg(id);
        command
    }

    /// What the runtime itself complained about, which is not what the command printed.
    pub(crate) fn complaint(bundle: &Path) -> Option<String> {
        let mut text = String::new();
        let file = std::fs::File::open(bundle.join(LOG)).ok()?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_LOG_BYTES), &mut text)
            .ok()?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Complaint>(line).ok());
        lines.filter(|line| line.level == "error").map(|line| line.msg).next_back()
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

/// Ends the containers of a build that lives no more.
pub(crate) fn kill_leftovers(work: &Path) {
    let Some(runtime) = Runtime::find(None) else { return };
    let Ok(containers) = std::fs::read_dir(work.join(STATE)) else { return };
    for container in containers.flatten() {
        runtime.delete(work, &container.file_name().to_string_lossy());
    }
}
