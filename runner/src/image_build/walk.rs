//! Reads files of the context into an archive, bounded and without following links.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use workflows::dockerfile::ignore::Ignore;

use super::context::joined;
use super::tarball::Tarball;
use crate::below::open_plain;

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
            let hidden = self.ignore.excludes(&below);
            if !hidden {
                self.entry(&path, &metadata, &at)?;
            }
            if metadata.is_dir() && (!hidden || self.ignore.has_exceptions()) {
                self.contents(&path, &below, &at, depth + 1)?;
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
            self.tarball.file(at, mode, metadata.len(), open_plain(path)?)
        } else {
            Err(invalid(&format!("{at} is neither a file, a directory nor a link")))
        }
    }
}

fn too_much(what: &str) -> io::Error {
    invalid(&format!("the context holds more than one COPY may take: {what}"))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}
