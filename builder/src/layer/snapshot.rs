//! The files that a command changed, read from the upper directory of its overlay.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Stat, Timespec, Timestamps};

use super::entry::{Content, Entry, FileSource, Xattrs};
use super::pack::LayerTar;
use super::{LatestTime, MAX_LAYER_ENTRIES};
use crate::cancel::Cancel;
use crate::owners::{first_owner, is_rootless, owners_count};
use crate::root::{Root, kind};

/// Attributes of overlayfs, which are its own and not the image's.
const OVERLAY: &[u8] = b"user.overlay.";
/// The attribute with a program's rights.
pub(crate) const CAPABILITY: &str = "security.capability";
/// Longest attribute that Linux keeps, in bytes.
const MAX_XATTR_BYTES: usize = 64 * 1024;
/// How much is shown of a path that is too long, in characters.
const MAX_SHOWN: usize = 100;
/// Depth of directories that is followed; deeper ones cannot be named by a path.
const MAX_DEPTH: usize = 2048;

/// Makes an upper directory what a machine has that unpacks its layer: the next command finds the
/// times that the layer tells. Tells whether a layer can hold all that is there.
pub(crate) fn settle(upper: &Root, latest: LatestTime, cancel: &Cancel) -> io::Result<bool> {
    let mut is_whole = true;
    let mut open = vec![(PathBuf::new(), 0)];
    let mut bounds = Bounds::default();
    while let Some((dir, depth)) = open.pop() {
        bounds.enter(&dir, depth)?;
        for name in upper.names(&dir).map_err(|error| with_path(&dir, error))? {
            let path = dir.join(&name);
            let found = upper.stat(&path).map_err(|error| with_path(&path, error))?;
            let Some(stat) = found else { continue };
            bounds.count()?;
            cancel.heard()?;
            if is_whiteout(&stat) {
                continue;
            }
            if !fits(kind(&stat)) {
                tracing::debug!(path = %path.display(), "left out of the layer");
                is_whole = false;
                continue;
            }
            let timed = set_time(upper, &path, &stat, clamped(stat.st_mtime, latest));
            timed.map_err(|error| with_path(&path, error))?;
            if kind(&stat) == FileType::Directory {
                open.push((path, depth + 1));
            }
        }
    }
    Ok(is_whole)
}

/// A path that the system does not take is the author's fault, and is shown as far as it helps.
fn with_path(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::InvalidFilename {
        return error;
    }
    let shown: String = path.display().to_string().chars().take(MAX_SHOWN).collect();
    let length = path.as_os_str().len();
    io::Error::other(format!("/{shown}… is a path of {length} bytes, which no layer can have"))
}

fn set_time(upper: &Root, path: &Path, stat: &Stat, mtime: i64) -> io::Result<()> {
    if mtime == stat.st_mtime && stat.st_mtime_nsec == 0 {
        return Ok(());
    }
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    let at = upper.proc_path(path);
    Ok(rustix::fs::utimensat(rustix::fs::CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// How overlayfs notes that something is gone.
fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// No layer holds sockets, nor devices, which no sandbox can make.
fn fits(kind: FileType) -> bool {
    use FileType::{Directory, Fifo, RegularFile, Symlink};
    matches!(kind, Directory | Fifo | RegularFile | Symlink)
}

/// How much of an upper directory is followed.
#[derive(Default)]
struct Bounds {
    entries: u64,
}

impl Bounds {
    fn enter(&self, dir: &Path, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other(format!("{} lies too deep", dir.display())));
        }
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.entries += 1;
        if self.entries > MAX_LAYER_ENTRIES {
            return Err(io::Error::other(format!("more than {MAX_LAYER_ENTRIES} files")));
        }
        Ok(())
    }
}

/// Writes all that stands in a settled upper directory into a layer, as far as it can hold it.
pub(crate) fn snapshot(
    upper: &Arc<Root>,
    latest: LatestTime,
    tar: &mut LayerTar,
) -> io::Result<()> {
    let (links, bounds) = (HashMap::new(), Bounds::default());
    Snapshot { upper, latest, tar, links, bounds }.directory(Path::new(""), 0)
}

struct Snapshot<'a> {
    upper: &'a Arc<Root>,
    latest: LatestTime,
    tar: &'a mut LayerTar,
    /// By inode: the first path of each file that has several.
    links: HashMap<u64, PathBuf>,
    bounds: Bounds,
}

impl Snapshot<'_> {
    fn directory(&mut self, dir: &Path, depth: usize) -> io::Result<()> {
        self.bounds.enter(dir, depth)?;
        for name in self.upper.names(dir)? {
            let path = dir.join(&name);
            let Some(stat) = self.upper.stat(&path)? else { continue };
            self.bounds.count()?;
            self.one(dir, &name, path, &stat, depth)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        dir: &Path,
        name: &OsStr,
        path: PathBuf,
        stat: &Stat,
        depth: usize,
    ) -> io::Result<()> {
        let mtime = clamped(stat.st_mtime, self.latest);
        if is_whiteout(stat) {
            let marker = [b".wh.", name.as_bytes()].concat();
            return self.tar.append_marker(joined(dir, &marker).as_slice(), mtime);
        }
        let Some(content) = self.content(&path, stat)? else { return Ok(()) };
        let is_dir = matches!(content, Content::Directory);
        let entry = Entry {
            mode: stat.st_mode & 0o7777,
            uid: unshifted(stat.st_uid, &path)?,
            gid: unshifted(stat.st_gid, &path)?,
            mtime,
            xattrs: read_xattrs(self.upper, &path)?,
            content,
            path,
        };
        self.tar.append(&entry)?;
        if is_dir {
            if is_opaque(self.upper, &entry.path)? {
                self.tar.append_marker(&joined(&entry.path, b".wh..wh..opq"), mtime)?;
            }
            self.directory(&entry.path, depth + 1)?;
        }
        Ok(())
    }

    /// `None` for what no layer can hold.
    fn content(&mut self, path: &Path, stat: &Stat) -> io::Result<Option<Content>> {
        Ok(Some(match kind(stat) {
            FileType::Directory => Content::Directory,
            FileType::Symlink => Content::Symlink(self.upper.link(path)?),
            FileType::Fifo => Content::Fifo,
            FileType::RegularFile => {
                if stat.st_nlink > 1 {
                    if let Some(first) = self.links.get(&stat.st_ino) {
                        return Ok(Some(Content::Hardlink(first.clone())));
                    }
                    self.links.insert(stat.st_ino, path.to_owned());
                }
                let source = FileSource::Tree(Arc::clone(self.upper), path.to_owned());
                Content::File { size: u64::try_from(stat.st_size).unwrap_or(0), source }
            }
            _ => return Ok(None),
        }))
    }
}

/// The attribute by which overlayfs hides all that is below a directory.
pub(crate) fn opaque_attribute() -> &'static str {
    if is_rootless() { "user.overlay.opaque" } else { "trusted.overlay.opaque" }
}

/// A time that is no later than the build allows.
pub(crate) fn clamped(mtime: i64, latest: LatestTime) -> i64 {
    latest.map_or(mtime, |latest| mtime.min(latest))
}

/// The owner in the image of a file in the store.
pub(crate) fn unshifted(owner: u32, path: &Path) -> io::Result<u32> {
    owner.checked_sub(first_owner()).filter(|&owner| owner < owners_count()).ok_or_else(|| {
        io::Error::other(format!("{} belongs to {owner}, who is not of the image", path.display()))
    })
}

fn joined(dir: &Path, name: &[u8]) -> Vec<u8> {
    dir.join(OsStr::from_bytes(name)).into_os_string().as_bytes().to_vec()
}

pub(super) fn is_opaque(root: &Root, path: &Path) -> io::Result<bool> {
    Ok(attribute(root, path, opaque_attribute().as_bytes())?.is_some_and(|value| value == b"y"))
}

fn attribute(root: &Root, path: &Path, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut value = Vec::with_capacity(MAX_XATTR_BYTES);
    let at = root.proc_path(path);
    match rustix::fs::lgetxattr(at, name, rustix::buffer::spare_capacity(&mut value)) {
        Ok(_) => Ok(Some(value)),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether an attribute belongs to an image, and not to the machine that it is on.
pub(crate) fn is_of_image(name: &[u8]) -> bool {
    let is_users = name.starts_with(b"user.") && !name.starts_with(OVERLAY);
    is_users || name == CAPABILITY.as_bytes()
}

/// The attributes of a file in the store that belong into a layer, sorted.
pub(crate) fn read_xattrs(root: &Root, path: &Path) -> io::Result<Xattrs> {
    let at = root.proc_path(path);
    let length = match rustix::fs::llistxattr_query(&at) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP) => return Ok(Xattrs::new()),
        length => length?,
    };
    let mut names: Vec<u8> = Vec::with_capacity(length);
    rustix::fs::llistxattr(&at, rustix::buffer::spare_capacity(&mut names))?;
    let mut xattrs = Xattrs::new();
    for name in names.split(|&byte| byte == 0).filter(|name| is_of_image(name)) {
        if let Some(value) = attribute(root, path, name)? {
            let is_capability = name == CAPABILITY.as_bytes();
            let value = if is_capability { capability_of_image(&value) } else { value };
            xattrs.push((name.to_vec(), value));
        }
    }
    xattrs.sort();
    Ok(xattrs)
}

/// Length of the attribute's second version, and of the third, which adds whose rights they are.
const CAPABILITY_BYTES: (usize, usize) = (20, 24);
/// The version in the attribute's first word, its highest byte.
const VERSION_2: u8 = 2;
const VERSION_3: u8 = 3;

/// Rights that hold for the image's root on this machine become those of root anywhere.
fn capability_of_image(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() == CAPABILITY_BYTES.1 && value[3] == VERSION_3 {
        value.truncate(CAPABILITY_BYTES.0);
        value[3] = VERSION_2;
    }
    value
}

/// Rights of root anywhere become those of the image's root on this machine.
pub(crate) fn capability_of_store(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() == CAPABILITY_BYTES.0 && value[3] == VERSION_2 {
        value[3] = VERSION_3;
        value.extend_from_slice(&first_owner().to_le_bytes());
    }
    value
}

#[cfg(test)]
mod tests {
    use rustix::fs::{Mode, OFlags};

    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_shown_and_its_authors_fault() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(255);
        let mut at = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..20 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let error = settle(&Root::open(dir.path()).unwrap(), None, &Cancel::default()).unwrap_err();
        assert_eq!(error.raw_os_error(), None, "{error}");
        let told = error.to_string();
        assert!(told.starts_with("/ddd") && told.contains(" is a path of 40"), "{told}");
    }
}
