//! The layer of a command, packed while the next commands run on what it left.
//!
//! What a command finds never depends on whether the layer below is packed yet: the files are
//! settled before, and where they are not all that the layer tells, nothing stands on them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::keys::Unfinished;
use super::layers::Layer;
use super::steps::{Around, Built, Fault, Site};
use crate::error::{BuildError, Doing};
use crate::layer::{PackedLayer, pack, settle, snapshot};
use crate::registry::StreamEnd;
use crate::root::Root;

/// Most layers of a stage that are packed at once; each has its compressors and their memory.
pub(super) const MAX_PACKING: usize = 3;

type Packed = Result<(PackedLayer, Option<StreamEnd>), BuildError>;

/// Which command the layer is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The index of its step in the stage's history.
    pub(super) step: usize,
    /// Its line in the Dockerfile.
    pub(super) line: usize,
}

/// A layer in the making; its thread ends before the value does.
#[derive(Debug)]
pub(crate) struct Packing {
    upper: PathBuf,
    place: Place,
    key: Option<Unfinished>,
    is_whole: bool,
    thread: Option<JoinHandle<Packed>>,
}

impl Packing {
    /// Settles what a command left, and begins to pack it.
    pub(super) fn begin(
        site: &Site<'_>,
        upper: PathBuf,
        place: Place,
        key: Option<Unfinished>,
    ) -> io::Result<Self> {
        let root = Arc::new(Root::open(&upper)?);
        let (latest, compression) = (site.request.latest_time, site.request.compression);
        let is_whole = settle(&root, latest, site.cancel)?;
        let target = site.pushing.map(|pushing| (pushing.pusher.clone(), site.handle.clone()));
        let (store, cancel) = (site.store.clone(), site.cancel.clone());
        let work = move || {
            let target = target.as_ref().map(|(pusher, handle)| (pusher, handle));
            pack(&store, target, compression, &cancel, |tar| snapshot(&root, latest, tar))
        };
        let thread = std::thread::Builder::new().name("packing".to_owned()).spawn(work)?;
        Ok(Self { upper, place, key, is_whole, thread: Some(thread) })
    }

    /// The files of the layer, for whoever stands on it.
    pub(super) fn upper(&self) -> &Path {
        &self.upper
    }

    /// Whether the layer will hold all of them.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn end(&mut self) -> Packed {
        let broken = || Err(io::Error::other("a thread ended")).doing(|| "cannot pack".to_owned());
        self.thread.take().map_or_else(broken, |thread| thread.join().unwrap_or_else(|_| broken()))
    }
}

impl Drop for Packing {
    fn drop(&mut self) {
        // The build failed, and its directory is about to go.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Built {
    /// Waits for the layers that are still packed, and adds them.
    pub(crate) fn settle(
        &mut self,
        site: &mut Site<'_>,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        self.settle_all_but(0, site, around)
    }

    /// Waits for the lowest layers that are still packed, until so many are left.
    pub(super) fn settle_all_but(
        &mut self,
        left: usize,
        site: &mut Site<'_>,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        while site.packing.len() > left {
            let Some(lowest) = site.packing.pop_front() else { break };
            self.add_layer_of(lowest, site, around)?;
        }
        Ok(())
    }

    fn add_layer_of(
        &mut self,
        mut packing: Packing,
        site: &mut Site<'_>,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let line = packing.place.line;
        let packed = packing.end().map_err(|error| Fault::Before { line, error });
        let (packed, stream) = packed?;
        let key = packing.key.take().map(|key| key.on(&self.layers));
        let made = self.add_packed(site, packed, stream, around);
        if let Some(step) = self.history.get_mut(packing.place.step) {
            step.has_layer = made.is_some();
        }
        if let Some(key) = key {
            site.cache.keep(key, made.as_ref());
        }
        // What was just written need not be unpacked again, unless it holds what the layer does
        // not: others who use the same layer must not find that.
        let Some(Layer { diff_id, plain_size: Some(plain_size), .. }) = made else { return Ok(()) };
        if packing.is_whole && !site.store.has_layer(&diff_id) {
            let kept = site.store.keep_layer(&packing.upper, &diff_id, plain_size);
            kept.map_err(Fault::Machine)?;
        }
        Ok(())
    }
}
