//! The build context: the part of the checkout that COPY may read.
//!
//! The checkout is a stranger's. No path leaves the context, neither by `..` nor through a
//! symbolic link, and what is read is bounded.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use builder::PatternBudget;
use workflows::dockerfile::ignore::{Ignore, MAX_IGNORE_BYTES};
use workflows::job::BuildSpec;

use super::glob;
use super::tarball::Tarball;
use super::walk::Walk;
use crate::small_file;
use crate::stop::Stop;

/// The context of one build.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    root: PathBuf,
    ignore: Ignore,
}

/// Something in the context that a COPY names.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Path from the context's root, without a leading `/`; empty for the root itself.
    pub(crate) relative: String,
    /// The real file behind it.
    pub(crate) path: PathBuf,
    /// Whether it is a directory.
    pub(crate) is_directory: bool,
}

impl Context {
    /// The context of a build, with its `.dockerignore` or that of the Dockerfile's own name.
    pub(crate) fn open(sources: &Path, spec: &BuildSpec) -> Result<Self, Stop> {
        let (root, text) = Self::parts(sources, spec)?;
        let ignore = match text {
            Some(text) => Ignore::parse(&text).map_err(|error| Stop::failure(error.to_string()))?,
            None => Ignore::default(),
        };
        Ok(Self { root, ignore })
    }

    /// Where it is, and the text that says what of it is not seen.
    pub(crate) fn parts(
        sources: &Path,
        spec: &BuildSpec,
    ) -> Result<(PathBuf, Option<String>), Stop> {
        let root = inside(sources, &spec.context)?;
        if !root.is_dir() {
            return Err(Stop::failure(format!("context `{}` is no directory", spec.context)));
        }
        let own = format!("{}.dockerignore", spec.dockerfile);
        let text = match small_file::read_below(sources, &own, MAX_IGNORE_BYTES)? {
            Some(text) => Some(text),
            None => small_file::read_below(&root, ".dockerignore", MAX_IGNORE_BYTES)?,
        };
        Ok((root, text))
    }

    /// What a source of a COPY names, in order; an error in words when that is nothing. `budget` is
    /// that of all sources of the instruction.
    pub(crate) fn find(
        &self,
        source: &str,
        budget: &mut PatternBudget,
    ) -> Result<Vec<Found>, String> {
        let too_much = |error: io::Error| format!("`{source}`: {error}");
        let parts = parts_of(source)?;
        let mut paths = vec![String::new()];
        for part in parts {
            let mut next = Vec::new();
            for path in &paths {
                if glob::is_pattern(&part) {
                    self.children(path, &part, &mut next, budget).map_err(too_much)?;
                } else {
                    let path = joined(path, &part);
                    budget.keep(Path::new(&path)).map_err(too_much)?;
                    next.push(path);
                }
            }
            paths = next;
        }
        paths.retain(|path| path.is_empty() || self.is_seen(path));
        let mut found = Vec::new();
        for one in paths.iter().filter_map(|path| self.found(path)) {
            budget.keep(&one.path).map_err(too_much)?;
            found.push(one);
        }
        if found.is_empty() {
            return Err(format!("`{source}` is not in the context, or .dockerignore hides it"));
        }
        Ok(found)
    }

    /// Begins to take what was found, for one COPY.
    pub(super) fn walk<'a, W: Write>(&'a self, tarball: &'a mut Tarball<W>) -> Walk<'a, W> {
        Walk::new(&self.ignore, tarball)
    }

    fn children(
        &self,
        directory: &str,
        pattern: &str,
        next: &mut Vec<String>,
        budget: &mut PatternBudget,
    ) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(self.root.join(directory)) else { return Ok(()) };
        let first = next.len();
        for entry in entries.flatten() {
            let name = entry.file_name();
            budget.try_name(pattern.len(), name.len())?;
            let Ok(name) = name.into_string() else { continue };
            if glob::matches(pattern, &name) {
                let path = joined(directory, &name);
                budget.keep(Path::new(&path))?;
                next.push(path);
            }
        }
        next[first..].sort();
        Ok(())
    }

    /// The file behind a path, links followed, when it is inside the context.
    fn found(&self, relative: &str) -> Option<Found> {
        let path = fs::canonicalize(self.root.join(relative)).ok()?;
        let is_inside = path.starts_with(&self.root);
        let is_directory = path.is_dir();
        is_inside.then(|| Found { relative: relative.to_owned(), path, is_directory })
    }

    /// A directory that is hidden may still hold what a `!` pattern brings back.
    fn is_seen(&self, relative: &str) -> bool {
        !self.ignore.excludes(relative)
            || (self.ignore.has_exceptions() && self.root.join(relative).is_dir())
    }
}

/// A path below `root` that stays below it, whatever links are on the way.
fn inside(root: &Path, written: &str) -> Result<PathBuf, Stop> {
    let outside = || Stop::failure(format!("`{written}` leaves the checkout"));
    let relative = Path::new(written);
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !relative.components().all(stays) {
        return Err(outside());
    }
    let unreadable = |error| Stop::failure(format!("cannot find `{written}`: {error}"));
    let root = fs::canonicalize(root)
        .map_err(|error| Stop::sandbox(format!("cannot open the checkout: {error}")))?;
    let path = fs::canonicalize(root.join(relative)).map_err(unreadable)?;
    if path.starts_with(&root) { Ok(path) } else { Err(outside()) }
}

/// The parts of a source; `..` at the root is the root, as for Docker.
fn parts_of(source: &str) -> Result<Vec<String>, String> {
    let mut parts: Vec<String> = Vec::new();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(format!("`{source}` is outside the context"));
                }
            }
            part => parts.push(part.to_owned()),
        }
    }
    Ok(parts)
}

pub(super) fn joined(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::recipe::tests::spec;
    use super::super::tarball::Stamp;
    use super::*;
    use crate::below::tests::pipe;

    const STAMP: Stamp = Stamp { uid: 0, gid: 0, mode: None, mtime: 0 };

    fn context(ignore: &str) -> (tempfile::TempDir, Context) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("d/sub")).unwrap();
        for name in ["a.txt", "b.txt", "d/x", "d/sub/y", "secret"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink("/etc", root.join("out")).unwrap();
        symlink("a.txt", root.join("link")).unwrap();
        if !ignore.is_empty() {
            fs::write(root.join(".dockerignore"), ignore).unwrap();
        }
        let context = Context::open(root, &spec()).unwrap();
        (dir, context)
    }

    fn find(context: &Context, source: &str) -> Result<Vec<Found>, String> {
        context.find(source, &mut PatternBudget::default())
    }

    fn packed(context: &Context, source: &str) -> Vec<String> {
        let mut tarball = Tarball::new(Vec::new(), STAMP);
        let mut walk = context.walk(&mut tarball);
        for found in find(context, source).unwrap() {
            walk.add(&found, "/to").unwrap();
        }
        let bytes = tarball.finish().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap();
        entries.map(|e| e.unwrap().path().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_directory_gives_its_contents_in_order() {
        let (_dir, context) = context("");
        assert_eq!(packed(&context, "d"), ["to/sub/", "to/sub/y", "to/x"]);
        let names: Vec<_> =
            find(&context, "*.txt").unwrap().into_iter().map(|found| found.relative).collect();
        assert_eq!(names, ["a.txt", "b.txt"]);
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        let (_dir, context) = context("secret\nd\n!d/sub/y\n");
        assert!(find(&context, "secret").is_err());
        assert_eq!(packed(&context, "d"), ["to/sub/y"]);
    }

    #[test]
    fn nothing_that_could_block_is_read_as_an_ignore_file() {
        for name in [".dockerignore", "Dockerfile.dockerignore"] {
            let dir = tempfile::tempdir().unwrap();
            pipe(&dir.path().join(name));
            let stop = Context::open(dir.path(), &spec()).err().unwrap();
            assert_eq!(stop.to_string(), format!("cannot read `{name}`: it is no file"));
        }
    }

    #[test]
    fn links_to_the_same_directory_do_not_make_paths_without_end() {
        let (dir, context) = context("");
        for number in 0..200 {
            symlink(".", dir.path().join(format!("{number:0>200}"))).unwrap();
        }
        assert_eq!(find(&context, "*/a.tx?").unwrap().len(), 200);
        let error = find(&context, "*/*/*/*").unwrap_err();
        assert_eq!(error, "`*/*/*/*`: its patterns lead to more than 64 MiB of paths");
    }

    #[test]
    fn nothing_leaves_the_context() {
        let (dir, context) = context("");
        for source in ["out", "out/passwd", "../x", "d/../../x"] {
            assert!(find(&context, source).is_err(), "{source}");
        }
        assert!(find(&context, "link").is_ok());
        for written in ["/etc/passwd", "../x", "out/passwd", "out"] {
            assert!(inside(dir.path(), written).is_err(), "{written}");
        }
    }
}
