//! Walks through directories that are copied.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use workflows::dockerfile::ignore::Seen;

use super::{Destination, too_many};
use crate::cancel::Cancel;
use crate::copy::source::Source;
use crate::layer::Entry;
use crate::root::{Found, kind};

/// A walk through a directory.
pub(super) struct Walk<'a> {
    pub(super) source: &'a Source,
    /// Patterns of `--exclude` see the paths below it.
    pub(super) base: &'a Path,
}

/// What the patterns say of a directory on a walk.
pub(super) struct Above {
    /// Those of `.dockerignore`; `None` for a source that has none.
    pub(super) source: Option<Seen>,
    pub(super) exclude: Seen,
}

impl Above {
    fn is_hidden(&self) -> bool {
        self.source.as_ref().is_some_and(Seen::is_excluded) || self.exclude.is_excluded()
    }
}

impl Destination<'_> {
    /// Copies what is in a directory.
    pub(super) fn contents(
        &mut self,
        walk: &Walk<'_>,
        from: &Path,
        above: &Above,
        to: &Path,
    ) -> io::Result<()> {
        let source = walk.source;
        for name in source.root.names(from)? {
            self.cancel.map_or(Ok(()), Cancel::heard)?;
            self.names_left = self.names_left.checked_sub(1).ok_or_else(too_many)?;
            let path = from.join(&name);
            let Some(stat) = source.root.stat(&path)? else { continue };
            let is_dir = kind(&stat) == FileType::Directory;
            let target = to.join(&name);
            let below = path.strip_prefix(walk.base).unwrap_or(&path);
            let seen = Above {
                source: source.seen_below(above.source.as_ref(), &path),
                exclude: self.exclude.below(&above.exclude, &below.to_string_lossy()),
            };
            if seen.is_hidden() {
                let may_show = source.may_show_below() || self.exclude.has_exceptions();
                if is_dir && may_show {
                    self.contents(walk, &path, &seen, &target)?;
                }
                continue;
            }
            let target = if is_dir && source.is_implied(&path) {
                self.implied(source, &path, &stat, target)?
            } else {
                self.one(source, &path, &stat, target.clone())?;
                target
            };
            if is_dir {
                self.contents(walk, &path, &seen, &target)?;
            }
        }
        self.devices(walk, from, above, to)
    }

    /// Plans the device nodes that an archive has in a directory.
    fn devices(
        &mut self,
        walk: &Walk<'_>,
        from: &Path,
        above: &Above,
        to: &Path,
    ) -> io::Result<()> {
        for device in walk.source.devices_in(from) {
            let Some(name) = device.path.file_name() else { continue };
            let path = from.join(name);
            let below = path.strip_prefix(walk.base).unwrap_or(&path);
            let seen = self.exclude.below(&above.exclude, &below.to_string_lossy());
            if !seen.is_excluded() {
                let mtime = self.time(device.mtime);
                self.put_in_place(Entry { path: to.join(name), mtime, ..device.clone() })?;
            }
        }
        Ok(())
    }

    /// Plans a directory that an archive has no entry of; the answer is where it is. One that the
    /// image has stays as it is, and a link to one is written through, as tar does it.
    fn implied(
        &mut self,
        source: &Source,
        from: &Path,
        stat: &Stat,
        to: PathBuf,
    ) -> io::Result<PathBuf> {
        if self.planned.get(&to).is_some_and(Entry::is_dir) {
            return Ok(to);
        }
        let Some(there) = self.in_tree(&to)? else {
            self.one(source, from, stat, to.clone())?;
            return Ok(to);
        };
        let found = match kind(&there) {
            FileType::Symlink => self.find(&to)?,
            _ => Found { path: to.clone(), stat: Some(there) },
        };
        if !found.is_dir() {
            return Err(no_directory(&to));
        }
        self.make_directory(&found.path)?;
        Ok(found.path)
    }
}

fn no_directory(path: &Path) -> io::Error {
    let why = format!(
        "the archive has files below /{0}, which is no directory in the image and leads to none; \
         an entry {0}/ in the archive would take its place",
        path.display()
    );
    io::Error::other(why)
}
