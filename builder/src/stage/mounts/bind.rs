//! Bind mounts: files of the context, a stage or an image. What a command writes there is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use workflows::dockerfile::Mount;

use super::Mounts;
use super::options::Options;
use crate::confine::Overlay;
use crate::copy::{Destination, Ownership, PatternBudget, Source};
use crate::layer::lay_out;
use crate::root::{Root, kind};
use crate::stage::steps::{Around, Fault, Site};

/// What a selection is called in the directory that it is laid out in.
const NAME: &str = "source";

impl Mounts {
    pub(super) fn bind_mount(
        &mut self,
        mount: &Mount,
        options: &Options,
        number: usize,
        site: &mut Site<'_>,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let source = mount.source.as_deref().unwrap_or("/");
        let dir = self.dir.join(format!("bind{number}"));
        fs::DirBuilder::new().create(&dir).map_err(Fault::Machine)?;
        let (layers, below) = match &mount.from {
            Some(name) => {
                let layers = (around.from)(site, name)?;
                let paths = site.unpacked(&layers)?;
                (paths, PathBuf::from(source))
            }
            None => (vec![selection(site.context, source, site, &dir)?], PathBuf::from(NAME)),
        };
        let overlay = Overlay::writable(&layers, &site.empty, &dir).map_err(Fault::Machine)?;
        let found =
            Root::open(overlay.path()).and_then(|root| root.find(&below)).map_err(Fault::of)?;
        let Some(stat) = &found.stat else {
            return Err(Fault::User(format!("--mount=type=bind: there is no `{source}`")));
        };
        let is_file = kind(stat) != rustix::fs::FileType::Directory;
        let path = overlay.path().join(&found.path);
        self.overlays.push(overlay);
        self.bind(options.target()?, path, mount.read_only.unwrap_or(true), is_file);
        Ok(())
    }
}

/// A copy of what a source names, owned by the image's root: a build's context belongs to
/// somebody else, whom the sandbox does not know.
fn selection(
    source: &Source,
    written: &str,
    site: &Site<'_>,
    dir: &Path,
) -> Result<PathBuf, Fault> {
    let to = dir.join("context");
    fs::create_dir(&to).map_err(Fault::Machine)?;
    take(source, written, Path::new(NAME), site, &to)?;
    Ok(to)
}

/// Lays out in `to`, an empty directory, what a source names, as `name`.
pub(super) fn take(
    source: &Source,
    written: &str,
    name: &Path,
    site: &Site<'_>,
    to: &Path,
) -> Result<(), Fault> {
    let latest = site.request.latest_time;
    let mut destination =
        Destination::new(None, Ownership::default(), latest, site.now).until(site.cancel);
    for (_, found) in source.select(written, &mut PatternBudget::default()).map_err(Fault::of)? {
        destination.add(source, &found, Path::new(""), name, false).map_err(Fault::of)?;
    }
    lay_out(destination.finish().values(), to).map_err(Fault::of)
}

/// A stage or an image as a source.
pub(super) fn source_of(
    name: &str,
    site: &mut Site<'_>,
    around: &mut Around<'_>,
) -> Result<Source, Fault> {
    let layers = (around.from)(site, name)?;
    let root = Arc::new(site.tree(&layers)?);
    Ok(Source { root, kind: crate::copy::SourceKind::Image })
}
