//! One stage, instruction by instruction.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use workflows::dockerfile::{ArgScope, ImageConfig, Instruction, InstructionKind, parse_trigger};

use super::layers::{Layer, Origin, unpacked};
use super::packing::Packing;
use crate::build::{BuildRequest, Progress, Pushing, TextFile};
use crate::cache::{Entry, Found, KeptLayer, KeptStep, Key, Kind, StepCache};
use crate::cancel::{Cancel, Urgency, is_wish};
use crate::confine::{Overlay, Runtime, Surroundings};
use crate::copy::{Destination, Ownership, Planned, Source};
use crate::error::{BuildError, is_full};
use crate::image::{Inherited, Step};
use crate::layer::{LayerTar, PackedLayer, pack};
use crate::registry::{Registries, StreamEnd};
use crate::root::Root;
use crate::store::{Store, Work};

/// The length of an archive that holds nothing: its end alone.
const EMPTY_TAR_BYTES: u64 = 1024;

/// Why an instruction was not carried out.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What the Dockerfile asks for cannot be.
    User(String),
    /// A command failed.
    Command(String),
    /// This machine failed.
    Machine(io::Error),
    /// Already told in full.
    Told(BuildError),
    /// Of an instruction before, on that line.
    Before { line: usize, error: BuildError },
}

impl Fault {
    /// A failure to read what the author gave is the author's; the rest is the machine's.
    pub(crate) fn of(error: io::Error) -> Self {
        match error.raw_os_error() {
            _ if is_wish(&error) => Self::Told(BuildError::Cancelled),
            // Whoever put the path before it has taken the number away.
            None if is_full(&error) => Self::Machine(error),
            Some(_) => Self::Machine(error),
            None => Self::User(error.to_string()),
        }
    }
}

impl From<BuildError> for Fault {
    fn from(error: BuildError) -> Self {
        Self::Told(error)
    }
}

/// Where one stage is built: what it shares with the others, and its own state of the work.
pub(crate) struct Site<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) store: &'a Store,
    pub(crate) registries: &'a Registries,
    pub(crate) handle: &'a tokio::runtime::Handle,
    pub(crate) work: &'a Work,
    pub(crate) empty: PathBuf,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) context: &'a Source,
    pub(crate) now: i64,
    pub(crate) pushing: Option<&'a Pushing>,
    pub(crate) cache: &'a StepCache<'a>,
    /// Counts the directories of steps.
    pub(crate) steps: &'a AtomicU32,
    pub(crate) cancel: &'a Cancel,
    /// The layers of the stage's last commands, while they are packed, the lowest first.
    pub(crate) packing: VecDeque<Packing>,
    pub(crate) surroundings: Surroundings,
}

/// A stage as far as it was built.
#[derive(Debug, Clone, Default)]
pub(crate) struct Built {
    pub(crate) inherited: Inherited,
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<Layer>,
    pub(crate) history: Vec<Step>,
    /// The arguments at this point; `None` before the first instruction.
    pub(crate) args: Option<ArgScope>,
}

/// Finds the layers of what `--from` names.
pub(crate) type LayersOf<'a> = dyn Fn(&mut Site<'_>, &str) -> Result<Vec<Layer>, Fault> + 'a;

/// What an instruction may look at besides its own stage.
pub(crate) struct Around<'a> {
    pub(crate) from: &'a LayersOf<'a>,
    /// Files that commands find and no layer holds.
    pub(crate) files: &'a [TextFile],
    pub(crate) show: &'a mut dyn FnMut(Progress<'_>),
}

impl Site<'_> {
    /// Waits for what is far away, unless the build is to end.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, BuildError> {
        self.handle.block_on(self.cancel.unless_asked(work)).ok_or(BuildError::Cancelled)
    }

    /// Where the layers are unpacked, the lowest first.
    pub(crate) fn unpacked(&self, layers: &[Layer]) -> Result<Vec<PathBuf>, BuildError> {
        unpacked(layers, self.store, self.registries, self.handle, self.cancel)
    }

    pub(crate) fn tree(&self, layers: &[Layer]) -> Result<Root, Fault> {
        let paths = self.unpacked(layers)?;
        let overlay = Overlay::read_only(&paths, &self.empty).map_err(Fault::Machine)?;
        Ok(Root::of_fd(overlay.fd().map_err(Fault::Machine)?))
    }

    /// A new directory for one step.
    pub(crate) fn step_dir(&mut self) -> Result<PathBuf, Fault> {
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        let dir = self.work.path().join(format!("s{number}"));
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().mode(0o711).create(&dir);
        made.map(|()| dir).map_err(Fault::Machine)
    }
}

impl Built {
    /// Carries out the instructions that the parent kept (ONBUILD), as if they stood on the line
    /// of FROM.
    pub(crate) fn begin(
        &mut self,
        site: &mut Site<'_>,
        line: usize,
        scope: &mut ArgScope,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let mut show = |progress: Progress<'_>| match progress {
            Progress::Step { line, text } => {
                (around.show)(Progress::Step { line, text: &format!("ONBUILD {text}") });
            }
            other => (around.show)(other),
        };
        let mut around = Around { from: around.from, files: around.files, show: &mut show };
        for text in self.config.begin_stage() {
            let instruction = parse_trigger(&text)
                .map_err(|error| Fault::User(format!("ONBUILD {text}: {}", error.message)))?;
            let instruction = Instruction { line, end_line: line, ..instruction };
            self.carry_out(site, &instruction, scope, &mut around)?;
        }
        Ok(())
    }

    /// Carries out one instruction.
    pub(crate) fn carry_out(
        &mut self,
        site: &mut Site<'_>,
        instruction: &Instruction,
        scope: &mut ArgScope,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        if site.cancel.urgency() != Urgency::None {
            return Err(Fault::Told(BuildError::Cancelled));
        }
        (around.show)(Progress::Step { line: instruction.line, text: &instruction.original });
        let refused = |error: workflows::dockerfile::DockerfileError| {
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            Fault::User(format!("{}{hint}", error.message))
        };
        let expanded = scope.expand(instruction, &self.config).map_err(refused)?;
        match &expanded.kind {
            InstructionKind::Run(run) => self.run(site, run, scope, instruction, around),
            InstructionKind::Copy(copy) => {
                self.settle(site, around)?;
                self.copy(site, copy, instruction, around)
            }
            InstructionKind::Add(add) => {
                self.settle(site, around)?;
                self.add(site, add, instruction, around)
            }
            kind => {
                self.config.apply(instruction, scope).map_err(refused)?;
                match kind {
                    InstructionKind::Workdir(_) => {
                        self.settle(site, around)?;
                        self.make_workdir(site, instruction, around)
                    }
                    _ => {
                        let text = instruction.original.clone();
                        self.history.push(Step { text, has_layer: false });
                        Ok(())
                    }
                }
            }
        }
    }

    /// Makes a layer of planned files.
    pub(super) fn add_planned(
        &mut self,
        site: &mut Site<'_>,
        planned: Planned,
        text: &str,
        around: &mut Around<'_>,
    ) -> Result<Option<Layer>, Fault> {
        let fill = |tar: &mut LayerTar| planned.values().try_for_each(|entry| tar.append(entry));
        self.add_layer(site, text, around, fill)
    }

    /// Adds a file of ours that everybody may read.
    pub(crate) fn add_text(
        &mut self,
        site: &mut Site<'_>,
        file: &TextFile,
        text: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let tree = site.tree(&self.layers)?;
        let ownership = Ownership { owner: None, mode: None };
        let latest = site.request.latest_time;
        let mut destination = Destination::new(Some(&tree), ownership, latest, site.now);
        let path = tree.find(file.path.as_ref()).map_err(Fault::of)?.path;
        destination.add_text(path, &file.content).map_err(Fault::of)?;
        self.add_planned(site, destination.finish(), text, around).map(drop)
    }

    /// Makes a layer.
    pub(super) fn add_layer(
        &mut self,
        site: &mut Site<'_>,
        text: &str,
        around: &mut Around<'_>,
        fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
    ) -> Result<Option<Layer>, Fault> {
        let target = site.pushing.map(|pushing| (&pushing.pusher, site.handle));
        let (packed, stream) =
            pack(site.store, target, site.request.compression, site.cancel, fill)?;
        let layer = self.add_packed(site, packed, stream, around);
        self.history.push(Step { text: text.to_owned(), has_layer: layer.is_some() });
        Ok(layer)
    }

    /// Adds a layer that is made; one that would change nothing is none.
    pub(super) fn add_packed(
        &mut self,
        site: &Site<'_>,
        packed: PackedLayer,
        stream: Option<StreamEnd>,
        around: &mut Around<'_>,
    ) -> Option<Layer> {
        if packed.plain_size <= EMPTY_TAR_BYTES {
            return None;
        }
        (around.show)(Progress::Layer {
            digest: &packed.digest,
            size: packed.size,
            plain_size: packed.plain_size,
        });
        if let Some(pushing) = site.pushing {
            pushing.layer(site.handle, site.store, &packed.digest, stream);
        }
        let layer = Layer::made(packed, site.request.compression);
        self.layers.push(layer.clone());
        Some(layer)
    }

    /// Takes over what an earlier build made of the same step; `None` when there is nothing.
    pub(super) fn take_kept(
        &mut self,
        site: &mut Site<'_>,
        key: &Key,
        kind: Kind,
        at: &Instruction,
        around: &mut Around<'_>,
    ) -> Option<Entry> {
        let Found { entry, origin } = site.cache.find(key, kind)?;
        (around.show)(Progress::Kept { line: at.line, text: &at.original, made: entry.made });
        let text = at.original.clone();
        self.history.push(Step { text: text.clone(), has_layer: entry.layer.is_some() });
        let diff_id = entry.layer.as_ref().map(|layer| layer.diff_id.clone());
        let step = KeptStep { line: at.line, text, layer: diff_id, made: entry.made };
        site.cache.taken(step);
        if let Some(layer) = entry.layer.clone() {
            if let (Some(pushing), Origin::Made) = (site.pushing, &origin) {
                pushing.layer(site.handle, site.store, &layer.blob.digest, None);
            }
            let KeptLayer { diff_id, blob, plain_size } = layer;
            self.layers.push(Layer { diff_id, blob, origin, plain_size: Some(plain_size) });
        }
        Some(entry)
    }
}
