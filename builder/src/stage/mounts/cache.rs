//! Cache mounts: directories that outlive the build, for builds that may share them.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use workflows::dockerfile::Mount;

use super::bind::{source_of, take};
use super::options::{Options, Sharing};
use super::{Mounts, give};
use crate::digest;
use crate::stage::steps::{Around, Fault, Site};

/// Permissions of a new cache.
const CACHE_MODE: u32 = 0o755;

impl Mounts {
    pub(super) fn cache(
        &mut self,
        mount: &Mount,
        options: &Options,
        site: &mut Site<'_>,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let target = options.target()?;
        let id = mount.id.clone().unwrap_or_else(|| target.clone());
        let source = match &mount.from {
            Some(name) => Some(source_of(name, site, around)?),
            None => None,
        };
        let place = place(site, &id).map_err(Fault::Machine)?;
        let lock = place.with_extension("lock");
        let place = self.lock(&place, &lock, options.sharing).map_err(Fault::Machine)?;
        site.store.use_cache(&lock);
        if !place.exists() {
            // Made beside and moved, so that nobody finds one half filled.
            let new = tempfile::tempdir_in(place.parent().unwrap_or(&place));
            let new = new.map_err(Fault::Machine)?;
            let made = new.path().join("cache");
            DirBuilder::new().mode(0o700).create(&made).map_err(Fault::Machine)?;
            if let Some(source) = &source {
                let written = mount.source.as_deref().unwrap_or("/");
                take(source, written, Path::new(""), site, &made)?;
            }
            let mode = Permissions::from_mode(options.mode.unwrap_or(CACHE_MODE));
            fs::set_permissions(&made, mode).map_err(Fault::Machine)?;
            give(&made, options.uid, options.gid)?;
            match fs::rename(&made, &place) {
                Err(_) if place.exists() => {}
                moved => moved.map_err(Fault::Machine)?,
            }
        }
        self.bind(target, place, mount.read_only.unwrap_or(false), false);
        Ok(())
    }

    /// The cache's directory under the sharing that is asked for.
    fn lock(&mut self, place: &Path, lock: &Path, sharing: Sharing) -> io::Result<PathBuf> {
        let lock = File::options().create(true).truncate(false).write(true).open(lock)?;
        let place = match sharing {
            Sharing::Shared => return Ok(place.to_owned()),
            Sharing::Locked => {
                rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
                place.to_owned()
            }
            Sharing::Private => {
                match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => place.to_owned(),
                    Err(rustix::io::Errno::WOULDBLOCK) => self.dir.join("cache"),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        self.locks.push(lock);
        Ok(place)
    }
}

/// Where the cache of that id is for this build: in the store for those that share caches, else
/// among what goes with the build.
fn place(site: &Site<'_>, id: &str) -> io::Result<PathBuf> {
    let (dir, scope) = match &site.request.given.caches {
        Some(scope) => (site.store.caches(), scope.as_str()),
        None => (site.work.path().join("caches"), ""),
    };
    DirBuilder::new().recursive(true).mode(0o711).create(&dir)?;
    let name = digest::of(format!("{scope}\0{id}").as_bytes());
    let name = name.as_str().trim_start_matches("sha256:").to_owned();
    Ok(dir.join(name))
}
