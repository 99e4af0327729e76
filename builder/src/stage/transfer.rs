//! COPY, ADD and WORKDIR: from an instruction to planned entries.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use workflows::dockerfile::Transfer;

use super::steps::Fault;
use crate::confine::resolve_user;
use crate::copy::{Destination, Ownership, Planned, Source, SourceKind, is_archive};
use crate::layer::{LatestTime, unpack_archive};
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
    pub(crate) latest: LatestTime,
    pub(crate) now: i64,
}

impl Copying<'_> {
    /// What the layer will hold.
    pub(crate) fn plan(&self) -> Result<Planned, Fault> {
        let transfer = self.transfer;
        if !transfer.exclude.is_empty() {
            return Err(Fault::User("--exclude is not supported by this builder".to_owned()));
        }
        let tree = (!transfer.link).then_some(self.tree);
        let ownership = self.ownership()?;
        let mut destination = Destination::new(tree, ownership, self.latest, self.now);
        let dest = Path::new("/").join(self.workdir.trim_start_matches('/')).join(&transfer.dest);
        let mut selected = Vec::new();
        for source in &transfer.sources {
            if self.unpack_in.is_some() && is_remote(source) {
                let why = format!(
                    "ADD of `{source}`: nothing is fetched from the network; list \
                                   the file in `sources` and copy it"
                );
                return Err(Fault::User(why));
            }
            selected.extend(self.source.select(source).map_err(Fault::of)?);
        }
        let many = selected.len() + transfer.heredocs.len() > 1;
        let written_as_dir = transfer.dest.ends_with('/') || transfer.dest.ends_with("/.");
        let is_dir = written_as_dir || transfer.dest == ".";
        if many && !is_dir {
            let found = self.tree.find(&dest).map_err(Fault::of)?;
            if !found.is_dir() {
                let why = format!("several sources need a directory: write `{}/`", transfer.dest);
                return Err(Fault::User(why));
            }
        }
        for (index, (name, found)) in selected.iter().enumerate() {
            self.one(&mut destination, name, found, &dest, is_dir, index)?;
        }
        for heredoc in &transfer.heredocs {
            let name = Path::new(&heredoc.name);
            let to = destination.file_path(&dest, is_dir, name).map_err(Fault::of)?;
            destination.add_text(to, &heredoc.content()).map_err(Fault::of)?;
        }
        Ok(destination.finish())
    }

    fn one(
        &self,
        destination: &mut Destination<'_>,
        name: &Path,
        found: &Found,
        dest: &Path,
        is_dir: bool,
        index: usize,
    ) -> Result<(), Fault> {
        if let (Some(dir), false) = (self.unpack_in, found.is_dir())
            && let Some(unpacked) = self.unpacked(found, &dir.join(format!("archive{index}")))?
        {
            let top = unpacked.root.find(Path::new("")).map_err(Fault::of)?;
            return destination.add(&unpacked, &top, name, dest, true).map_err(Fault::of);
        }
        let name = name.file_name().map_or(Path::new(""), Path::new);
        destination.add(self.source, found, name, dest, is_dir).map_err(Fault::of)
    }

    /// The files of an archive; `None` when the file is to be copied as it is.
    fn unpacked(&self, found: &Found, dir: &Path) -> Result<Option<Source>, Fault> {
        let is_file =
            found.stat.as_ref().is_some_and(|stat| kind(stat) == rustix::fs::FileType::RegularFile);
        if self.unpack == Some(false) || !is_file {
            return Ok(None);
        }
        let mut file = self.source.root.open_plain(&found.path).map_err(Fault::of)?;
        if !is_archive(&mut file).map_err(Fault::of)? {
            return match self.unpack {
                Some(true) => Err(Fault::User("--unpack: it is no archive".to_owned())),
                _ => Ok(None),
            };
        }
        std::fs::create_dir(dir).map_err(Fault::Machine)?;
        unpack_archive(file, dir).map_err(Fault::of)?;
        let root = Arc::new(Root::open(dir).map_err(Fault::Machine)?);
        Ok(Some(Source { root, kind: SourceKind::Image }))
    }

    fn ownership(&self) -> Result<Ownership, Fault> {
        let owner = match &self.transfer.chown {
            None => None,
            Some(text) => {
                let who = resolve_user(self.tree, text, true).map_err(Fault::User)?;
                Some((who.uid, who.gid))
            }
        };
        let mode = match &self.transfer.chmod {
            None => None,
            Some(text) => {
                let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= 0o7777);
                Some(mode.ok_or_else(|| {
                    Fault::User(format!("--chmod takes octal digits such as 755, not `{text}`"))
                })?)
            }
        };
        Ok(Ownership { owner, mode })
    }
}

/// The directories that WORKDIR makes, which belong to the stage's user as in BuildKit.
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
    let who = resolve_user(tree, user, false).map_err(Fault::User)?;
    let ownership = Ownership { owner: Some((who.uid, who.gid)), mode: None };
    let mut destination = Destination::new(Some(tree), ownership, latest, now);
    destination.make_directory(&found.path).map_err(Fault::of)?;
    Ok(destination.finish())
}

fn is_remote(source: &str) -> bool {
    let scheme = ["http://", "https://", "git@", "git://", "ssh://"];
    scheme.iter().any(|start| source.starts_with(start))
}

/// A tree that an instruction names by the context.
pub(crate) fn context_source(
    context: &Path,
    ignore: workflows::dockerfile::ignore::Ignore,
) -> io::Result<Source> {
    let root = Arc::new(Root::open(&PathBuf::from(context))?);
    Ok(Source { root, kind: SourceKind::Context(ignore) })
}
