//! By what each step is found again: everything that decides what it makes.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use workflows::dockerfile::ignore::Ignore;
use workflows::dockerfile::{Add, Copy, Mount, MountKind, Run, RunCommand, Transfer};

use super::layers::Layer;
use super::remote;
use super::steps::{Around, Built, Fault, Site};
use super::transfer::check_bytes;
use crate::cache::{Key, KeyWriter};
use crate::cancel::Cancel;
use crate::copy::{Destination, Ownership, PatternBudget, Source};
use crate::digest::HashingWriter;
use crate::given::Remotes;
use crate::layer::{Content, Entry, MAX_LAYER_BYTES};
use crate::network::Network;
use crate::root::{Found, kind};

/// A key to which something is still to be added: the files that the step takes, or what is below
/// it.
#[derive(Debug, Clone)]
pub(super) struct Unfinished(KeyWriter);

/// What every step's result depends on: what is below it, and how layers are made.
fn begin(built: &Built, site: &Site<'_>, kind: &str, is_alone: bool) -> KeyWriter {
    let mut key = KeyWriter::new(kind);
    key.text("platform", crate::registry::architecture());
    key.text("compression", &format!("{:?}", site.request.compression));
    match site.request.latest_time {
        Some(latest) => key.time("latest", latest),
        None => key.has_own_times(),
    }
    if !is_alone {
        layers(&mut key, "below", &built.layers);
    }
    key
}

fn layers(key: &mut KeyWriter, name: &str, layers: &[Layer]) {
    key.number(name, layers.len() as u64);
    layers.iter().for_each(|layer| key.text("layer", layer.diff_id.as_str()));
}

/// The key of a RUN up to the layers below it, which may still be in the making. Of secrets and
/// agents it holds only whether there is one; of caches their names, for what is in them is not to
/// matter.
pub(super) fn of_run(
    built: &Built,
    site: &mut Site<'_>,
    run: &Run,
    command: &RunCommand,
    network: Network,
    around: &mut Around<'_>,
) -> Result<Unfinished, Fault> {
    let mut key = begin(built, site, "run", true);
    command.argv.iter().for_each(|word| key.text("word", word));
    for (name, value) in &command.env {
        key.text("variable", name);
        key.text("value", value);
    }
    if let Some(script) = &command.script {
        key.text("script", &script.path);
        key.text("text", &script.content);
    }
    key.text("workdir", &built.config.workdir);
    key.text("user", &built.config.user);
    key.text("network", &format!("{network:?}"));
    if network == Network::Egress {
        // What a command may reach decides what it finds.
        site.request.egress.iter().for_each(|place| key.text("place", &place.to_string()));
    }
    for file in around.files {
        key.text("file", &file.path);
        key.text("text", &file.content);
    }
    for mount in &run.mounts {
        of_mount(&mut key, mount, site, around)?;
    }
    Ok(Unfinished(key))
}

fn of_mount(
    key: &mut KeyWriter,
    mount: &Mount,
    site: &mut Site<'_>,
    around: &mut Around<'_>,
) -> Result<(), Fault> {
    key.text("mount", &format!("{:?}", mount.kind));
    for (name, value) in [("source", &mount.source), ("target", &mount.target), ("id", &mount.id)] {
        // What is not written is something else than what is empty.
        key.number(name, u64::from(value.is_some()));
        value.iter().for_each(|value| key.text(name, value));
    }
    key.text("may write", &format!("{:?}", mount.read_only));
    key.number("required", u64::from(mount.required));
    for (name, value) in &mount.other {
        key.text("option", name);
        key.text("value", value);
    }
    let given = &site.request.given;
    match (mount.kind, &mount.from) {
        (MountKind::Bind | MountKind::Cache, Some(name)) => {
            let from = (around.from)(site, name)?;
            layers(key, "from", &from);
        }
        (MountKind::Bind, None) => {
            let source = mount.source.as_deref().unwrap_or("/");
            let found =
                site.context.select(source, &mut PatternBudget::default()).map_err(Fault::of)?;
            let picked = found.into_iter().map(|(name, found)| (name, found, None));
            files(key, site.context, picked, Ignore::default(), site)?;
        }
        (MountKind::Secret, _) => {
            let has = mount.secret_id().is_some_and(|id| given.secrets.contains_key(id));
            key.number("given", u64::from(has));
        }
        (MountKind::Ssh, _) => {
            let id = mount.id.as_deref().unwrap_or("default");
            key.number("given", u64::from(given.agents.contains_key(id)));
        }
        (MountKind::Cache | MountKind::Tmpfs, _) => {}
    }
    Ok(())
}

/// The key of a COPY up to the files that it takes.
pub(super) fn of_copy(built: &Built, site: &Site<'_>, copy: &Copy) -> Unfinished {
    let transfer = &copy.transfer;
    // With `--link` what is below does not matter, unless a name has to be looked up there.
    let is_number = |owner: &String| owner.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let is_alone = transfer.link && transfer.chown.as_ref().is_none_or(is_number);
    let mut key = begin(built, site, "copy", is_alone);
    key.number("parents", u64::from(copy.parents));
    of_transfer(&mut key, built, transfer);
    Unfinished(key)
}

fn of_transfer(key: &mut KeyWriter, built: &Built, transfer: &Transfer) {
    transfer.sources.iter().for_each(|source| key.text("source", source));
    for heredoc in &transfer.heredocs {
        key.text("name", &heredoc.name);
        key.text("text", &heredoc.content());
    }
    key.text("to", &transfer.dest);
    key.text("workdir", &built.config.workdir);
    for (name, value) in [("chown", &transfer.chown), ("chmod", &transfer.chmod)] {
        key.number(name, u64::from(value.is_some()));
        value.iter().for_each(|value| key.text(name, value));
    }
    transfer.exclude.iter().for_each(|pattern| key.text("exclude", pattern));
    key.number("link", u64::from(transfer.link));
}

impl Unfinished {
    /// Of a command on these layers.
    pub(super) fn on(self, below: &[Layer]) -> Key {
        let mut key = self.0;
        layers(&mut key, "below", below);
        key.finish()
    }

    /// Of files that are all in these layers.
    pub(super) fn of_layers(self, from: &[Layer]) -> Key {
        let mut key = self.0;
        layers(&mut key, "from", from);
        key.finish()
    }

    /// Of these files, whatever else stands beside them.
    pub(super) fn of_files(
        self,
        source: &Source,
        transfer: &Transfer,
        is_deep: bool,
        site: &Site<'_>,
    ) -> Result<Key, Fault> {
        let mut key = self.0;
        key.text("from", "files");
        selected(&mut key, source, &transfer.sources, transfer, is_deep, site)?;
        Ok(key.finish())
    }
}

/// The key of an ADD; `None` when what it fetches may be something else tomorrow, or may not be
/// fetched at all.
pub(super) fn of_add(built: &Built, site: &Site<'_>, add: &Add) -> Result<Option<Key>, Fault> {
    let mut key = begin(built, site, "add", false);
    of_transfer(&mut key, built, &add.transfer);
    key.text("checksum", add.checksum.as_deref().unwrap_or_default());
    key.text("unpack", &format!("{:?}", add.unpack));
    key.number("keep git", u64::from(add.keep_git_dir));
    let (far, near): (Vec<String>, Vec<String>) =
        add.transfer.sources.iter().cloned().partition(|source| remote::is_remote(source));
    if !far.is_empty() {
        let may_fetch = site.request.given.remotes != Remotes::Refused;
        if !may_fetch || !far.iter().all(|source| remote::is_settled(source, add)) {
            return Ok(None);
        }
        // Servers say when a file was changed.
        key.has_own_times();
    }
    selected(&mut key, site.context, &near, &add.transfer, false, site)?;
    Ok(Some(key.finish()))
}

/// The key of a WORKDIR.
pub(super) fn of_workdir(built: &Built, site: &Site<'_>) -> Key {
    let mut key = begin(built, site, "workdir", false);
    key.text("workdir", &built.config.workdir);
    key.text("user", &built.config.user);
    key.finish()
}

fn selected(
    key: &mut KeyWriter,
    source: &Source,
    written: &[String],
    transfer: &Transfer,
    is_deep: bool,
    site: &Site<'_>,
) -> Result<(), Fault> {
    let exclude = Ignore::parse(&transfer.exclude.join("\n"))
        .map_err(|error| Fault::User(format!("--exclude: {}", error.message)))?;
    let (mut picked, mut budget) = (Vec::new(), PatternBudget::default());
    for written in written {
        if is_deep {
            let (found, pivot) = source.select_deep(written, &mut budget).map_err(Fault::of)?;
            picked.extend(found.into_iter().map(|(name, found)| (name, found, Some(pivot))));
        } else {
            let found = source.select(written, &mut budget).map_err(Fault::of)?;
            picked.extend(found.into_iter().map(|(name, found)| (name, found, None)));
        }
    }
    files(key, source, picked.into_iter(), exclude, site)
}

/// Files with all that of them may stand in a layer, each below the number of what named it.
fn files(
    key: &mut KeyWriter,
    source: &Source,
    picked: impl Iterator<Item = (PathBuf, Found, Option<usize>)>,
    exclude: Ignore,
    site: &Site<'_>,
) -> Result<(), Fault> {
    let latest = site.request.latest_time;
    let mut destination = Destination::new(None, Ownership::default(), latest, site.now);
    destination = destination.excluding(exclude).until(site.cancel);
    for (number, (name, found, pivot)) in picked.enumerate() {
        let to = PathBuf::from(number.to_string());
        let is_dir = found.stat.as_ref().is_some_and(|stat| kind(stat) == FileType::Directory);
        // A directory's own name does not show in the image, a file's may.
        let name = if is_dir && pivot.is_none() { PathBuf::new() } else { name };
        key.text("picked", &name.to_string_lossy());
        let added = match pivot {
            Some(pivot) => destination.add_with_parents(source, &name, pivot, &to),
            None => {
                let name = name.file_name().map_or(Path::new(""), Path::new);
                destination.add(source, &found, name, &to, true)
            }
        };
        added.map_err(Fault::of)?;
    }
    let planned = destination.finish();
    check_bytes(&planned, site.request.limits.disk_bytes.unwrap_or(MAX_LAYER_BYTES))?;
    for entry in planned.values() {
        of_entry(key, entry, site.cancel).map_err(Fault::of)?;
    }
    Ok(())
}

fn of_entry(key: &mut KeyWriter, entry: &Entry, cancel: &Cancel) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    key.bytes("path", entry.path.as_os_str().as_bytes());
    for (name, value) in [("mode", entry.mode), ("user", entry.uid), ("group", entry.gid)] {
        key.number(name, u64::from(value));
    }
    key.time("changed", entry.mtime);
    for (name, value) in &entry.xattrs {
        key.bytes("attribute", name);
        key.bytes("value", value);
    }
    match &entry.content {
        Content::Directory => key.text("is", "directory"),
        Content::Fifo => key.text("is", "fifo"),
        Content::Device(device) => key.text("is", &format!("{device:?}")),
        Content::Symlink(target) => key.bytes("link", target.as_os_str().as_bytes()),
        Content::Hardlink(first) => key.bytes("also", first.as_os_str().as_bytes()),
        Content::File { source, .. } => {
            let mut hashing = HashingWriter::new(io::sink());
            io::copy(&mut cancel.watching(source.open()?), &mut hashing)?;
            let (_, digest, length) = hashing.finish();
            key.number("length", length);
            key.text("content", digest.as_str());
        }
    }
    Ok(())
}
