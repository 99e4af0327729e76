//! A directory tree that no name in it leads out of: an image's files, or a build's context.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};

/// Symbolic links that are followed on one path, as Linux bounds it.
const MAX_LINKS: u32 = 40;
/// Longest path, as Linux bounds it.
const MAX_PATH_BYTES: usize = 4096;
/// How names are looked up: links lead to the tree's own root, never out of it.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// The tree, held open.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// Where a path leads in a tree.
#[derive(Debug)]
pub(crate) struct Found {
    /// Without links, relative to the root. What does not exist yet is kept as written.
    pub(crate) path: PathBuf,
    /// `None` when nothing is there.
    pub(crate) stat: Option<Stat>,
}

impl Found {
    pub(crate) fn is_dir(&self) -> bool {
        self.stat.as_ref().is_some_and(|stat| kind(stat) == FileType::Directory)
    }
}

/// What a file is.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    pub(crate) fn of_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Opens what a path names; a link at its end is followed unless `flags` says otherwise.
    pub(crate) fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = flags | OFlags::CLOEXEC;
        Ok(rustix::fs::openat2(&self.0, path, flags, Mode::empty(), INSIDE)?)
    }

    /// What stands at a path, without following a link there.
    pub(crate) fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => Ok(Some(rustix::fs::fstat(fd)?)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What stands at a path, when all above it are directories and not links to such.
    pub(crate) fn kind_without_links(&self, path: &Path) -> io::Result<Option<FileType>> {
        let mut at = PathBuf::new();
        for part in path.parent().unwrap_or(Path::new("")) {
            at.push(part);
            if self.stat(&at)?.as_ref().map(kind) != Some(FileType::Directory) {
                return Ok(None);
            }
        }
        Ok(self.stat(path)?.as_ref().map(kind))
    }

    /// A plain file for reading; never a link, a device or a pipe, which could block.
    pub(crate) fn open_plain(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_at(path, flags)?;
        if kind(&rustix::fs::fstat(&file)?) != FileType::RegularFile {
            return Err(io::Error::other(format!("{} is no plain file", path.display())));
        }
        Ok(File::from(file))
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(&self, path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        let dir = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(std::ffi::OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Where a link leads, as written.
    pub(crate) fn link(&self, path: &Path) -> io::Result<PathBuf> {
        let fd = self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(fd, "", Vec::new())?;
        Ok(std::ffi::OsStr::from_bytes(target.as_bytes()).into())
    }

    /// A path that the system resolves to the same file, for calls that take no descriptor.
    /// `path` is one that [`Self::find`] told.
    pub(crate) fn proc_path(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(path)
    }

    /// Follows every link of a path inside the tree, the last one as well.
    pub(crate) fn find(&self, path: &Path) -> io::Result<Found> {
        let mut left: Vec<PathBuf> = parts(path);
        let (mut path, mut stat) = (PathBuf::new(), Some(rustix::fs::fstat(&self.0)?));
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part.as_os_str() == ".." {
                path.pop();
                stat = self.stat(&path)?;
                continue;
            }
            let next = path.join(&part);
            if next.as_os_str().len() > MAX_PATH_BYTES {
                return Err(io::ErrorKind::InvalidFilename.into());
            }
            stat = self.stat(&next)?;
            match stat.as_ref().map(kind) {
                Some(FileType::Symlink) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::other(format!(
                            "{} leads through more than {MAX_LINKS} links",
                            next.display()
                        )));
                    }
                    let target = self.link(&next)?;
                    if target.is_absolute() {
                        path = PathBuf::new();
                    }
                    stat = self.stat(&path)?;
                    left.extend(parts(&target));
                }
                _ => path = next,
            }
        }
        Ok(Found { path, stat })
    }

    /// A small text of the image, links followed; `None` when it is not there.
    pub(crate) fn read_small(&self, path: &Path, max: u64) -> io::Result<Option<String>> {
        let found = self.find(path)?;
        if found.stat.as_ref().map(kind) != Some(FileType::RegularFile) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.open_plain(&found.path)?.take(max).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Opens a directory for reading, making what is missing of it, as root of the image.
    pub(crate) fn make_dir(&self, path: &Path, owner: u32) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self.open_at(path, flags) {
            Err(error) if is_absent(&error) => {}
            opened => return opened,
        }
        let found = self.find(path)?;
        let mut made = PathBuf::new();
        for part in found.path.components() {
            let parent = self.open_at(&made, OFlags::PATH | OFlags::NOFOLLOW)?;
            made.push(part);
            let name = part.as_os_str();
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Err(rustix::io::Errno::EXIST) => {}
                made => {
                    made?;
                    chown_at(&parent, name, owner, owner)?;
                }
            }
        }
        self.open_at(&found.path, flags)
    }
}

/// Sets owner and group of a name in a directory, not following a link.
pub(crate) fn chown_at(
    dir: impl AsFd,
    name: &std::ffi::OsStr,
    uid: u32,
    gid: u32,
) -> io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags)?)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<PathBuf> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_never_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("usr/bin")).unwrap();
        std::fs::write(at("usr/bin/x"), "x").unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        symlink("/bin/x", at("absolute")).unwrap();
        symlink("../../../../etc", at("usr/out")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let found = |path: &str| {
            let found = root.find(Path::new(path)).unwrap();
            (found.path.to_str().unwrap().to_owned(), found.stat.is_some())
        };
        assert_eq!(found("/bin/x"), ("usr/bin/x".to_owned(), true));
        assert_eq!(found("absolute"), ("usr/bin/x".to_owned(), true));
        assert_eq!(found("../../bin/../bin/x"), ("usr/bin/x".to_owned(), true));
        assert_eq!(found("usr/out/passwd"), ("etc/passwd".to_owned(), false));
        assert_eq!(found("bin/new/y"), ("usr/bin/new/y".to_owned(), false));
        assert_eq!(found("/"), (String::new(), true));
        assert!(root.find(Path::new("loop")).is_err());
        assert!(root.open_plain(Path::new("absolute")).is_err());
        assert!(root.open_plain(Path::new("usr")).is_err());
    }
}
