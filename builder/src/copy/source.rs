//! Where COPY and ADD take files from.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use workflows::dockerfile::ignore::Ignore;

use super::glob;
use crate::root::{Found, Root};

/// What kind of tree a source is.
#[derive(Debug)]
pub(crate) enum SourceKind {
    /// The build's context: whoever owns its files on this machine, in the image root does.
    Context(Ignore),
    /// A stage, an image or an unpacked archive: owners and attributes are kept.
    Image,
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
            SourceKind::Image => false,
        }
    }

    /// Whether something below a hidden directory may be seen all the same.
    pub(crate) fn may_show_below(&self) -> bool {
        matches!(&self.kind, SourceKind::Context(ignore) if ignore.has_exceptions())
    }

    /// What a source of COPY names: each match's name as written and where it is. Links are
    /// followed, but never out of the tree.
    pub(crate) fn select(&self, written: &str) -> io::Result<Vec<(PathBuf, Found)>> {
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
        if selected.is_empty() { Err(self.absent(written)) } else { Ok(selected) }
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
            SourceKind::Image => format!("`{written}` is not in the files it is taken from"),
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
