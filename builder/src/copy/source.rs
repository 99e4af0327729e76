//! Where COPY and ADD take files from.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use workflows::dockerfile::ignore::{Ignore, Seen};

use super::{PatternBudget, glob};
use crate::layer::{Entry, Unpacked};
use crate::root::{Found, Root, kind};

/// What kind of tree a source is.
#[derive(Debug)]
pub(crate) enum SourceKind {
    /// The build's context: whoever owns its files on this machine, in the image root does.
    Context(Ignore),
    /// A stage or an image: owners and attributes are kept.
    Image,
    /// An unpacked archive: it alone says whose its files are and what may be done with them.
    Archive(Unpacked),
}

/// A tree that files are taken from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) root: Arc<Root>,
    pub(crate) kind: SourceKind,
}

impl Source {
    /// Whether the build does not see a path of this source.
    pub(crate) fn hides(&self, path: &Path) -> bool {
        match &self.kind {
            SourceKind::Context(ignore) => ignore.excludes(&path.to_string_lossy()),
            SourceKind::Image | SourceKind::Archive(_) => false,
        }
    }

    /// What the build sees of the directory at a path of this source, for a walk through it.
    pub(crate) fn seen_at(&self, path: &Path) -> Option<Seen> {
        match &self.kind {
            SourceKind::Context(ignore) => Some(ignore.at(&path.to_string_lossy())),
            SourceKind::Image | SourceKind::Archive(_) => None,
        }
    }

    /// The same of what is in a directory.
    pub(crate) fn seen_below(&self, above: Option<&Seen>, path: &Path) -> Option<Seen> {
        match &self.kind {
            SourceKind::Context(ignore) => Some(ignore.below(above?, &path.to_string_lossy())),
            SourceKind::Image | SourceKind::Archive(_) => None,
        }
    }

    /// Whether a directory is there only for what stands below it: the archive says nothing of it.
    pub(crate) fn is_implied(&self, dir: &Path) -> bool {
        let SourceKind::Archive(unpacked) = &self.kind else { return false };
        !unpacked.directories.contains(dir)
    }

    /// The device nodes of an archive that belong in a directory.
    pub(crate) fn devices_in(&self, dir: &Path) -> &[Entry] {
        let SourceKind::Archive(unpacked) = &self.kind else { return &[] };
        unpacked.devices.get(dir).map_or(&[], Vec::as_slice)
    }

    /// Whether something below a hidden directory may be seen all the same.
    pub(crate) fn may_show_below(&self) -> bool {
        matches!(&self.kind, SourceKind::Context(ignore) if ignore.has_exceptions())
    }

    /// What a source of COPY names: each match's name as written and where it is. Links are
    /// followed, but never out of the tree. A pattern may match nothing, in a directory that is
    /// there. `budget` is that of all sources of the instruction.
    pub(crate) fn select(
        &self,
        written: &str,
        budget: &mut PatternBudget,
    ) -> io::Result<Vec<(PathBuf, Found)>> {
        self.select_by(written, false, budget)
    }

    /// The same for `--parents`, where `**` stands for any number of directories; also tells
    /// how many parts of each name stand before `/./`, behind which the kept directories begin.
    pub(crate) fn select_deep(
        &self,
        written: &str,
        budget: &mut PatternBudget,
    ) -> io::Result<(Vec<(PathBuf, Found)>, usize)> {
        let pivot = written
            .split_once("/./")
            .map_or(0, |(before, _)| clean(Path::new(before)).iter().count());
        Ok((self.select_by(written, true, budget)?, pivot))
    }

    fn select_by(
        &self,
        written: &str,
        is_deep: bool,
        budget: &mut PatternBudget,
    ) -> io::Result<Vec<(PathBuf, Found)>> {
        let path = clean(Path::new(written));
        let too_much = |error: io::Error| match error.raw_os_error() {
            None => io::Error::other(format!("`{written}`: {error}")),
            Some(_) => error,
        };
        if !path.iter().any(glob::is_pattern) {
            let found = self.root.find(&path)?;
            let is_seen = found.stat.is_some() && !self.is_hidden(&path, &found);
            return if is_seen { Ok(vec![(path, found)]) } else { Err(self.absent(written)) };
        }
        let mut selected = Vec::new();
        for path in self.matches(&path, is_deep, budget).map_err(too_much)? {
            let found = self.root.find(&path)?;
            budget.keep(&found.path).map_err(too_much)?;
            if found.stat.is_some() && !self.is_hidden(&path, &found) {
                selected.push((path, found));
            }
        }
        let before = path.iter().take_while(|part| !glob::is_pattern(part));
        if selected.is_empty() && !self.root.find(&before.collect::<PathBuf>())?.is_dir() {
            return Err(self.absent(written));
        }
        Ok(selected)
    }

    /// The paths that a pattern may mean, whether anything is there or not.
    fn matches(
        &self,
        pattern: &Path,
        is_deep: bool,
        budget: &mut PatternBudget,
    ) -> io::Result<Vec<PathBuf>> {
        let mut matches = vec![PathBuf::new()];
        for part in pattern {
            let mut next = Vec::new();
            for dir in matches {
                if !glob::is_pattern(part) {
                    let path = dir.join(part);
                    budget.keep(&path)?;
                    next.push(path);
                } else if is_deep && part == "**" {
                    self.directories(dir, &mut next, budget)?;
                } else {
                    self.children(&dir, part, &mut next, budget)?;
                }
            }
            matches = next;
        }
        Ok(matches)
    }

    /// What in a directory matches; a link to one is followed.
    fn children(
        &self,
        dir: &Path,
        pattern: &OsStr,
        next: &mut Vec<PathBuf>,
        budget: &mut PatternBudget,
    ) -> io::Result<()> {
        let found = self.root.find(dir)?;
        if !found.is_dir() {
            return Ok(());
        }
        for name in self.root.names(&found.path)? {
            budget.try_name(pattern.len(), name.len())?;
            let is_match = glob::matches(pattern.as_bytes(), name.as_bytes());
            if is_match.ok_or_else(bad_pattern)? {
                let path = dir.join(name);
                budget.keep(&path)?;
                next.push(path);
            }
        }
        Ok(())
    }

    /// A directory and all that are below it, links not followed.
    fn directories(
        &self,
        dir: PathBuf,
        found: &mut Vec<PathBuf>,
        budget: &mut PatternBudget,
    ) -> io::Result<()> {
        let mut open = vec![dir];
        while let Some(dir) = open.pop() {
            let is_dir = |path: &Path| -> io::Result<bool> {
                Ok(self.root.stat(path)?.is_some_and(|stat| kind(&stat) == FileType::Directory))
            };
            if !is_dir(&dir)? {
                continue;
            }
            for name in self.root.names(&dir)? {
                budget.try_name(0, name.len())?;
                let below = dir.join(name);
                if is_dir(&below)? {
                    budget.keep(&below)?;
                    open.push(below);
                }
            }
            found.push(dir);
        }
        Ok(())
    }

    /// A directory is seen when anything in it may be.
    fn is_hidden(&self, path: &Path, found: &Found) -> bool {
        self.hides(path) && !(found.is_dir() && self.may_show_below())
    }

    fn absent(&self, written: &str) -> io::Error {
        let why = match self.kind {
            SourceKind::Context(_) => {
                format!("`{written}` is not in the context, or .dockerignore hides it")
            }
            SourceKind::Image | SourceKind::Archive(_) => {
                format!("`{written}` is not in the files it is taken from")
            }
        };
        io::Error::new(io::ErrorKind::NotFound, why)
    }
}

fn bad_pattern() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no pattern")
}

/// Without a slash at the start, `.` and `..`: what lies above the root is the root.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_same_directory_do_not_make_paths_without_end() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..200 {
            let name = format!("{number:0>200}");
            std::os::unix::fs::symlink(".", dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("file"), "x").unwrap();
        let root = Arc::new(Root::open(dir.path()).unwrap());
        let source = Source { root, kind: SourceKind::Context(Ignore::default()) };
        let mut budget = PatternBudget::default();
        assert_eq!(source.select("*/fil?", &mut budget).unwrap().len(), 200);
        let error = source.select("*/*/*/*", &mut budget).unwrap_err().to_string();
        assert_eq!(error, "`*/*/*/*`: its patterns lead to more than 64 MiB of paths");
        // What one source has taken is not there for the next.
        assert!(source.select("*", &mut budget).is_err());
    }
}
