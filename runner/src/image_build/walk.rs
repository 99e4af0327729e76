//! Reads files of the context into an archive, bounded and without following links.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use workflows::dockerfile::ignore::{Ignore, Seen};

use super::context::{Found, joined};
use super::tarball::Tarball;
use crate::below::open_plain;

/// Most files and directories that one COPY takes.
const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes that one COPY takes.
const MAX_BYTES: u64 = 32 << 30;
/// Deepest directory that is walked.
const MAX_DEPTH: usize = 256;

/// What one COPY takes of the context, on its way into an archive.
pub(super) struct Walk<'a, W: Write> {
    ignore: &'a Ignore,
    tarball: &'a mut Tarball<W>,
    /// How many files and directories may still be looked at, hidden ones as well: links lead to
    /// one directory any number of times.
    entries_left: usize,
    bytes: u64,
}

impl<'a, W: Write> Walk<'a, W> {
    /// Begins a walk.
    pub(super) fn new(ignore: &'a Ignore, tarball: &'a mut Tarball<W>) -> Self {
        Self { ignore, tarball, entries_left: MAX_ENTRIES, bytes: 0 }
    }

    /// Adds what was found under `at`: a directory's contents, or the file itself.
    pub(super) fn add(&mut self, found: &Found, at: &str) -> io::Result<()> {
        if found.is_directory {
            self.contents(&found.path, &found.relative, at, 0)
        } else {
            self.look()?;
            let metadata = fs::symlink_metadata(&found.path)?;
            self.entry(&found.path, &metadata, at)
        }
    }

    fn look(&mut self) -> io::Result<()> {
        let too_many = || too_much(&format!("{MAX_ENTRIES} files"));
        self.entries_left = self.entries_left.checked_sub(1).ok_or_else(too_many)?;
        Ok(())
    }

    /// Adds what is in a directory, sorted, so that the same files make the same archive.
    fn contents(
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
            self.look()?;
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
    fn entry(&mut self, path: &Path, metadata: &Metadata, at: &str) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > MAX_BYTES {
            return Err(too_much(&format!("{MAX_BYTES} bytes")));
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

#[cfg(test)]
mod tests {
    use super::super::tarball::Stamp;
    use super::*;

    #[test]
    fn a_directory_that_many_links_lead_to_counts_each_time() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let found =
            Found { relative: String::new(), path: dir.path().to_owned(), is_directory: true };
        let stamp = Stamp { uid: 0, gid: 0, mode: None, mtime: 0 };
        let mut tarball = Tarball::new(Vec::new(), stamp);
        let ignore = Ignore::default();
        let mut walk = Walk::new(&ignore, &mut tarball);
        walk.entries_left = 7;
        assert!(walk.add(&found, "/to").is_ok() && walk.add(&found, "/to").is_ok());
        assert!(walk.add(&found, "/to").unwrap_err().to_string().contains("1000000 files"));
    }
}
