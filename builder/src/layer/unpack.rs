//! From a tar archive to files in the store. Every name is hostile.

mod meta;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use tar::EntryType;
use workflows::image::Digest;

use self::meta::Meta;
use super::ahead::read_ahead;
use super::decompress::decompressed;
use super::entry::Entry;
use super::guard::Guard;
use super::snapshot::opaque_attribute;
use super::{MAX_LAYER_BYTES, MAX_LAYER_ENTRIES};
use crate::digest::HashingReader;
use crate::owners::{first_owner, is_too_high};
use crate::root::{Root, chown_at};

/// What a whiteout's name begins with.
const WHITEOUT: &[u8] = b".wh.";
/// The marker that hides all that lower layers have in a directory.
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
/// What stays free on the disk for others, in bytes, whatever an archive unpacks to.
const MIN_FREE_BYTES: u64 = 1 << 30;
/// After how many bytes somebody looks how full the disk is.
const LOOK_EVERY_BYTES: u64 = 64 << 20;

/// Unpacks a layer's blob into an empty directory and tells the digest and length of its tar.
pub(crate) fn unpack_layer(blob: File, dir: &Path) -> io::Result<(Digest, u64)> {
    let plain = decompressed(blob)?;
    let hashing = HashingReader::new(plain, MAX_LAYER_BYTES);
    let unpack = Unpack::into(dir, true, MAX_LAYER_BYTES)?;
    read_ahead(hashing, |plain| unpack.archive(plain).map(drop))?.finish()
}

/// What an archive says that the directory does not show into which it was unpacked.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// The directories that have entries of their own; others are above what has one.
    pub(crate) directories: BTreeSet<PathBuf>,
    /// Device nodes, which must not stand in a directory of this machine, by the directory that
    /// they belong in.
    pub(crate) devices: BTreeMap<PathBuf, Vec<Entry>>,
}

/// Unpacks an archive that ADD names, whiteouts being names as any other. Neither the archive nor
/// its files may have more than `max_bytes`.
pub(crate) fn unpack_archive(archive: File, dir: &Path, max_bytes: u64) -> io::Result<Unpacked> {
    unpack_plain(decompressed(archive)?, dir, max_bytes)
}

/// Unpacks a tar archive that is not compressed, as [`unpack_archive`] does.
pub(crate) fn unpack_plain(plain: impl Read, dir: &Path, max_bytes: u64) -> io::Result<Unpacked> {
    Unpack::into(dir, false, max_bytes)?.archive(&mut HashingReader::new(plain, max_bytes))
}

struct Unpack {
    root: Root,
    whiteouts: bool,
    /// Their times are set at the end, when nothing is put into them any more.
    directories: Vec<(PathBuf, i64)>,
    /// The devices of an archive that ADD names.
    devices: BTreeMap<PathBuf, Entry>,
    /// Entries of a directory stand together, hence its handle is kept.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Bytes that files may still have: the holes of a sparse one stand in no archive.
    left: u64,
    /// Bytes since somebody looked how full the disk is.
    unseen: u64,
}

impl Unpack {
    fn into(dir: &Path, whiteouts: bool, left: u64) -> io::Result<Self> {
        chown_at(rustix::fs::CWD, dir.as_os_str(), first_owner(), first_owner())?;
        rustix::fs::chmod(dir, Mode::from_raw_mode(0o755))?;
        let (root, directories, devices) = (Root::open(dir)?, Vec::new(), BTreeMap::new());
        Ok(Self { root, whiteouts, directories, devices, parent: None, left, unseen: 0 })
    }

    fn archive(mut self, plain: &mut impl Read) -> io::Result<Unpacked> {
        let mut archive = tar::Archive::new(Guard::new(plain));
        for (count, entry) in archive.entries()?.enumerate() {
            if count as u64 >= MAX_LAYER_ENTRIES {
                return Err(io::Error::other(format!("more than {MAX_LAYER_ENTRIES} files")));
            }
            let mut entry = entry?;
            let path = relative(&entry.path_bytes())?;
            self.entry(&path, &mut entry).map_err(|error| match is_too_high(&error) {
                true => error,
                false => io::Error::new(error.kind(), format!("{}: {error}", path.display())),
            })?;
        }
        for (path, mtime) in self.directories.iter().rev() {
            let at = self.root.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY);
            // A later entry may have put something else in its place.
            if let Ok(dir) = at {
                rustix::fs::futimens(dir, &times(*mtime))?;
            }
        }
        // By where they are, which may be another place than their name: a link may lead there.
        let mut directories = BTreeSet::new();
        for (path, _) in self.directories {
            directories.insert(self.root.find(&path)?.path);
        }
        let mut devices: BTreeMap<PathBuf, Vec<Entry>> = BTreeMap::new();
        for (path, device) in self.devices {
            let dir = self.root.find(path.parent().unwrap_or(Path::new("")))?.path;
            devices.entry(dir).or_default().push(device);
        }
        Ok(Unpacked { directories, devices })
    }

    fn entry(&mut self, path: &Path, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        let meta = Meta::of(path, entry)?;
        let Some(name) = path.file_name() else {
            let root = self.root.open_at(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY)?;
            return meta.put_on_open(&root);
        };
        let parent = self.open_parent(path)?;
        if self.whiteouts && name.as_bytes().starts_with(WHITEOUT) {
            self.parent = Some((path.parent().unwrap_or(path).to_owned(), parent));
            return self.whiteout(name);
        }
        let kind = entry.header().entry_type();
        self.devices.remove(path);
        match kind {
            EntryType::Directory => {
                match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                    Err(rustix::io::Errno::EXIST) if is_dir(&parent, name)? => {}
                    Err(rustix::io::Errno::EXIST) => {
                        rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                    }
                    made => made?,
                }
                let dir = open_in(&parent, name, OFlags::RDONLY | OFlags::DIRECTORY)?;
                meta.put_on_open(&dir)?;
                self.directories.push((path.to_owned(), meta.mtime));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.take_room(entry.size())?;
                remove(&parent, name)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let file = open_in(&parent, name, flags)?;
                let mut file = File::from(file);
                io::copy(entry, &mut file)?;
                meta.put_on_open(&file)?;
                rustix::fs::futimens(&file, &times(meta.mtime))?;
            }
            EntryType::Symlink => {
                remove(&parent, name)?;
                let target = link_of(entry)?;
                rustix::fs::symlinkat(OsStr::from_bytes(&target), &parent, name)?;
                meta.put_on_name(&parent, name)?;
            }
            EntryType::Link => {
                let target = relative(&link_of(entry)?)?;
                remove(&parent, name)?;
                let from = self.root.open_at(target.parent().unwrap_or(&target), OFlags::PATH)?;
                let from_name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                rustix::fs::linkat(&from, from_name, &parent, name, AtFlags::empty())?;
            }
            EntryType::Fifo => {
                remove(&parent, name)?;
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(&parent, name, kind, Mode::from_raw_mode(0o600), 0)?;
                meta.put_on_name(&parent, name)?;
                rustix::fs::chmodat(
                    &parent,
                    name,
                    Mode::from_raw_mode(meta.mode),
                    AtFlags::empty(),
                )?;
            }
            EntryType::Char | EntryType::Block if !self.whiteouts => {
                remove(&parent, name)?;
                let device = meta.device(path, entry.header())?;
                self.devices.insert(path.to_owned(), device);
            }
            // A device of the host must not stand in a directory of the host; the sandbox has
            // its own /dev, and the image keeps the layer's blob as it is.
            other => tracing::debug!(path = %path.display(), ?other, "not unpacked"),
        }
        self.parent = Some((path.parent().unwrap_or(path).to_owned(), parent));
        Ok(())
    }

    /// Counts what a file will have, before it is written.
    fn take_room(&mut self, bytes: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(too_large)?;
        self.unseen += bytes;
        if self.unseen >= LOOK_EVERY_BYTES {
            self.unseen = 0;
            let root = self.root.open_at(Path::new(""), OFlags::PATH | OFlags::DIRECTORY)?;
            let disk = rustix::fs::fstatvfs(root)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes.saturating_add(MIN_FREE_BYTES) {
                return Err(rustix::io::Errno::NOSPC.into());
            }
        }
        Ok(())
    }

    fn open_parent(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let parent = path.parent().unwrap_or(Path::new(""));
        match self.parent.take() {
            Some((known, dir)) if known == parent => Ok(dir),
            _ => self.root.make_dir(parent, first_owner()),
        }
    }

    fn whiteout(&self, name: &OsStr) -> io::Result<()> {
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        let bytes = name.as_bytes();
        if bytes == OPAQUE_MARKER {
            return Ok(rustix::fs::fsetxattr(
                parent,
                opaque_attribute(),
                b"y",
                XattrFlags::empty(),
            )?);
        }
        let hidden = OsStr::from_bytes(&bytes[WHITEOUT.len()..]);
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(io::Error::other("a whiteout of nothing"));
        }
        remove(parent, hidden)?;
        let kind = rustix::fs::FileType::CharacterDevice;
        Ok(rustix::fs::mknodat(parent, hidden, kind, Mode::empty(), 0)?)
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to more than is allowed")
}

/// A name in an archive as a path below the root; one that climbs is refused.
fn relative(name: &[u8]) -> io::Result<PathBuf> {
    let name = PathBuf::from(OsString::from_vec(name.to_vec()));
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => {
                let why = format!("the archive names {}, which leads out of it", name.display());
                return Err(io::Error::other(why));
            }
            _ => {}
        }
    }
    Ok(path)
}

fn link_of(entry: &tar::Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    let link = entry.link_name_bytes().map(|link| link.to_vec());
    link.ok_or_else(|| io::Error::other("a link that leads nowhere"))
}

fn open_in(parent: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?)
}

fn is_dir(parent: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(crate::root::kind(&stat) == rustix::fs::FileType::Directory)
}

/// Makes room for a file: an earlier one of that name goes, with all that is in it.
fn remove(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(rustix::io::Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    use std::os::fd::AsRawFd;
    let dir = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
    std::fs::remove_dir_all(dir)
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an archive of one sparse file ends with that has so many bytes of nothing.
    fn unpacked(hole: u64, max_bytes: u64) -> io::Result<u64> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_path("hole").unwrap();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize.copy_from_slice(format!("{hole:011o}\0").as_bytes());
        gnu.sparse[0].offset.copy_from_slice(format!("{hole:011o}\0").as_bytes());
        gnu.sparse[0].numbytes.copy_from_slice(b"00000000000\0");
        header.set_cksum();
        let archive = [header.as_bytes().to_vec(), vec![0; 1024]].concat();
        let dir = tempfile::tempdir().unwrap();
        unpack_plain(&archive[..], dir.path(), max_bytes)?;
        Ok(dir.path().join("hole").metadata()?.len())
    }

    /// What an archive of one file of that owner is unpacked as.
    fn owned(uid: u64, gid: u64) -> io::Result<(u32, u32)> {
        let mut header = tar::Header::new_gnu();
        header.set_path("x").unwrap();
        header.set_mode(0o644);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(0);
        header.set_size(0);
        header.set_cksum();
        let archive = [header.as_bytes().to_vec(), vec![0; 1024]].concat();
        let dir = tempfile::tempdir().unwrap();
        unpack_plain(&archive[..], dir.path(), 1 << 20)?;
        let made = std::os::unix::fs::MetadataExt::uid;
        let group = std::os::unix::fs::MetadataExt::gid;
        let metadata = dir.path().join("x").metadata()?;
        Ok((made(&metadata), group(&metadata)))
    }

    #[test]
    fn files_of_clusters_and_directories_are_unpacked() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let here = |id: u32| first_owner() + id;
        let owners = owned(1_000_650_000, 2_000_400_000).unwrap();
        assert_eq!(owners, (here(1_000_650_000), here(2_000_400_000)));
        let error = owned(4_000_000_000, 0).unwrap_err();
        assert!(is_too_high(&error), "{error}");
        assert!(error.to_string().starts_with("x: user or group 4000000000 is above"), "{error}");
    }

    #[test]
    fn the_holes_of_files_count() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        assert_eq!(unpacked(1 << 16, 1 << 20).unwrap(), 1 << 16);
        let error = unpacked(6 << 30, 1 << 20).unwrap_err();
        assert!(error.to_string().contains("more than is allowed"), "{error}");
    }

    #[test]
    fn a_compressed_bomb_stops_at_its_bound() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let mut header = tar::Header::new_gnu();
        header.set_path("zeros").unwrap();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(1 << 30);
        header.set_cksum();
        let zeros = io::repeat(0).take(1 << 30);
        let dir = tempfile::tempdir().unwrap();
        let error = unpack_plain(header.as_bytes().chain(zeros), dir.path(), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("more than is allowed"), "{error}");
        assert!(!dir.path().join("zeros").exists(), "nothing of it is written");
    }
}
