//! Reads files of the context into an archive, bounded and without following links.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use workflows::dockerfile::ignore::{Ignore, Seen};

use super::context::joined;
use super::tarball::Tarball;

/// Most files and directories that one COPY takes.
const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes that one COPY takes.
const MAX_BYTES: u64 = 32 << 30;
/// Deepest directory that is walked.
const MAX_DEPTH: usize = 256;

/// A walk through a part of the context into an archive.
pub(super) struct Walk<'a, W: Write> {
    ignore: &'a Ignore,
    tarball: &'a mut Tarball<W>,
    entries: usize,
    bytes: u64,
}

impl<'a, W: Write> Walk<'a, W> {
    /// Begins a walk.
    pub(super) fn new(ignore: &'a Ignore, tarball: &'a mut Tarball<W>) -> Self {
        Self { ignore, tarball, entries: 0, bytes: 0 }
    }

    /// Adds what is in a directory, sorted, so that the same files make the same archive.
    pub(super) fn contents(
        &mut self,
        directory: &Path,
        relative: &str,
        at: &str,
        depth: usize,
    ) -> io::Result<()> {
        let seen = self.ignore.at(relative);
        self.below(directory, (relative, &seen), at, depth)
    }

    /// The same, where it is known what the patterns say of the directory.
    fn below(
        &mut self,
        directory: &Path,
        (relative, seen): (&str, &Seen),
        at: &str,
        depth: usize,
    ) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(too_much(&format!("directories deeper than {MAX_DEPTH}")));
        }
        let mut names = fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for name in names {
            let Some(name) = name.to_str() else {
                return Err(invalid(&format!("{relative}: a file name is no UTF-8")));
            };
            let (below, at) =
                (joined(relative, name), format!("{}/{name}", at.trim_end_matches('/')));
            let path = directory.join(name);
            let metadata = fs::symlink_metadata(&path)?;
            let seen = self.ignore.below(seen, &below);
            let hidden = seen.is_excluded();
            if !hidden {
                self.entry(&path, &metadata, &at)?;
            }
            if metadata.is_dir() && (!hidden || self.ignore.has_exceptions()) {
                self.below(&path, (&below, &seen), &at, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Adds one file, directory or link.
    pub(super) fn entry(&mut self, path: &Path, metadata: &Metadata, at: &str) -> io::Result<()> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.entries > MAX_ENTRIES || self.bytes > MAX_BYTES {
            return Err(too_much(&format!("{MAX_ENTRIES} files or {MAX_BYTES} bytes")));
        }
        let mode = metadata.permissions().mode();
        if metadata.is_dir() {
            self.tarball.directory(at, mode)
        } else if metadata.is_symlink() {
            self.tarball.symlink(at, &fs::read_link(path)?)
        } else if metadata.is_file() {
            self.tarball.file(at, mode, metadata.len(), open_no_follow(path)?)
        } else {
            Err(invalid(&format!("{at} is neither a file, a directory nor a link")))
        }
    }
}

/// Opens a file that was seen to be no link, and would rather fail than follow one now.
fn open_no_follow(path: &Path) -> io::Result<fs::File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    // The bits of open flags are a C int; the conversion keeps them.
    fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn too_much(what: &str) -> io::Error {
    invalid(&format!("the context holds more than one COPY may take: {what}"))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}
