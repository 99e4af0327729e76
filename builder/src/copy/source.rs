//! Where COPY and ADD take files from.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use workflows::dockerfile::ignore::Ignore;

use super::glob;
use crate::layer::{Entry, MAX_LAYER_ENTRIES, Unpacked};
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
    /// followed, but never out of the tree. A pattern may match nothing, in a directory that is there.
    pub(crate) fn select(&self, written: &str) -> io::Result<Vec<(PathBuf, Found)>> {
        self.select_by(written, false)
    }

    /// The same for `--parents`, where `**` stands for any number of directories; also tells
    /// how many parts of each name stand before `/./`, behind which the kept directories begin.
    pub(crate) fn select_deep(&self, written: &str) -> io::Result<(Vec<(PathBuf, Found)>, usize)> {
        let pivot = written
            .split_once("/./")
            .map_or(0, |(before, _)| clean(Path::new(before)).iter().count());
        Ok((self.select_by(written, true)?, pivot))
    }

    fn select_by(&self, written: &str, is_deep: bool) -> io::Result<Vec<(PathBuf, Found)>> {
        let path = clean(Path::new(written));
        if !path.iter().any(glob::is_pattern) {
            let found = self.root.find(&path)?;
            let is_seen = found.stat.is_some() && !self.is_hidden(&path, &found);
            return if is_seen { Ok(vec![(path, found)]) } else { Err(self.absent(written)) };
        }
        let mut matches = vec![PathBuf::new()];
        for part in path.iter() {
            let mut next = Vec::new();
            for dir in matches {
                if !glob::is_pattern(part) {
                    next.push(dir.join(part));
                    continue;
                }
                if is_deep && part == "**" {
                    self.directories(dir, &mut next)?;
                    continue;
                }
                let found = self.root.find(&dir)?;
                if !found.is_dir() {
                    continue;
                }
                for name in self.root.names(&found.path)? {
                    use std::os::unix::ffi::OsStrExt;
                    let is_match = glob::matches(part.as_bytes(), name.as_bytes());
                    if is_match.ok_or_else(|| bad_pattern(written))? {
                        next.push(dir.join(name));
                    }
                }
            }
            matches = next;
        }
        let mut selected = Vec::new();
        for path in matches {
            let found = self.root.find(&path)?;
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

    /// A directory and all that are below it, links not followed.
    fn directories(&self, dir: PathBuf, found: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut open = vec![dir];
        while let Some(dir) = open.pop() {
            if found.len() as u64 >= MAX_LAYER_ENTRIES {
                return Err(io::Error::other(format!("more than {MAX_LAYER_ENTRIES} directories")));
            }
            let is_dir = |path: &Path| -> io::Result<bool> {
                Ok(self.root.stat(path)?.is_some_and(|stat| kind(&stat) == FileType::Directory))
            };
            if !is_dir(&dir)? {
                continue;
            }
            for name in self.root.names(&dir)? {
                let below = dir.join(name);
                if is_dir(&below)? {
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

fn bad_pattern(written: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("`{written}` is no pattern"))
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
