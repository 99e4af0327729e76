//! Writes the archives that the engine unpacks: owner, mode and time are set, never inherited.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

/// Mode of directories that nobody gave one.
pub(crate) const DIRECTORY_MODE: u32 = 0o755;
/// Bits of a mode that are kept; the kind of the file is told otherwise.
const MODE_BITS: u32 = 0o7777;

/// What every entry of an archive gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Owner.
    pub(crate) uid: u64,
    /// Group.
    pub(crate) gid: u64,
    /// Mode of files and directories in the place of their own.
    pub(crate) mode: Option<u32>,
    /// Time of change, in seconds since the epoch.
    pub(crate) mtime: u64,
}

/// An archive in the making.
pub(crate) struct Tarball<W: Write> {
    builder: tar::Builder<W>,
    stamp: Stamp,
}

impl<W: Write> Tarball<W> {
    /// Begins an archive.
    pub(crate) fn new(out: W, stamp: Stamp) -> Self {
        Self { builder: tar::Builder::new(out), stamp }
    }

    /// Adds a directory; `path` is absolute or relative to the root.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, mode, 0);
        self.builder.append_data(&mut header, format!("{}/", relative(path)), io::empty())
    }

    /// Adds a file of exactly `size` bytes.
    pub(crate) fn file(
        &mut self,
        path: &str,
        mode: u32,
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, mode, size);
        let mut content = Exactly { content, left: size };
        self.builder.append_data(&mut header, relative(path), &mut content)
    }

    /// Adds a symbolic link; its target stays as it is.
    pub(crate) fn symlink(&mut self, path: &str, target: &std::path::Path) -> io::Result<()> {
        let mut header = self.header(EntryType::Symlink, 0o777, 0);
        self.builder.append_link(&mut header, relative(path), target)
    }

    /// Adds an entry of another archive under a new path, with the link that it now has.
    pub(crate) fn transplant(
        &mut self,
        mut header: Header,
        path: &str,
        link: Option<&str>,
        content: impl Read,
    ) -> io::Result<()> {
        match link {
            Some(link) => self.builder.append_link(&mut header, relative(path), link),
            None => self.builder.append_data(&mut header, relative(path), content),
        }
    }

    /// Extended attributes of the entry that is added next.
    pub(crate) fn attributes(&mut self, attributes: &[(String, Vec<u8>)]) -> io::Result<()> {
        if attributes.is_empty() {
            return Ok(());
        }
        let pairs = attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        self.builder.append_pax_extensions(pairs)
    }

    /// Ends the archive and gives back what it was written to.
    pub(crate) fn finish(self) -> io::Result<W> {
        self.builder.into_inner()
    }

    fn header(&self, kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(self.stamp.mode.unwrap_or(mode) & MODE_BITS);
        header.set_uid(self.stamp.uid);
        header.set_gid(self.stamp.gid);
        header.set_mtime(self.stamp.mtime);
        header.set_size(size);
        header
    }
}

/// A path as archives hold it.
fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// Reads as many bytes as were announced; a file that shrank meanwhile is an error, and what
/// it grew by is left out.
struct Exactly<R> {
    content: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        match self.content.read(&mut buffer[..room])? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "file shrank while it was read")),
            length => {
                self.left -= length as u64;
                Ok(length)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { uid: 0, gid: 0, mode: None, mtime: 42 };

    #[test]
    fn entries_get_the_stamp_and_paths_without_root() {
        let mut tarball = Tarball::new(Vec::new(), STAMP);
        tarball.directory("/a", DIRECTORY_MODE).unwrap();
        tarball.file("/a/b", 0o100_644, 2, &b"hi and more"[..]).unwrap();
        let bytes = tarball.finish().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().to_string_lossy().into_owned();
                (path, header.mode().unwrap(), header.mtime().unwrap(), header.uid().unwrap())
            })
            .collect();
        assert_eq!(seen, [("a/".to_owned(), 0o755, 42, 0), ("a/b".to_owned(), 0o644, 42, 0)]);
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let mut tarball = Tarball::new(Vec::new(), STAMP);
        assert!(tarball.file("x", 0o644, 10, &b"short"[..]).is_err());
    }
}
