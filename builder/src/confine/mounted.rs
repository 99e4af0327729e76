//! What is mounted into the sandbox besides what every command has.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};
use serde_json::{Value, json};

use super::stubs::Stub;
use crate::root::Root;

/// Places that tell a runtime about its own work: nothing may stand over them.
const FORBIDDEN: [&str; 2] = ["proc", "sys"];
/// The directory of devices, in which things may be mounted, and over which not.
const DEVICES: &str = "dev";

/// Something mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Absolute path in the image.
    pub(crate) target: String,
    pub(crate) is_file: bool,
    pub(crate) source: MountSource,
}

/// What stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MountSource {
    /// Memory that is an empty directory at first. Most bytes that it takes; half of the
    /// machine's memory when `None`.
    Memory(Option<u64>),
    /// A file or directory of this machine that was made for it.
    Path { path: PathBuf, read_only: bool },
}

impl Mounted {
    pub(super) fn stub(&self) -> Stub {
        if self.is_file { Stub::File } else { Stub::Directory }
    }

    /// Where the command leaves bytes of the disk.
    pub(super) fn written(&self) -> Option<&Path> {
        match &self.source {
            MountSource::Path { path, read_only: false } if !self.is_file => Some(path),
            _ => None,
        }
    }

    /// As an OCI runtime reads it.
    pub(super) fn spec(&self) -> Value {
        let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
        let (kind, source) = match &self.source {
            MountSource::Memory(max_bytes) => {
                options.extend(max_bytes.map(|bytes| format!("size={bytes}")));
                ("tmpfs", Path::new("tmpfs"))
            }
            MountSource::Path { path, read_only } => {
                options.push("bind".to_owned());
                options.extend(read_only.then(|| "ro".to_owned()));
                ("bind", path.as_path())
            }
        };
        json!({"destination": self.target, "type": kind, "source": source, "options": options})
    }
}

/// Follows the links of every target in the image, so that what is checked is what is mounted on.
/// The inner error is a sentence for the author.
pub(super) fn settle(mounts: &mut [Mounted], image: &Root) -> io::Result<Result<(), String>> {
    for mounted in mounts {
        let found = image.find(Path::new(&mounted.target))?;
        let first = found.path.iter().next().and_then(|name| name.to_str());
        let is_place = found.path == Path::new(DEVICES) || first.is_none();
        if is_place || first.is_some_and(|first| FORBIDDEN.contains(&first)) {
            return Ok(Err(format!("--mount: nothing can stand over {}", mounted.target)));
        }
        mounted.target = format!("/{}", found.path.display());
    }
    Ok(Ok(()))
}

/// A directory in memory that only this build's thread and its children see; gone when dropped.
#[derive(Debug)]
pub(crate) struct Memory(PathBuf);

impl Memory {
    pub(crate) fn mount(path: &Path, max_bytes: usize) -> io::Result<Self> {
        DirBuilder::new().mode(0o711).create(path)?;
        let options = format!("mode=0711,size={max_bytes}");
        let options = std::ffi::CString::new(options)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("tmpfs", path, "tmpfs", flags, options.as_c_str())?;
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Err(error) = rustix::mount::unmount(&self.0, UnmountFlags::DETACH) {
            tracing::warn!(target = %self.0.display(), %error, "cannot unmount");
        }
        // The build's directory goes anyway, with this one in it.
        let _ = fs::remove_dir(&self.0);
    }
}
