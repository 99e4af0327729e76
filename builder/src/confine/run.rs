//! One command, from its start to the end of its last process.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use workflows::egress::Place;

use super::Limits;
use super::command_files;
use super::groups::Groups;
use super::mounted::{Mounted, settle};
use super::overlay::Overlay;
use super::runtime::Runtime;
use super::spec;
use super::stubs::{Stub, make_stubs};
use super::surroundings::Surroundings;
use super::usage::Usage;
use super::users::Identity;
use super::watch::{Bounds, Container};
use crate::build::TextFile;
use crate::cancel::Cancel;
use crate::network::Network;
use crate::owners::is_rootless;
use crate::root::Root;

/// Permissions of what the runtime reads.
const SPEC_MODE: u32 = 0o600;
/// The exit status of a command that was killed.
pub(super) const KILLED: i32 = 137;

/// A command with all that it sees.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) user: Identity,
    pub(crate) network: Network,
    /// Mounted besides what every command has.
    pub(crate) mounts: Vec<Mounted>,
    /// Found by the command, and in no layer.
    pub(crate) files: Vec<TextFile>,
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Exit(i32),
    /// It failed, with that status, after the kernel had killed processes of its for memory.
    OutOfMemory(i32),
    /// What it asks for is not given.
    Refused(String),
    /// The runtime could not start it.
    NotStarted(String),
    TimedOut,
    Silent,
    /// It wrote more than the build may.
    DiskFull,
    Cancelled,
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
    pub(crate) cancel: &'a Cancel,
    /// What the network `egress` reaches.
    pub(crate) egress: &'a [Place],
    pub(crate) handle: &'a tokio::runtime::Handle,
}

impl Sandbox<'_> {
    /// Runs a command on the layers, which make up the image; its changes are in `dir/upper`
    /// afterwards. `show` gets what it prints.
    pub(crate) fn run(
        &self,
        shared: &mut Surroundings,
        layers: &[PathBuf],
        image: Root,
        dir: &Path,
        command: &mut Command,
        show: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Ending> {
        if is_rootless() && self.limits.need_control_groups() {
            let why = "limits of memory and processors need control groups, which root alone has";
            return Ok(Ending::NotStarted(why.to_owned()));
        }
        if let Some(why) = self.runtime.unfit() {
            return Ok(Ending::NotStarted(why.to_owned()));
        }
        let mut layers = layers.to_vec();
        if let Err(why) = settle(&mut command.mounts, &image)? {
            return Ok(Ending::Refused(why));
        }
        let bundle = shared.bundle(dir)?;
        let stubs = bundle.path().join("stubs");
        let extra = command.mounts.iter().map(|mounted| (mounted.target.as_str(), mounted.stub()));
        let places: Vec<(&str, Stub)> = spec::PLACES.into_iter().chain(extra).collect();
        let any_stub = make_stubs(&image, &stubs, &places)?;
        let mut files = command.files.clone();
        files.extend(self.runtime.own_file());
        let placed = command_files::place(&image, &stubs, &files)?;
        if any_stub || !files.is_empty() {
            layers.push(stubs);
        }
        drop(image);
        let overlay = Overlay::writable(&layers, self.empty, dir)?;
        let id = container_id(dir);
        shared.need_space(self.runtime, command.network, self.egress, dir, self.handle)?;
        shared.need_groups(self.runtime, &id, self.limits)?;
        shared.need_warden(self.runtime, self.work)?;
        let (space, groups) = (shared.space(command.network), shared.groups());
        let kills_before = groups.map_or(0, Groups::kills);
        let group = groups.is_none().then_some(id.as_str());
        let place = spec::Place { bundle: bundle.path(), root: overlay.path(), group };
        let spec = spec::write(place, command, space, self.limits, self.runtime.kind())?;
        let bundle = bundle.path();
        write_spec(bundle, &spec)?;
        let container = Container { runtime: self.runtime, work: self.work, bundle, id: &id };
        let mut child = self.start(bundle, &id, command.network, groups)?;
        tracing::debug!(container = %id, "a container starts");
        let written = command.mounts.iter().filter_map(Mounted::written);
        let written = written.map(Path::to_owned).chain([dir.join("upper")]).collect();
        let usage = self.limits.disk_bytes.map(|most| Usage::new(written, most));
        let bounds = Bounds { limits: self.limits, cancel: self.cancel, usage };
        let mut ending = container.watch(&mut child, bounds, show);
        if groups.is_some_and(|groups| groups.kills() > kills_before) {
            ending = match ending {
                // The runtime itself was taken.
                Err(_) => Ok(Ending::OutOfMemory(KILLED)),
                Ok(Ending::Exit(code)) if code != 0 => Ok(Ending::OutOfMemory(code)),
                other => other,
            };
        }
        drop((container, overlay));
        placed.take_out(&Root::open(&dir.join("upper"))?)?;
        ending
    }

    fn start(
        &self,
        bundle: &Path,
        id: &str,
        network: Network,
        groups: Option<&Groups>,
    ) -> io::Result<Child> {
        let mut runtime = self.runtime.run(self.work, bundle, id, network, groups.is_some());
        // What a terminal sends to all of its processes is ours to pass on.
        runtime.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        match groups {
            Some(groups) => groups.within(|| runtime.spawn()),
            None => runtime.spawn(),
        }
    }
}

fn write_spec(bundle: &Path, spec: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(SPEC_MODE);
    options.open(bundle.join("config.json"))?.write_all(spec)
}

/// Unique on the machine: control groups have this name too.
fn container_id(dir: &Path) -> String {
    let names: Vec<_> = dir.iter().rev().take(2).map(|name| name.to_string_lossy()).collect();
    let (step, build) = (&names[0], names.get(1).map_or("", |name| name.as_ref()));
    format!("strata-{}-{build}-{step}", std::process::id()).replace('.', "_")
}
