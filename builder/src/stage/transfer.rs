//! COPY, ADD and WORKDIR: from an instruction to planned entries.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use workflows::dockerfile::Transfer;
use workflows::dockerfile::ignore::Ignore;

use super::remote::{REMOTE_FILE, Remote};
use super::steps::Fault;
use crate::cancel::Cancel;
use crate::confine::resolve_user;
use crate::copy::{
    Chmod, Destination, Ownership, PatternBudget, Planned, Source, SourceKind, is_archive,
};
use crate::layer::{Entry, LatestTime, unpack_archive};
use crate::root::{Found, Root, kind};

/// What one instruction copies.
pub(crate) struct Copying<'a> {
    pub(crate) transfer: &'a Transfer,
    pub(crate) source: &'a Source,
    /// The image so far.
    pub(crate) tree: &'a Root,
    pub(crate) workdir: &'a str,
    /// Where ADD unpacks archives; COPY does not.
    pub(crate) unpack_in: Option<&'a Path>,
    /// ADD unpacks because `--unpack` says so, or does not.
    pub(crate) unpack: Option<bool>,
    /// COPY keeps the sources' directories (`--parents`).
    pub(crate) parents: bool,
    /// What ADD has fetched, by the source as written.
    pub(crate) remotes: Vec<(String, Remote)>,
    pub(crate) latest: LatestTime,
    pub(crate) now: i64,
    /// What an archive may unpack to, and what all of it may have, in bytes.
    pub(crate) max_bytes: u64,
    pub(crate) cancel: &'a Cancel,
}

/// A file or directory that a source names.
struct Picked {
    name: PathBuf,
    found: Found,
    /// For `--parents`: how many parts of the name are not kept.
    pivot: Option<usize>,
}

impl Copying<'_> {
    /// What the layer will hold.
    pub(crate) fn plan(&self) -> Result<Planned, Fault> {
        let transfer = self.transfer;
        let tree = (!transfer.link).then_some(self.tree);
        let exclude = Ignore::parse(&transfer.exclude.join("\n"))
            .map_err(|error| Fault::User(format!("--exclude: {}", error.message)))?;
        let mut destination = Destination::new(tree, self.ownership()?, self.latest, self.now)
            .excluding(exclude)
            .until(self.cancel);
        let dest = Path::new("/").join(self.workdir.trim_start_matches('/')).join(&transfer.dest);
        let selected = self.select()?;
        let many = selected.len() + transfer.heredocs.len() + self.remotes.len() > 1;
        let written_as_dir = transfer.dest.ends_with('/') || transfer.dest.ends_with("/.");
        let is_dir = written_as_dir || transfer.dest == ".";
        if many && !is_dir && !self.parents {
            let found = self.tree.find(&dest).map_err(Fault::of)?;
            if !found.is_dir() {
                let why = format!("several sources need a directory: write `{}/`", transfer.dest);
                return Err(Fault::User(why));
            }
        }
        for (index, picked) in selected.iter().enumerate() {
            match picked.pivot {
                Some(pivot) => destination
                    .add_with_parents(self.source, &picked.name, pivot, &dest)
                    .map_err(Fault::of)?,
                None => self.one(&mut destination, picked, &dest, is_dir, index)?,
            }
        }
        for (written, remote) in &self.remotes {
            self.remote(&mut destination, written, remote, &dest, is_dir)?;
        }
        for heredoc in &transfer.heredocs {
            let name = Path::new(&heredoc.name);
            let to = destination.file_path(&dest, is_dir, name).map_err(Fault::of)?;
            destination.add_text(to, &heredoc.content()).map_err(Fault::of)?;
        }
        let planned = destination.finish();
        check_bytes(&planned, self.max_bytes)?;
        Ok(planned)
    }

    /// The files of this machine that the instruction names.
    fn select(&self) -> Result<Vec<Picked>, Fault> {
        let (mut selected, mut budget) = (Vec::new(), PatternBudget::default());
        let is_remote = |source: &String| self.remotes.iter().any(|(written, _)| written == source);
        for source in self.transfer.sources.iter().filter(|source| !is_remote(source)) {
            let (found, pivot) = if self.parents {
                let selected = self.source.select_deep(source, &mut budget);
                let (found, pivot) = selected.map_err(Fault::of)?;
                (found, Some(pivot))
            } else {
                (self.source.select(source, &mut budget).map_err(Fault::of)?, None)
            };
            selected.extend(found.into_iter().map(|(name, found)| Picked { name, found, pivot }));
        }
        Ok(selected)
    }

    /// Puts what was fetched: a repository's files, or one file under the name in its URL.
    fn remote(
        &self,
        destination: &mut Destination<'_>,
        written: &str,
        remote: &Remote,
        dest: &Path,
        is_dir: bool,
    ) -> Result<(), Fault> {
        let top = |path: &str| remote.source.root.find(Path::new(path)).map_err(Fault::of);
        let Some(name) = &remote.name else {
            let empty = Path::new("");
            return destination
                .add(&remote.source, &top("")?, empty, dest, true)
                .map_err(Fault::of);
        };
        if is_dir && name.is_empty() {
            let why = format!("`{written}` names no file: write the file's name in the image");
            return Err(Fault::User(why));
        }
        let (name, found) = (PathBuf::from(name), top(REMOTE_FILE)?);
        if let (Some(dir), Some(true)) = (self.unpack_in, self.unpack)
            && let Some(unpacked) = self.unpacked(&remote.source, &found, &dir.join("remote"))?
        {
            let top = unpacked.root.find(Path::new("")).map_err(Fault::of)?;
            return destination.add(&unpacked, &top, &name, dest, true).map_err(Fault::of);
        }
        destination.add(&remote.source, &found, &name, dest, is_dir).map_err(Fault::of)
    }

    fn one(
        &self,
        destination: &mut Destination<'_>,
        picked: &Picked,
        dest: &Path,
        is_dir: bool,
        index: usize,
    ) -> Result<(), Fault> {
        let Picked { name, found, .. } = picked;
        if let (Some(dir), false) = (self.unpack_in, found.is_dir())
            && let Some(unpacked) =
                self.unpacked(self.source, found, &dir.join(format!("archive{index}")))?
        {
            let top = unpacked.root.find(Path::new("")).map_err(Fault::of)?;
            return destination.add(&unpacked, &top, name, dest, true).map_err(Fault::of);
        }
        let name = name.file_name().map_or(Path::new(""), Path::new);
        destination.add(self.source, found, name, dest, is_dir).map_err(Fault::of)
    }

    /// The files of an archive; `None` when the file is to be copied as it is.
    fn unpacked(
        &self,
        source: &Source,
        found: &Found,
        dir: &Path,
    ) -> Result<Option<Source>, Fault> {
        let is_file =
            found.stat.as_ref().is_some_and(|stat| kind(stat) == rustix::fs::FileType::RegularFile);
        if self.unpack == Some(false) || !is_file {
            return Ok(None);
        }
        let mut file = source.root.open_plain(&found.path).map_err(Fault::of)?;
        if !is_archive(&mut file).map_err(Fault::of)? {
            return match self.unpack {
                Some(true) => Err(Fault::User("--unpack: it is no archive".to_owned())),
                _ => Ok(None),
            };
        }
        std::fs::create_dir(dir).map_err(Fault::Machine)?;
        let unpacked = unpack_archive(file, dir, self.max_bytes).map_err(Fault::of)?;
        let root = Arc::new(Root::open(dir).map_err(Fault::Machine)?);
        Ok(Some(Source { root, kind: SourceKind::Archive(unpacked) }))
    }

    fn ownership(&self) -> Result<Ownership, Fault> {
        let owner = match &self.transfer.chown {
            None => None,
            Some(text) => {
                let who = resolve_user(self.tree, text, true).map_err(Fault::User)?;
                Some((who.uid, who.gid))
            }
        };
        let mode = self.transfer.chmod.as_deref().map(Chmod::parse).transpose();
        let mode = mode.map_err(Fault::User)?;
        Ok(Ownership { owner, mode })
    }
}

/// Refuses what is more than may be copied, before a byte of it is read.
pub(super) fn check_bytes(planned: &Planned, max_bytes: u64) -> Result<(), Fault> {
    let bytes = planned.values().map(Entry::bytes).fold(0, u64::saturating_add);
    if bytes > max_bytes {
        let why =
            format!("it copies {bytes} bytes, holes in files included, and may copy {max_bytes}");
        return Err(Fault::User(why));
    }
    Ok(())
}

/// The directories that WORKDIR makes, which belong to the stage's user as in BuildKit: a lone
/// number stands for the group as well, which it does not for commands.
pub(crate) fn plan_workdir(
    tree: &Root,
    workdir: &str,
    user: &str,
    latest: LatestTime,
    now: i64,
) -> Result<Planned, Fault> {
    let found = tree.find(Path::new(workdir)).map_err(Fault::of)?;
    if found.is_dir() {
        return Ok(Planned::new());
    }
    if found.stat.is_some() {
        return Err(Fault::User(format!("WORKDIR {workdir} is a file in the image")));
    }
    let who = resolve_user(tree, user, true).map_err(Fault::User)?;
    let ownership = Ownership { owner: Some((who.uid, who.gid)), mode: None };
    let mut destination = Destination::new(Some(tree), ownership, latest, now);
    destination.make_directory(&found.path).map_err(Fault::of)?;
    Ok(destination.finish())
}

/// A tree that an instruction names by the context.
pub(crate) fn context_source(
    context: &Path,
    ignore: workflows::dockerfile::ignore::Ignore,
) -> io::Result<Source> {
    let root = Arc::new(Root::open(&PathBuf::from(context))?);
    Ok(Source { root, kind: SourceKind::Context(ignore) })
}
