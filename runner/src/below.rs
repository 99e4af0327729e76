//! Opens what is below a directory whose files are a stranger's.
//!
//! Earlier steps may have left anything there and may still change it, so that no file is looked
//! at by its name and opened afterwards: the kernel keeps each name below the directory while it
//! opens it, no pipe or device is waited for, and what was opened says itself what it is.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// With these an open of a pipe, a device or a terminal returns at once and changes nothing.
const AT_ONCE: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Which links are followed on the way to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// None.
    Never,
    /// Those that lead to another place below the directory.
    Within,
}

/// A directory, held open.
#[derive(Debug)]
pub(crate) struct Below(OwnedFd);

impl Below {
    /// Opens the directory itself, which is ours.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(directory, flags, Mode::empty())?))
    }

    /// A plain file below it; anything else is an error, as is what leads out of the directory.
    pub(crate) fn file(&self, path: &str, links: Links) -> io::Result<File> {
        plain(File::from(self.descriptor(path.as_ref(), OFlags::empty(), links)?))
    }

    /// A directory below it, reached without a link; the empty path is the directory itself.
    pub(crate) fn directory(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        let path = path.as_ref();
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        self.descriptor(path, OFlags::DIRECTORY, Links::Never)
    }

    fn descriptor(&self, path: &Path, flags: OFlags, links: Links) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | AT_ONCE;
        let links = match links {
            Links::Never => ResolveFlags::NO_SYMLINKS,
            Links::Within => ResolveFlags::NO_MAGICLINKS,
        };
        let within = links | ResolveFlags::BENEATH;
        rustix::fs::openat2(&self.0, path, flags, Mode::empty(), within).map_err(|error| {
            match error {
                Errno::XDEV => io::Error::other("it leads out of the directory"),
                // A socket, or a device that nothing drives.
                Errno::NXIO => no_file(),
                error => error.into(),
            }
        })
    }
}

/// Opens a file that was seen to be plain, and would rather fail than follow a link or wait now.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | AT_ONCE;
    // The bits of open flags are a C int; the conversion keeps them.
    plain(File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?)
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

fn no_file() -> io::Error {
    io::Error::other("it is no file")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A pipe that nobody writes to: whoever opens it to read waits for ever.
    pub(crate) fn pipe(path: &Path) {
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }

    #[test]
    fn only_a_plain_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let below = Below::open(dir.path()).unwrap();
        std::fs::write(at("file"), "x").unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        pipe(&at("pipe"));
        symlink("pipe", at("link")).unwrap();
        assert!(below.file("file", Links::Never).is_ok() && open_plain(&at("file")).is_ok());
        for bad in ["directory", "socket", "pipe", "link"] {
            let error = below.file(bad, Links::Within).unwrap_err();
            assert_eq!(error.to_string(), "it is no file", "{bad}");
            assert!(open_plain(&at(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_link_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("in");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        std::fs::write(dir.path().join("out"), "x").unwrap();
        symlink("../a/file", root.join("a/near")).unwrap();
        symlink("../out", root.join("far")).unwrap();
        symlink("a", root.join("link")).unwrap();
        let below = Below::open(&root).unwrap();
        assert!(below.file("a/near", Links::Within).is_ok());
        assert!(below.file("a/near", Links::Never).is_err());
        for bad in ["far", "../out", "/etc/passwd"] {
            let error = below.file(bad, Links::Within).unwrap_err();
            assert_eq!(error.to_string(), "it leads out of the directory", "{bad}");
        }
        assert!(below.directory("").is_ok() && below.directory("a/b").is_ok());
        assert!(below.directory("link").is_err() && below.directory("..").is_err());
    }
}
