//! `RUN --mount`: what a command sees besides the image.

mod agent;
mod bind;
mod cache;
mod options;
mod secret;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use workflows::dockerfile::{InlineScript, Mount, MountKind};

use self::agent::Agent;
use self::options::Options;
use super::steps::{Around, Fault, Site};
use crate::confine::{Memory, MountSource, Mounted, Overlay};
use crate::owners::first_owner;
use crate::root::chown_at;

/// Most mounts of one RUN.
const MAX_MOUNTS: usize = 100;
/// Permissions of a here-document that names its own interpreter.
const SCRIPT_MODE: u32 = 0o755;

/// What one command has mounted. All of it goes when this does, except for what caches keep.
pub(super) struct Mounts {
    /// The directory of the step, in which sources are made.
    dir: PathBuf,
    pub(super) mounted: Vec<Mounted>,
    /// Variables that come with them.
    pub(super) env: Vec<(String, String)>,
    // Below: what must live as long as the command.
    overlays: Vec<Overlay>,
    memory: Vec<Memory>,
    agents: Vec<Agent>,
    locks: Vec<File>,
}

impl Mounts {
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            mounted: Vec::new(),
            env: Vec::new(),
            overlays: Vec::new(),
            memory: Vec::new(),
            agents: Vec::new(),
            locks: Vec::new(),
        }
    }

    /// A here-document that the command executes by itself.
    pub(super) fn script(&mut self, script: Option<&InlineScript>) -> Result<(), Fault> {
        let Some(script) = script else { return Ok(()) };
        let path = self.dir.join("script");
        fs::write(&path, &script.content).map_err(Fault::Machine)?;
        fs::set_permissions(&path, Permissions::from_mode(SCRIPT_MODE)).map_err(Fault::Machine)?;
        give(&path, 0, 0)?;
        self.bind(script.path.clone(), path, true, true);
        Ok(())
    }

    /// Prepares what `--mount` asks for. Those that lie above others come first.
    pub(super) fn all(
        &mut self,
        mounts: &[Mount],
        workdir: &str,
        site: &mut Site<'_>,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        if mounts.len() > MAX_MOUNTS {
            return Err(Fault::User(format!("more than {MAX_MOUNTS} mounts")));
        }
        for (number, mount) in mounts.iter().enumerate() {
            let options = Options::read(mount, workdir).map_err(Fault::User)?;
            match mount.kind {
                MountKind::Tmpfs => self.tmpfs(&options)?,
                MountKind::Bind => self.bind_mount(mount, &options, number, site, around)?,
                MountKind::Cache => self.cache(mount, &options, site, around)?,
                MountKind::Secret => self.secret(mount, &options, number, site)?,
                MountKind::Ssh => self.ssh(mount, &options, number, site)?,
            }
        }
        self.mounted.sort_by_key(|mounted| Path::new(&mounted.target).components().count());
        Ok(())
    }

    fn tmpfs(&mut self, options: &Options) -> Result<(), Fault> {
        let source = MountSource::Memory(options.size);
        self.mounted.push(Mounted { target: options.target()?, is_file: false, source });
        Ok(())
    }

    fn bind(&mut self, target: String, path: PathBuf, read_only: bool, is_file: bool) {
        let source = MountSource::Path { path, read_only };
        self.mounted.push(Mounted { target, is_file, source });
    }
}

/// Makes a user and group of the image the owners of a path.
fn give(path: &Path, uid: u32, gid: u32) -> Result<(), Fault> {
    let (uid, gid) = (first_owner() + uid, first_owner() + gid);
    chown_at(rustix::fs::CWD, path.as_os_str(), uid, gid).map_err(Fault::Machine)
}
