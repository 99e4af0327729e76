//! What the commands of one stage share: their control groups, their networks
//! and the memory that their bundles are in.
//!
//! They run one after another, and no process of one lives on when the next begins. To make both
//! anew for each, and to have the kernel take them away, costs more than many a command itself.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use workflows::egress::Place;

use super::Limits;
use super::groups::Groups;
use super::mounted::Memory;
use super::runtime::{Kind, Runtime};
use super::warden::Warden;
use crate::build::Warning;
use crate::network::{Network, Space};

/// Most bytes of what the runtime reads, and of files that the image lacks.
const MAX_BUNDLE_BYTES: usize = 64 * 1024 * 1024;

/// Taken away with the value, when the stage is over.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Made with the first command; `None` where the runtime makes them for each.
    groups: Option<Option<Groups>>,
    spaces: Vec<(Network, Space)>,
    warden: Option<Warden>,
    memory: Option<Memory>,
}

/// A directory in memory; gone with the value.
#[derive(Debug)]
pub(super) struct Bundle(PathBuf);

impl Bundle {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(target = %self.0.display(), %error, "cannot take away a bundle");
        }
    }
}

impl Surroundings {
    /// Makes the directory that a runtime reads, of the command whose own directory is `dir`, which
    /// lives as long as the stage. It is in memory: it may hold secrets, as variables.
    pub(super) fn bundle(&mut self, dir: &Path) -> io::Result<Bundle> {
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => Memory::mount(&dir.join("bundles"), MAX_BUNDLE_BYTES)?,
        };
        let path = self.memory.insert(memory).path().join(dir.file_name().unwrap_or_default());
        DirBuilder::new().mode(0o711).create(&path)?;
        Ok(Bundle(path))
    }

    /// Makes the control groups, unless they are there.
    pub(super) fn need_groups(
        &mut self,
        runtime: &Runtime,
        id: &str,
        limits: &Limits,
    ) -> io::Result<()> {
        if self.groups.is_none() {
            self.groups = Some(match runtime.may_keep_groups() {
                true => Groups::make(id, limits)?,
                false => None,
            });
        }
        Ok(())
    }

    /// Has somebody watch over the containers, unless somebody does. gVisor's are watched by their own
    /// sandbox.
    pub(super) fn need_warden(&mut self, runtime: &Runtime, work: &Path) -> io::Result<()> {
        if self.warden.is_none() && runtime.kind() != Kind::Runsc {
            self.warden = Some(runtime.warden(work)?);
        }
        Ok(())
    }

    /// Makes a network, unless it is there; `dir` is a directory that lives as long as the stage.
    pub(super) fn need_space(
        &mut self,
        runtime: &Runtime,
        network: Network,
        listed: &[Place],
        dir: &Path,
        handle: &tokio::runtime::Handle,
    ) -> io::Result<()> {
        // gVisor has a network stack of its own, whose loopback it makes itself.
        let is_own = network == Network::None && runtime.kind() == Kind::Runsc;
        if !is_own && self.space(network).is_none() {
            let space = Space::open(network, listed, dir, handle)?;
            self.spaces.extend(space.map(|space| (network, space)));
        }
        Ok(())
    }

    /// Control groups to start in; `None` where the runtime makes them, or there are none.
    pub(super) fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref().and_then(Option::as_ref)
    }

    /// What the command that ran last did not reach, each place once.
    pub(crate) fn warnings(&self, network: Network) -> Vec<Warning> {
        let unreached = self.space(network).map(Space::unreached).unwrap_or_default();
        let warnings = unreached.into_iter();
        warnings.map(|(place, why)| Warning::Unreached { place, why }).collect()
    }

    /// The network of that kind; `None` of the machine's own, and of what the runtime makes.
    pub(super) fn space(&self, network: Network) -> Option<&Space> {
        self.spaces.iter().find(|(kind, _)| *kind == network).map(|(_, space)| space)
    }
}
