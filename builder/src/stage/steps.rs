//! One stage, instruction by instruction.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use workflows::dockerfile::{
    Add, ArgScope, Copy, ImageConfig, Instruction, InstructionKind, Run, Transfer, parse_trigger,
    run_command,
};

use super::layers::{Layer, Origin, unpacked};
use super::mounts;
use super::transfer::{Copying, plan_workdir};
use crate::build::{BuildRequest, Progress, Pushing};
use crate::confine::{Command, Ending, Network, Overlay, Runtime, Sandbox, resolve_user};
use crate::copy::{Planned, Source, SourceKind};
use crate::error::BuildError;
use crate::image::{Inherited, Step};
use crate::layer::{LayerTar, pack, snapshot};
use crate::registry::{Descriptor, LAYER_TYPE, Registries};
use crate::root::Root;
use crate::store::{Store, Work};

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
}

impl Fault {
    /// A failure to read what the author gave is the author's; the rest is the machine's.
    pub(crate) fn of(error: io::Error) -> Self {
        match error.raw_os_error() {
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

/// What the stages of one build share.
pub(crate) struct Site<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) store: &'a Store,
    pub(crate) registries: &'a Registries,
    pub(crate) handle: &'a tokio::runtime::Handle,
    pub(crate) work: &'a Work,
    pub(crate) empty: PathBuf,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) context: Source,
    pub(crate) now: i64,
    pub(crate) pushing: Option<Pushing>,
    pub(crate) steps: u32,
}

/// A stage as far as it was built.
#[derive(Debug, Clone, Default)]
pub(crate) struct Built {
    pub(crate) inherited: Inherited,
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<Layer>,
    pub(crate) history: Vec<Step>,
}

/// Finds the layers of what `--from` names.
pub(crate) type LayersOf<'a> = dyn Fn(&mut Site<'_>, &str) -> Result<Vec<Layer>, Fault> + 'a;

/// What an instruction may look at besides its own stage.
pub(crate) struct Around<'a> {
    pub(crate) from: &'a LayersOf<'a>,
    pub(crate) show: &'a mut dyn FnMut(Progress<'_>),
}

impl Site<'_> {
    pub(crate) fn tree(&self, layers: &[Layer]) -> Result<Root, Fault> {
        let paths = unpacked(layers, self.store, self.registries, self.handle)?;
        let overlay = Overlay::read_only(&paths, &self.empty).map_err(Fault::Machine)?;
        Ok(Root::of_fd(overlay.fd().map_err(Fault::Machine)?))
    }

    /// A new directory for one step.
    fn step_dir(&mut self) -> Result<PathBuf, Fault> {
        self.steps += 1;
        let dir = self.work.path().join(format!("s{}", self.steps));
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().mode(0o711).create(&dir);
        made.map(|()| dir).map_err(Fault::Machine)
    }
}

impl Built {
    /// Carries out the instructions that the parent kept (ONBUILD).
    pub(crate) fn begin(
        &mut self,
        site: &mut Site<'_>,
        scope: &mut ArgScope,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        for text in self.config.begin_stage() {
            let instruction = parse_trigger(&text)
                .map_err(|error| Fault::User(format!("ONBUILD {text}: {}", error.message)))?;
            self.carry_out(site, &instruction, scope, around)?;
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
        (around.show)(Progress::Step { line: instruction.line, text: &instruction.original });
        let refused = |error: workflows::dockerfile::DockerfileError| {
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            Fault::User(format!("{}{hint}", error.message))
        };
        let expanded = scope.expand(instruction, &self.config).map_err(refused)?;
        let text = &instruction.original;
        match &expanded.kind {
            InstructionKind::Run(run) => self.run(site, run, scope, text, around),
            InstructionKind::Copy(copy) => self.copy(site, copy, text, around),
            InstructionKind::Add(add) => self.add(site, add, text, around),
            kind => {
                self.config.apply(instruction, scope).map_err(refused)?;
                match kind {
                    InstructionKind::Workdir(_) => self.make_workdir(site, text, around),
                    _ => {
                        self.history.push(Step { text: text.clone(), has_layer: false });
                        Ok(())
                    }
                }
            }
        }
    }

    fn run(
        &mut self,
        site: &mut Site<'_>,
        run: &Run,
        scope: &ArgScope,
        text: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let network = match (run.network.as_deref(), run.security.as_deref()) {
            (_, Some("insecure")) => {
                return Err(Fault::User("--security=insecure is never allowed".to_owned()));
            }
            (Some("none"), _) => Network::None,
            (Some("host"), _) if site.request.network != Network::Host => {
                return Err(Fault::User("--network=host is not allowed for this build".to_owned()));
            }
            _ => site.request.network,
        };
        let command = run_command(run, &self.config, scope);
        if command.script.is_some() {
            let why = "a here-document with its own interpreter (`#!`) is not supported; write \
                       the script into a file with COPY";
            return Err(Fault::User(why.to_owned()));
        }
        let runtime = site.runtime.clone().ok_or_else(|| {
            Fault::Told(BuildError::Sandbox("neither crun nor runc is installed".to_owned()))
        })?;
        let paths = unpacked(&self.layers, site.store, site.registries, site.handle)?;
        let dir = site.step_dir()?;
        let workdir =
            if self.config.workdir.is_empty() { "/" } else { self.config.workdir.as_str() };
        let user = {
            let overlay = Overlay::read_only(&paths, &site.empty).map_err(Fault::Machine)?;
            let root = Root::of_fd(overlay.fd().map_err(Fault::Machine)?);
            resolve_user(&root, &self.config.user, false).map_err(Fault::User)?
        };
        let command = Command {
            argv: command.argv,
            env: command.env,
            cwd: workdir.to_owned(),
            user,
            network,
            memory: mounts::memory(&run.mounts, workdir).map_err(Fault::User)?,
        };
        let limits = &site.request.limits;
        let sandbox =
            Sandbox { runtime: &runtime, work: site.work.path(), empty: &site.empty, limits };
        let mut show = |bytes: &[u8]| (around.show)(Progress::Output(bytes));
        let ending = sandbox.run(&paths, &dir, &command, &mut show).map_err(|error| {
            Fault::Told(BuildError::Sandbox(format!("cannot run the command: {error}")))
        })?;
        match ending {
            Ending::Exit(0) => {}
            Ending::Exit(code) => {
                return Err(Fault::Command(format!("the command ended with exit code {code}")));
            }
            // A program that the image does not have is the author's fault, all else ours.
            Ending::NotStarted(why) if why.contains("exec") => {
                return Err(Fault::Command(format!("the command cannot be started: {why}")));
            }
            Ending::NotStarted(why) => return Err(Fault::Told(BuildError::Sandbox(why))),
            Ending::TimedOut => {
                let limit = limits.step_timeout.as_secs();
                return Err(Fault::Command(format!("the command ran longer than {limit} s")));
            }
            Ending::Silent => {
                let limit = limits.silence_timeout.as_secs();
                return Err(Fault::Command(format!("the command was silent for {limit} s")));
            }
        }
        let upper_path = dir.join("upper");
        let upper = Arc::new(Root::open(&upper_path).map_err(Fault::Machine)?);
        let latest = site.request.latest_time;
        let diff_id = self.add_layer(site, text, around, |tar| snapshot(&upper, latest, tar))?;
        // What was just written need not be unpacked again, unless the layer tells other times.
        if latest.is_none() && !site.store.has_layer(&diff_id) {
            site.store.keep_layer(&upper_path, &diff_id).map_err(Fault::Machine)?;
        }
        Ok(())
    }

    fn copy(
        &mut self,
        site: &mut Site<'_>,
        copy: &Copy,
        text: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        if copy.parents {
            return Err(Fault::User("--parents is not supported by this builder".to_owned()));
        }
        let source = match &copy.from {
            None => None,
            Some(name) => {
                let layers = (around.from)(site, name)?;
                let root = Arc::new(site.tree(&layers)?);
                Some(Source { root, kind: SourceKind::Image })
            }
        };
        let planned = self.plan(site, &copy.transfer, source.as_ref(), None)?;
        self.add_planned(site, planned, text, around)
    }

    fn add(
        &mut self,
        site: &mut Site<'_>,
        add: &Add,
        text: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        if add.checksum.is_some() || add.keep_git_dir {
            let why = "--checksum and --keep-git-dir are for remote sources, which are not fetched";
            return Err(Fault::User(why.to_owned()));
        }
        let planned = self.plan(site, &add.transfer, None, Some(add.unpack))?;
        self.add_planned(site, planned, text, around)
    }

    /// `unpack` is there for ADD alone.
    fn plan(
        &self,
        site: &mut Site<'_>,
        transfer: &Transfer,
        source: Option<&Source>,
        unpack: Option<Option<bool>>,
    ) -> Result<Planned, Fault> {
        let tree = site.tree(&self.layers)?;
        let dir = unpack.map(|_| site.step_dir()).transpose()?;
        let copying = Copying {
            transfer,
            source: source.unwrap_or(&site.context),
            tree: &tree,
            workdir: &self.config.workdir,
            unpack_in: dir.as_deref(),
            unpack: unpack.flatten(),
            latest: site.request.latest_time,
            now: site.now,
        };
        copying.plan()
    }

    fn make_workdir(
        &mut self,
        site: &mut Site<'_>,
        text: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let tree = site.tree(&self.layers)?;
        let (workdir, user) = (&self.config.workdir, &self.config.user);
        let planned = plan_workdir(&tree, workdir, user, site.request.latest_time, site.now)?;
        if planned.is_empty() {
            self.history.push(Step { text: text.to_owned(), has_layer: false });
            return Ok(());
        }
        self.add_planned(site, planned, text, around)
    }

    fn add_planned(
        &mut self,
        site: &mut Site<'_>,
        planned: Planned,
        text: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Fault> {
        let fill = |tar: &mut LayerTar| planned.values().try_for_each(|entry| tar.append(entry));
        self.add_layer(site, text, around, fill).map(drop)
    }

    fn add_layer(
        &mut self,
        site: &mut Site<'_>,
        text: &str,
        around: &mut Around<'_>,
        fill: impl FnOnce(&mut LayerTar) -> io::Result<()>,
    ) -> Result<workflows::image::Digest, Fault> {
        let target = site.pushing.as_ref().map(|pushing| (&pushing.pusher, site.handle));
        let (layer, stream) = pack(site.store, target, fill)?;
        (around.show)(Progress::Layer {
            digest: &layer.digest,
            size: layer.size,
            plain_size: layer.plain_size,
        });
        if let Some(pushing) = &mut site.pushing {
            pushing.layer(site.handle, site.store, &layer, stream);
        }
        let blob = Descriptor {
            media_type: LAYER_TYPE.to_owned(),
            digest: layer.digest,
            size: layer.size,
            urls: Vec::new(),
        };
        self.layers.push(Layer { diff_id: layer.diff_id.clone(), blob, origin: Origin::Made });
        self.history.push(Step { text: text.to_owned(), has_layer: true });
        Ok(layer.diff_id)
    }
}
