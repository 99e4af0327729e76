//! A network namespace that no process is in yet.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::netlink;

/// A namespace with its loopback up; gone with the value and the last process in it.
#[derive(Debug)]
pub(super) struct Namespace {
    handle: OwnedFd,
    sys: PathBuf,
}

/// Proof that the calling thread is inside of the namespace.
#[derive(Debug)]
pub(super) struct Inside(());

impl Inside {
    /// Gives the loopback another address.
    pub(super) fn add_address(&self, address: std::net::IpAddr) -> io::Result<()> {
        netlink::add_address(address)
    }
}

impl Namespace {
    /// Makes a namespace and has `prepare` open its sockets there: they stay in it wherever they
    /// are used. What tells about its devices is mounted below `dir`.
    pub(super) fn make<T: Send>(
        dir: &Path,
        prepare: impl FnOnce(&Inside) -> io::Result<T> + Send,
    ) -> io::Result<(Self, T)> {
        let sys = dir.join("sys");
        fs::create_dir(&sys)?;
        // A thread of its own, which ends inside of the namespace; all others stay where they are.
        let made = std::thread::scope(|scope| scope.spawn(|| inside(prepare)).join());
        let ended = |_| Err(io::Error::other("the thread that makes a network broke"));
        let (handle, mount, prepared) = made.unwrap_or_else(ended)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&mount, "", rustix::fs::CWD, &sys, flags)?;
        Ok((Self { handle, sys }, prepared))
    }

    /// Has `prepare` open its sockets in a namespace that somebody else made.
    pub(super) fn within<T: Send>(
        namespace: BorrowedFd<'_>,
        prepare: impl FnOnce(&Inside) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let enter = || {
            let kind = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace, kind)?;
            netlink::loopback_up()?;
            prepare(&Inside(()))
        };
        // A thread of its own, as above.
        let done = std::thread::scope(|scope| scope.spawn(enter).join());
        done.unwrap_or_else(|_| Err(io::Error::other("the thread that enters a network broke")))
    }

    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd()).into()
    }

    pub(super) fn sys(&self) -> &Path {
        &self.sys
    }
}

fn inside<T>(prepare: impl FnOnce(&Inside) -> io::Result<T>) -> io::Result<(OwnedFd, OwnedFd, T)> {
    #[expect(unsafe_code, reason = "unshare is unsafe only for flags that share file descriptors")]
    // SAFETY: a namespace of the network concerns sockets that are made from here on, by this
    // thread alone.
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWNET)?;
    }
    netlink::loopback_up()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let handle = rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty())?;
    let context = rustix::mount::fsopen("sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let prepared = prepare(&Inside(()))?;
    Ok((handle, mount, prepared))
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = rustix::mount::unmount(&self.sys, UnmountFlags::DETACH) {
            tracing::warn!(target = %self.sys.display(), %error, "cannot unmount");
        }
    }
}
