//! How each engine builds and pushes an image, as a person would type it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::rows::{Row, Rows};

/// How often the memory of a process is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Where the second hierarchy of control groups is, on machines that have both.
const UNIFIED: &str = "/sys/fs/cgroup/unified";
/// Longest reason that is told why an engine is absent, in characters.
const MAX_WHY_CHARS: usize = 200;

/// Who builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Engine {
    /// This program: build and push are one.
    Strata,
    /// Docker Engine without BuildKit.
    DockerClassic,
    /// Docker Engine with BuildKit.
    Buildkit,
    /// BuildKit through buildx, pushing layers of zstd while it exports: the best it can be told.
    BuildkitZstd,
    /// Buildah with its own isolation.
    Buildah,
    /// Podman.
    Podman,
}

/// What one build took.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) build: Duration,
    /// `None` where the build pushes.
    pub(super) push: Option<Duration>,
    pub(super) pushed_bytes: u64,
    pub(super) peak_bytes: Option<u64>,
}

impl Taken {
    pub(super) fn total(&self) -> Duration {
        self.build + self.push.unwrap_or_default()
    }
}

/// What an engine is to build.
pub(super) struct Order<'a> {
    pub(super) context: &'a Path,
    pub(super) dockerfile: &'a Path,
    pub(super) tag: &'a str,
    /// Whether commands need the machine's network.
    pub(super) network: bool,
    /// A `docker` whose buildx pushes layers of zstd.
    pub(super) tuned_docker: &'a Path,
}

impl Engine {
    const ALL: [Self; 6] = [
        Self::Strata,
        Self::DockerClassic,
        Self::Buildkit,
        Self::BuildkitZstd,
        Self::Buildah,
        Self::Podman,
    ];

    pub(super) fn is_ours(self) -> bool {
        self == Self::Strata
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Strata => "strata",
            Self::DockerClassic => "docker classic",
            Self::Buildkit => "docker BuildKit",
            Self::BuildkitZstd => "BuildKit, zstd",
            Self::Buildah => "buildah",
            Self::Podman => "podman",
        }
    }

    /// Builds and pushes; `scratch` holds what the engine keeps between builds, where that is ours
    /// to say.
    pub(super) fn build(self, order: &Order<'_>, scratch: &Path) -> anyhow::Result<Taken> {
        let (build, peak_bytes) = run(&mut self.build_command(order, scratch)?)?;
        let pushed =
            self.push_command(order.tag).map(|mut command| run(&mut command)).transpose()?;
        let push = pushed.map(|(took, _)| took);
        let peak_bytes = peak_bytes.filter(|_| self.is_ours());
        Ok(Taken { build, push, pushed_bytes: 0, peak_bytes })
    }

    /// Takes the image away from the engine; its layers in the registry stay.
    pub(super) fn forget(self, tag: &str) {
        let mut command = match self {
            Self::Strata | Self::BuildkitZstd => return,
            Self::DockerClassic | Self::Buildkit => Command::new("docker"),
            Self::Buildah => Command::new("buildah"),
            Self::Podman => Command::new("podman"),
        };
        // One that is used by the next row stays until that is forgotten.
        drop(run(command.args(["rmi", "--force", tag])));
    }

    fn build_command(self, order: &Order<'_>, scratch: &Path) -> anyhow::Result<Command> {
        let network = if order.network { "host" } else { "none" };
        let mut command = match self {
            Self::Strata => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["build-image", "--push", "--quiet", "--no-cache", "--store"]);
                command.arg(scratch.join("store"));
                command
            }
            Self::DockerClassic | Self::Buildkit => {
                let mut command = Command::new("docker");
                let kit = if self == Self::Buildkit { "1" } else { "0" };
                command.env("DOCKER_BUILDKIT", kit).args(["build", "--no-cache", "--quiet"]);
                command
            }
            Self::BuildkitZstd => {
                let mut command = Command::new(order.tuned_docker);
                let to = format!(
                    "type=image,name={},push=true,compression=zstd,compression-level=1,\
                     force-compression=false,oci-mediatypes=true",
                    order.tag
                );
                command.args(["buildx", "build", "--no-cache", "--quiet", "--provenance=false"]);
                command.args(["--output", &to]);
                command
            }
            Self::Buildah => {
                let mut command = of_containers("buildah");
                command.args(["build", "--no-cache", "--quiet", "--layers", "--tls-verify=false"]);
                command
            }
            Self::Podman => {
                let mut command = of_containers("podman");
                command.args(["build", "--no-cache", "--quiet", "--tls-verify=false"]);
                command
            }
        };
        if self != Self::BuildkitZstd {
            command.args(["--tag", order.tag]);
        }
        command.args(["--network", network, "--file"]).arg(order.dockerfile).arg(order.context);
        Ok(command)
    }

    fn push_command(self, tag: &str) -> Option<Command> {
        let (program, options): (_, &[&str]) = match self {
            Self::Strata | Self::BuildkitZstd => return None,
            Self::DockerClassic | Self::Buildkit => ("docker", &["push", "--quiet"]),
            Self::Buildah => ("buildah", &["push", "--quiet", "--tls-verify=false"]),
            Self::Podman => ("podman", &["push", "--quiet", "--tls-verify=false"]),
        };
        let mut command = Command::new(program);
        command.args(options).arg(tag);
        Some(command)
    }
}

/// A program of the containers family. Its runtime crun refuses machines that have both hierarchies
/// of control groups; where the second is a mount beside the first, the program does not see it.
fn of_containers(name: &str) -> Command {
    if !Path::new(UNIFIED).is_dir() {
        return Command::new(name);
    }
    let mut command = Command::new("unshare");
    let script = format!("umount {UNIFIED} && exec \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", name]);
    command
}

/// The engines that build here, and why the others do not: each is tried with the row of commands,
/// which also brings the parent to it.
pub(super) fn present(
    wanted: &[Engine],
    scratch: &Path,
    rows: &Rows,
) -> anyhow::Result<(Vec<Engine>, BTreeMap<String, String>)> {
    let (mut engines, mut absent) = (Vec::new(), BTreeMap::new());
    for engine in Engine::ALL {
        if !wanted.is_empty() && !wanted.contains(&engine) {
            continue;
        }
        match rows.build(Row::Steps, engine, "trial", scratch) {
            Ok(_) => engines.push(engine),
            Err(why) if engine.is_ours() => return Err(why),
            Err(why) => {
                let why = format!("{why:#}").split_whitespace().collect::<Vec<_>>().join(" ");
                absent.insert(engine.name().to_owned(), why.chars().take(MAX_WHY_CHARS).collect());
            }
        }
    }
    Ok((engines, absent))
}

/// Lets the users of images pass through a directory.
pub(super) fn make_passable(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711))
}

/// Runs a command that must succeed; tells how long it took, and the most memory that its process
/// had.
fn run(command: &mut Command) -> anyhow::Result<(Duration, Option<u64>)> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let (pid, errors) = (child.id(), child.stderr.take());
    let (ended, until) = mpsc::channel();
    std::thread::scope(|scope| {
        let errors = scope.spawn(move || {
            let mut text = String::new();
            let read =
                errors.map(|mut errors| std::io::Read::read_to_string(&mut errors, &mut text));
            read.transpose().map(|_| text)
        });
        let peak = scope.spawn(move || watch(pid, &until));
        let status = child.wait();
        let took = begun.elapsed();
        drop(ended);
        if !status.as_ref().is_ok_and(ExitStatus::success) {
            let errors = errors.join().ok().and_then(Result::ok).unwrap_or_default();
            bail!("{name} ended with {}: {errors}", status?);
        }
        Ok((took, peak.join().unwrap_or_default()))
    })
}

/// Looks at the memory of a process now and then, beside the clock, until it has ended.
fn watch(pid: u32, ended: &mpsc::Receiver<()>) -> Option<u64> {
    let mut peak = None;
    loop {
        peak = peak_of(pid).max(peak);
        if ended.recv_timeout(LOOK_INTERVAL) != Err(mpsc::RecvTimeoutError::Timeout) {
            return peak;
        }
    }
}

fn peak_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
