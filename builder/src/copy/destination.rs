//! Where copied files stand in the image.

mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};
use workflows::dockerfile::ignore::Ignore;

use self::walk::{Above, Walk};
use super::mode::Chmod;
use super::source::{Source, SourceKind};
use crate::cancel::Cancel;
use crate::layer::{
    Content, Entry, FileSource, LatestTime, MAX_LAYER_ENTRIES, Xattrs, clamped, read_xattrs,
    unshifted,
};
use crate::root::{Found, Root, kind};

/// Whose the copied files are and what may be done with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ownership {
    /// `--chown`.
    pub(crate) owner: Option<(u32, u32)>,
    /// `--chmod`.
    pub(crate) mode: Option<Chmod>,
}

/// Which source a file is copied with, and its device and inode there.
type Inode = (u64, u64, u64);

/// The entries of a layer by their paths: a directory comes before what is in it.
pub(crate) type Planned = BTreeMap<PathBuf, Entry>;

/// Collects what one instruction puts into the image.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    /// The image so far; `None` where it does not matter (`--link`).
    tree: Option<&'a Root>,
    ownership: Ownership,
    latest: LatestTime,
    now: i64,
    planned: Planned,
    /// What the image has there is gone, with all below it.
    replaced: BTreeSet<PathBuf>,
    /// Files that have several names, by where they are planned.
    inodes: HashMap<PathBuf, Inode>,
    /// Counts what is copied: as docker does it, names of one source alone stay names of one file.
    sources: u64,
    /// Names of directories that may still be looked at, however often links lead to one.
    names_left: u64,
    /// `--exclude`, read as `.dockerignore` is; of paths in the copied directory.
    exclude: Ignore,
    /// Ends a long walk; `None` for a short one.
    cancel: Option<&'a Cancel>,
}

impl<'a> Destination<'a> {
    pub(crate) fn new(
        tree: Option<&'a Root>,
        ownership: Ownership,
        latest: LatestTime,
        now: i64,
    ) -> Self {
        let (planned, inodes, exclude) = (Planned::new(), HashMap::new(), Ignore::default());
        let (replaced, names_left) = (BTreeSet::new(), MAX_LAYER_ENTRIES);
        Self {
            tree,
            ownership,
            latest,
            now,
            planned,
            replaced,
            inodes,
            sources: 0,
            names_left,
            exclude,
            cancel: None,
        }
    }

    /// Ends with an error as soon as the build is to end.
    pub(crate) fn until(self, cancel: &'a Cancel) -> Self {
        Self { cancel: Some(cancel), ..self }
    }

    /// Leaves out what matches.
    pub(crate) fn excluding(self, exclude: Ignore) -> Self {
        Self { exclude, ..self }
    }

    /// All that is planned. The first name of a file in the order of the layer has its content, and
    /// the others are links to it: who unpacks a link has unpacked what it names.
    pub(crate) fn finish(mut self) -> Planned {
        let mut firsts: HashMap<Inode, &Path> = HashMap::new();
        for (path, entry) in &mut self.planned {
            let Some(inode) = self.inodes.get(path) else { continue };
            match firsts.get(inode) {
                Some(first) => entry.content = Content::Hardlink(first.to_path_buf()),
                None => drop(firsts.insert(*inode, path)),
            }
        }
        self.planned
    }

    /// Where a path leads in the image so far.
    fn find(&self, path: &Path) -> io::Result<Found> {
        match self.tree {
            Some(tree) => tree.find(path),
            None => {
                let path = path.strip_prefix("/").unwrap_or(path).to_owned();
                Ok(Found { path, stat: None })
            }
        }
    }

    fn in_tree(&self, path: &Path) -> io::Result<Option<Stat>> {
        if path.ancestors().any(|at| self.replaced.contains(at)) {
            return Ok(None);
        }
        self.tree.map_or(Ok(None), |tree| tree.stat(path))
    }

    /// The path of a file called `name` that is copied to `dest`, which `is_dir` says to be a
    /// directory whether it exists or not.
    pub(crate) fn file_path(&self, dest: &Path, is_dir: bool, name: &Path) -> io::Result<PathBuf> {
        let found = self.find(dest)?;
        let planned_dir = self.planned.get(&found.path).is_some_and(Entry::is_dir);
        if is_dir || found.is_dir() || planned_dir || found.path.as_os_str().is_empty() {
            if found.stat.is_some() && !found.is_dir() {
                return Err(in_the_way(&found.path));
            }
            Ok(self.find(&found.path.join(name))?.path)
        } else {
            Ok(found.path)
        }
    }

    /// Copies a file, or what is in a directory.
    pub(crate) fn add(
        &mut self,
        source: &Source,
        from: &Found,
        name: &Path,
        dest: &Path,
        is_dir: bool,
    ) -> io::Result<()> {
        self.sources += 1;
        let Some(stat) = &from.stat else { return Ok(()) };
        if kind(stat) != FileType::Directory {
            if self.exclude.excludes(&name.to_string_lossy()) {
                return Ok(());
            }
            let to = self.file_path(dest, is_dir, name)?;
            return self.one(source, &from.path, stat, to);
        }
        let to = self.find(dest)?;
        if to.stat.is_some() && !to.is_dir() {
            return Err(in_the_way(&to.path));
        }
        self.make_directory(&to.path)?;
        let walk = Walk { source, base: &from.path };
        let seen = Above { source: source.seen_at(&from.path), exclude: self.exclude.top() };
        self.contents(&walk, &from.path, &seen, &to.path)
    }

    /// Copies a file or directory together with the directories above it (`--parents`): those
    /// below the first `pivot` parts of its name.
    pub(crate) fn add_with_parents(
        &mut self,
        source: &Source,
        name: &Path,
        pivot: usize,
        dest: &Path,
    ) -> io::Result<()> {
        self.sources += 1;
        let parts: Vec<_> = name.iter().collect();
        let mut from: PathBuf = parts.iter().take(pivot).collect();
        let mut to = self.find(dest)?.path;
        self.make_directory(&to)?;
        for (at, part) in parts.iter().enumerate().skip(pivot) {
            from.push(part);
            to.push(part);
            let found = source.root.find(&from)?;
            let Some(stat) = &found.stat else { return Ok(()) };
            let below: PathBuf = parts[pivot..=at].iter().collect();
            if self.exclude.excludes(&below.to_string_lossy()) {
                return Ok(());
            }
            let is_planned = self.planned.get(&to).is_some_and(Entry::is_dir);
            if !(found.is_dir() && is_planned) {
                self.one(source, &found.path, stat, to.clone())?;
            }
            if found.is_dir() && at + 1 == parts.len() {
                let base: PathBuf = parts[..pivot].iter().collect();
                let base = source.root.find(&base)?.path;
                let inside = found.path.strip_prefix(&base).unwrap_or(&found.path);
                let exclude = self.exclude.at(&inside.to_string_lossy());
                let seen = Above { source: source.seen_at(&found.path), exclude };
                self.contents(&Walk { source, base: &base }, &found.path, &seen, &to)?;
            }
        }
        Ok(())
    }

    /// Puts a file of the Dockerfile itself.
    pub(crate) fn add_text(&mut self, to: PathBuf, text: &str) -> io::Result<()> {
        let size = text.len() as u64;
        let content = Content::File { size, source: FileSource::Inline(text.as_bytes().into()) };
        let entry = Entry { mode: 0o644, content, ..Entry::directory(&to, self.time(self.now)) };
        self.put(self.owned(entry))
    }

    fn one(&mut self, source: &Source, from: &Path, stat: &Stat, to: PathBuf) -> io::Result<()> {
        let content = match kind(stat) {
            FileType::Directory => Content::Directory,
            FileType::Symlink => Content::Symlink(source.root.link(from)?),
            FileType::Fifo => Content::Fifo,
            FileType::RegularFile => {
                let source = FileSource::Tree(Arc::clone(&source.root), from.to_owned());
                Content::File { size: u64::try_from(stat.st_size).unwrap_or(0), source }
            }
            FileType::Socket => return Ok(()),
            _ => {
                let why = format!("{} is a device, which is not copied", from.display());
                return Err(io::Error::other(why));
            }
        };
        let is_of_image = !matches!(source.kind, SourceKind::Context(_));
        let (uid, gid, xattrs) = if is_of_image {
            let owner = (unshifted(stat.st_uid, from)?, unshifted(stat.st_gid, from)?);
            (owner.0, owner.1, read_xattrs(&source.root, from)?)
        } else {
            (0, 0, Xattrs::new())
        };
        let mtime = self.time(stat.st_mtime);
        let mode = stat.st_mode & 0o7777;
        let has_names = kind(stat) == FileType::RegularFile && stat.st_nlink > 1;
        let inode = has_names.then(|| (to.clone(), (self.sources, stat.st_dev, stat.st_ino)));
        let entry = Entry { path: to, mode, uid, gid, mtime, xattrs, content };
        if matches!(source.kind, SourceKind::Archive(_)) {
            self.put_in_place(entry)?;
        } else {
            self.put(self.owned(entry))?;
        }
        self.inodes.extend(inode);
        Ok(())
    }

    /// The entry as `--chown` and `--chmod` want it.
    fn owned(&self, mut entry: Entry) -> Entry {
        if let Some((uid, gid)) = self.ownership.owner {
            (entry.uid, entry.gid) = (uid, gid);
        }
        if let (Some(chmod), false) =
            (&self.ownership.mode, matches!(entry.content, Content::Symlink(_)))
        {
            entry.mode = chmod.of(entry.mode, matches!(entry.content, Content::Directory));
        }
        entry
    }

    /// Puts an entry of an archive, which takes the place of what the image has there; of two
    /// directories the image's files stay.
    fn put_in_place(&mut self, entry: Entry) -> io::Result<()> {
        let there = self.in_tree(&entry.path)?;
        if there.is_some_and(|stat| entry.is_dir() != (kind(&stat) == FileType::Directory)) {
            self.planned.retain(|path, _| !path.starts_with(&entry.path));
            self.inodes.retain(|path, _| !path.starts_with(&entry.path));
            self.replaced.insert(entry.path.clone());
        }
        self.put(entry)
    }

    fn put(&mut self, entry: Entry) -> io::Result<()> {
        if entry.path.iter().any(|name| name.as_bytes().starts_with(b".wh.")) {
            let why = format!("{}: no layer can hold a name with `.wh.`", entry.path.display());
            return Err(io::Error::other(why));
        }
        let parent = entry.path.parent().unwrap_or(Path::new("")).to_owned();
        self.make_directory(&parent)?;
        let is_dir = matches!(entry.content, Content::Directory);
        if let Some(there) = self.in_tree(&entry.path)?
            && is_dir != (kind(&there) == FileType::Directory)
        {
            return Err(in_the_way(&entry.path));
        }
        if self.planned.len() as u64 >= MAX_LAYER_ENTRIES {
            return Err(too_many());
        }
        self.inodes.remove(&entry.path);
        self.planned.insert(entry.path.clone(), entry);
        Ok(())
    }

    /// Plans a directory and those above it. One that the image has stands in the layer as it is
    /// there: the upper one of two directories tells owner and permissions.
    pub(crate) fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || self.planned.contains_key(path) {
            return Ok(());
        }
        self.make_directory(path.parent().unwrap_or(Path::new("")))?;
        let entry = match (self.tree, self.in_tree(path)?) {
            (Some(_), Some(stat)) if kind(&stat) != FileType::Directory => {
                return Err(in_the_way(path));
            }
            (Some(tree), Some(stat)) => Entry {
                mode: stat.st_mode & 0o7777,
                uid: unshifted(stat.st_uid, path)?,
                gid: unshifted(stat.st_gid, path)?,
                mtime: self.time(stat.st_mtime),
                xattrs: read_xattrs(tree, path)?,
                ..Entry::directory(path, 0)
            },
            _ => {
                let (uid, gid) = self.ownership.owner.unwrap_or_default();
                Entry { uid, gid, ..Entry::directory(path, self.time(self.now)) }
            }
        };
        self.planned.insert(path.to_owned(), entry);
        Ok(())
    }

    fn time(&self, mtime: i64) -> i64 {
        clamped(mtime, self.latest)
    }
}

fn too_many() -> io::Error {
    io::Error::other(format!("more than {MAX_LAYER_ENTRIES} files"))
}

fn in_the_way(path: &Path) -> io::Error {
    let why = format!(
        "/{} would become a file where the image has a directory, or a directory where it has a file",
        path.display()
    );
    io::Error::other(why)
}

#[cfg(test)]
mod tests;
