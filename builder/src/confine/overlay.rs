//! Layers stacked into one tree.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    UnmountFlags,
};
use rustix::thread::UnshareFlags;

use crate::owners::{first_owner, is_rootless};
use crate::root::chown_at;

/// Gives the calling thread a view of the mounts that nobody else has. All that it mounts is gone
/// when the thread and its children are, however they end.
pub(crate) fn private_mounts() -> io::Result<()> {
    #[expect(unsafe_code, reason = "unshare is unsafe only for flags that share file descriptors")]
    // SAFETY: the thread was made for one build and shares no working directory with others
    // afterwards; memory and file descriptors stay shared.
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS)?;
    }
    // The thread's own now, like its mounts. Directories of images must let users of images pass.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    if is_rootless() {
        // No control group is ours to use; a runtime that sees none does not ask for any.
        let (place, flags) = ("/sys/fs/cgroup", MountFlags::RDONLY | MountFlags::NOSUID);
        return match rustix::mount::mount("tmpfs", place, "tmpfs", flags, None) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            mounted => Ok(mounted?),
        };
    }
    // crun refuses machines that have both hierarchies of control groups at once.
    match rustix::mount::unmount("/sys/fs/cgroup/unified", UnmountFlags::DETACH) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a directory that stands for no layer: root of the image owns it.
pub(crate) fn make_empty(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(path)?;
    chown_at(rustix::fs::CWD, path.as_os_str(), first_owner(), first_owner())
}

/// A tree made of layers, the lowest first, and perhaps a directory that takes the changes.
#[derive(Debug)]
pub(crate) struct Overlay {
    mount: OwnedFd,
    target: Option<PathBuf>,
}

impl Overlay {
    /// Stacks layers, to be read only. It is mounted nowhere: it lives as long as the value.
    pub(crate) fn read_only(layers: &[PathBuf], empty: &Path) -> io::Result<Self> {
        match layers {
            [] => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let mount = rustix::fs::open(empty, flags, Mode::empty())?;
                Ok(Self { mount, target: None })
            }
            // The system wants two; an empty one below changes nothing.
            [only] => Self::stack(&[empty.to_owned(), only.clone()], None),
            layers => Self::stack(layers, None),
        }
    }

    /// Stacks layers below a new directory under `dir`, in which the changes are collected.
    pub(crate) fn writable(layers: &[PathBuf], empty: &Path, dir: &Path) -> io::Result<Self> {
        let empty_below = [empty.to_owned()];
        let layers = if layers.is_empty() { &empty_below } else { layers };
        for name in ["upper", "work"] {
            let path = dir.join(name);
            fs::DirBuilder::new().mode(0o755).create(&path)?;
            chown_at(rustix::fs::CWD, path.as_os_str(), first_owner(), first_owner())?;
        }
        let mut overlay = Self::stack(layers, Some(dir))?;
        let target = dir.join("root");
        fs::DirBuilder::new().mode(0o755).create(&target)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&overlay.mount, "", rustix::fs::CWD, &target, flags)?;
        overlay.target = Some(target);
        Ok(overlay)
    }

    fn stack(layers: &[PathBuf], writable: Option<&Path>) -> io::Result<Self> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = context.as_fd();
        let set = |key: &str, value: &Path| {
            rustix::mount::fsconfig_set_string(context, key, value)
                .map_err(|e| io::Error::other(format!("overlay {key}={}: {e}", value.display())))
        };
        for layer in layers.iter().rev() {
            set("lowerdir+", layer)?;
        }
        if let Some(dir) = writable {
            set("upperdir", &dir.join("upper"))?;
            set("workdir", &dir.join("work"))?;
            // Nobody needs the changes after a crash of the machine.
            rustix::mount::fsconfig_set_flag(context, "volatile")?;
        }
        // A layer must hold whole files and directories, as other machines unpack it.
        set("index", Path::new("off"))?;
        if is_rootless() {
            // It forbids the other two by itself.
            rustix::mount::fsconfig_set_flag(context, "userxattr")?;
        } else {
            set("redirect_dir", Path::new("nofollow"))?;
            set("metacopy", Path::new("off"))?;
        }
        rustix::mount::fsconfig_create(context)
            .map_err(|e| io::Error::other(format!("overlay: {e}")))?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
        let mount = rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Self { mount, target: None })
    }

    /// The tree's directory.
    pub(crate) fn fd(&self) -> io::Result<OwnedFd> {
        self.mount.try_clone()
    }

    /// Where a writable one is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.target.as_deref().unwrap_or(Path::new("/nonexistent"))
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if let Some(target) = &self.target
            && let Err(error) = rustix::mount::unmount(target, UnmountFlags::DETACH)
        {
            tracing::warn!(target = %target.display(), %error, "cannot unmount");
        }
    }
}
