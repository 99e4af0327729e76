//! RUN: a command on the layers below it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use workflows::dockerfile::{ArgScope, Instruction, Run, run_command};

use super::keys;
use super::mounts::Mounts;
use super::packing::{MAX_PACKING, Packing, Place};
use super::steps::{Around, Built, Fault, Site};
use crate::build::Progress;
use crate::cache::Kind;
use crate::confine::{Command, Ending, Overlay, Runtime, Sandbox, resolve_user};
use crate::error::BuildError;
use crate::image::Step;
use crate::network::Network;
use crate::root::Root;

impl Built {
    pub(super) fn run(
        &mut self,
        site: &mut Site<'_>,
        run: &Run,
        scope: &ArgScope,
        at: &Instruction,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let network = match (run.network.as_deref(), run.security.as_deref()) {
            (_, Some("insecure")) => {
                return Err(Fault::User("--security=insecure is never allowed".to_owned()));
            }
            (Some("none"), _) => Network::None,
            (Some("host"), _) if site.request.network != Network::Host => {
                let why = "--network=host is not allowed for this build";
                return Err(Fault::User(site.request.given.refusal(why, "--network host")));
            }
            _ => site.request.network,
        };
        let command = run_command(run, &self.config, scope);
        let mut key = match site.cache.wants_key(Kind::Command) {
            true => Some(keys::of_run(self, site, run, &command, network, around)?),
            false => None,
        };
        if let Some(unfinished) = key.take_if(|_| site.cache.reads(Kind::Command)) {
            self.settle(site, around)?;
            let found = unfinished.clone().on(&self.layers);
            if self.take_kept(site, &found, Kind::Command, at, around).is_some() {
                return Ok(());
            }
            key = Some(unfinished);
        }
        let runtime = site.runtime.clone().ok_or_else(|| {
            Fault::Told(BuildError::Sandbox(Runtime::missing(site.request.runtime.as_deref())))
        })?;
        if site.packing.iter().any(|packing| !packing.is_whole()) {
            self.settle(site, around)?;
        }
        let mut paths = site.unpacked(&self.layers)?;
        paths.extend(site.packing.iter().map(|packing| packing.upper().to_owned()));
        let dir = site.step_dir()?;
        let workdir =
            if self.config.workdir.is_empty() { "/" } else { self.config.workdir.as_str() };
        let below = Overlay::read_only(&paths, &site.empty).map_err(Fault::Machine)?;
        let image = Root::of_fd(below.fd().map_err(Fault::Machine)?);
        drop(below);
        let user = resolve_user(&image, &self.config.user, false).map_err(Fault::User)?;
        let mut mounts = Mounts::in_dir(&dir);
        mounts.script(command.script.as_ref())?;
        mounts.all(&run.mounts, workdir, site, around)?;
        let mut env = command.env;
        env.append(&mut mounts.env);
        // Runtimes differ in what they say where the image does not know the user.
        if !env.iter().any(|(name, _)| name == "HOME") {
            env.push(("HOME".to_owned(), user.home.clone()));
        }
        let mut command = Command {
            argv: command.argv,
            env,
            cwd: workdir.to_owned(),
            user,
            network,
            mounts: std::mem::take(&mut mounts.mounted),
            files: around.files.to_vec(),
        };
        let limits = &site.request.limits;
        let sandbox = Sandbox {
            runtime: &runtime,
            work: site.work.path(),
            empty: &site.empty,
            limits,
            cancel: site.cancel,
            egress: &site.request.egress,
            handle: site.handle,
        };
        let mut show = |bytes: &[u8]| (around.show)(Progress::Output(bytes));
        let shared = &mut site.surroundings;
        let ending = sandbox.run(shared, &paths, image, &dir, &mut command, &mut show);
        let ending = ending.map_err(|error| {
            Fault::Told(BuildError::Sandbox(format!("cannot run the command: {error}")))
        })?;
        for warning in site.surroundings.warnings(network) {
            (around.show)(Progress::Warning(&warning));
        }
        match ending {
            Ending::Exit(0) => {}
            Ending::Exit(code) => return Err(Fault::Command(limits.exit_told(code))),
            Ending::OutOfMemory(code) => return Err(Fault::Command(limits.memory_told(code))),
            // A program that the image does not have is the author's fault, all else ours.
            Ending::NotStarted(why) if why.contains("exec") => {
                return Err(Fault::Command(format!("the command cannot be started: {why}")));
            }
            Ending::Refused(why) => return Err(Fault::User(why)),
            Ending::NotStarted(why) => {
                let why = match closed_above(site.work.path()) {
                    Some(dir) if why.contains("ermission denied") => format!(
                        "{why}; users of images have to pass through {}, which lets nobody: chmod \
                         o+x it, or take another directory for the store",
                        dir.display()
                    ),
                    _ => runtime.explained(why),
                };
                return Err(Fault::Told(BuildError::Sandbox(why)));
            }
            Ending::Cancelled => return Err(Fault::Told(BuildError::Cancelled)),
            Ending::TimedOut => {
                let limit = limits.step_timeout.as_secs();
                return Err(Fault::Command(format!("the command ran longer than {limit} s")));
            }
            Ending::Silent => {
                let limit = limits.silence_timeout.as_secs();
                return Err(Fault::Command(format!("the command was silent for {limit} s")));
            }
            Ending::DiskFull => {
                let limit = limits.disk_bytes.unwrap_or(0);
                return Err(Fault::Command(format!("the command wrote more than {limit} bytes")));
            }
        }
        self.settle_all_but(MAX_PACKING - 1, site, around)?;
        let text = at.original.clone();
        self.history.push(Step { text, has_layer: false });
        let step = self.history.len() - 1;
        let packing = Packing::begin(site, dir.join("upper"), Place { step, line: at.line }, key);
        site.packing.push_back(packing.map_err(Fault::of)?);
        Ok(())
    }
}

/// The lowest directory on the way to this one through which only its owner may pass.
fn closed_above(path: &Path) -> Option<&Path> {
    path.ancestors().find(|dir| {
        std::fs::metadata(dir).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 == 0)
    })
}
