//! One file of a layer.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::root::Root;

/// Extended attributes by name.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A file, directory or the like as it will stand in the layer.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Relative to the image's root, without a slash at either end.
    pub(crate) path: PathBuf,
    /// Permissions with setuid, setgid and sticky bits.
    pub(crate) mode: u32,
    /// Owner in the image.
    pub(crate) uid: u32,
    /// Group in the image.
    pub(crate) gid: u32,
    /// Time of the last change, in seconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) xattrs: Xattrs,
    pub(crate) content: Content,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Directory,
    File {
        size: u64,
        source: FileSource,
    },
    Symlink(PathBuf),
    /// The same file as an earlier entry.
    Hardlink(PathBuf),
    Fifo,
    /// A device node, which is a header and needs none on this machine.
    Device(Device),
}

/// What a device node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// Whether it has blocks, as disks do.
    pub(crate) is_block: bool,
    /// Its driver.
    pub(crate) major: u32,
    /// Which of the driver's.
    pub(crate) minor: u32,
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum FileSource {
    /// In a tree, at that path.
    Tree(Arc<Root>, PathBuf),
    /// In memory.
    Inline(Arc<[u8]>),
}

/// An open [`FileSource`].
pub(crate) enum OpenFile<'a> {
    File(File),
    Inline(&'a [u8]),
}

impl FileSource {
    pub(crate) fn open(&self) -> io::Result<OpenFile<'_>> {
        match self {
            Self::Tree(root, path) => Ok(OpenFile::File(root.open_plain(path)?)),
            Self::Inline(bytes) => Ok(OpenFile::Inline(bytes)),
        }
    }
}

impl io::Read for OpenFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Inline(bytes) => bytes.read(buffer),
        }
    }
}

impl Entry {
    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.content, Content::Directory)
    }

    /// How many bytes of its own it brings into a layer, holes included.
    pub(crate) fn bytes(&self) -> u64 {
        match self.content {
            Content::File { size, .. } => size,
            _ => 0,
        }
    }

    /// A directory that nobody described: as `mkdir -p` makes it for root.
    pub(crate) fn directory(path: &Path, mtime: i64) -> Self {
        Self {
            path: path.to_owned(),
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: Xattrs::new(),
            content: Content::Directory,
        }
    }
}
