//! All stages that the image needs, several at once where they do not need each other.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};

use workflows::dockerfile::{Dockerfile, StageBase};

use super::one_stage::{self, Ended};
use super::schedule::{Ready, Schedule};
use super::{BuildRequest, Progress, Pushing, Warning, arguments};
use crate::cache::StepCache;
use crate::cancel::Cancel;
use crate::confine::{Runtime, Surroundings};
use crate::copy::Source;
use crate::error::BuildError;
use crate::registry::Registries;
use crate::stage::{Built, Site};
use crate::store::{Store, Work};

/// Most stages that are built at once; each has its compressors and their memory.
const MAX_AT_ONCE: usize = 4;

/// A Dockerfile with what its stages stand on.
pub(super) struct Recipe {
    pub(super) file: Dockerfile,
    pub(super) bases: Vec<StageBase>,
    pub(super) build_args: BTreeMap<String, String>,
    /// The stage that becomes the image.
    pub(super) last: usize,
}

/// What all stages of one build share.
pub(super) struct Shared<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) store: &'a Store,
    pub(super) registries: &'a Registries,
    pub(super) handle: &'a tokio::runtime::Handle,
    pub(super) work: &'a Work,
    pub(super) empty: PathBuf,
    pub(super) runtime: Option<Runtime>,
    pub(super) context: Source,
    pub(super) now: i64,
    pub(super) pushing: Option<&'a Pushing>,
    pub(super) cache: &'a StepCache<'a>,
    pub(super) steps: AtomicU32,
    pub(super) cancel: &'a Cancel,
}

type Show<'a> = dyn FnMut(Progress<'_>) + Send + 'a;

impl Shared<'_> {
    pub(super) fn site(&self) -> Site<'_> {
        Site {
            request: self.request,
            store: self.store,
            registries: self.registries,
            handle: self.handle,
            work: self.work,
            empty: self.empty.clone(),
            runtime: self.runtime.clone(),
            context: &self.context,
            now: self.now,
            pushing: self.pushing,
            cache: self.cache,
            steps: &self.steps,
            cancel: self.cancel,
            packing: VecDeque::new(),
            surroundings: Surroundings::default(),
        }
    }
}

/// Builds what the last stage needs, and the last stage.
pub(super) fn build(
    shared: &Shared<'_>,
    recipe: &Recipe,
    show: &mut Show<'_>,
) -> Result<Built, BuildError> {
    let done = all(shared, recipe, show);
    // A build that failed may have failed for want of an argument whose name was misspelt.
    let built = done.iter().flat_map(BTreeMap::values);
    let triggers = built.flat_map(|built| &built.inherited.config.on_build);
    let unused = arguments::unused(&recipe.file, &shared.request.build_args, triggers);
    if !unused.is_empty() {
        show(Progress::Warning(&Warning::UnusedArguments(unused)));
    }
    let last = done?.remove(&recipe.last);
    last.ok_or_else(|| BuildError::Sandbox("the last stage was not built".to_owned()))
}

fn all(
    shared: &Shared<'_>,
    recipe: &Recipe,
    show: &mut Show<'_>,
) -> Result<BTreeMap<usize, Built>, BuildError> {
    let mut schedule = Schedule::new(&recipe.file, &recipe.bases, recipe.last);
    if schedule.is_single()
        && let Some(ready) = schedule.next(|_| false)
    {
        let (mut site, none) = (shared.site(), BTreeMap::new());
        let mut show = |progress: Progress<'_>| show(progress);
        match one_stage::build(&mut site, recipe, ready.index, ready.parent, &none, &mut show)? {
            Ended::Built(built) => return Ok(BTreeMap::from([(ready.index, built)])),
            Ended::Waits { parent, missing } => schedule.wait(ready.index, missing, parent),
        }
    }
    side_by_side(shared, recipe, schedule, show)
}

/// What a stage is called.
fn name_of(recipe: &Recipe, index: usize) -> String {
    let name = recipe.file.stages[index].name.clone();
    name.unwrap_or_else(|| format!("stage-{index}"))
}

fn side_by_side(
    shared: &Shared<'_>,
    recipe: &Recipe,
    mut schedule: Schedule<'_>,
    show: &mut Show<'_>,
) -> Result<BTreeMap<usize, Built>, BuildError> {
    let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_AT_ONCE);
    let show = Mutex::new(Told { show, stage: None });
    let (sender, ended) = channel();
    let mut done: BTreeMap<usize, Built> = BTreeMap::new();
    let (mut running, mut failed) = (0, None);
    std::thread::scope(|scope| {
        loop {
            // Who speaks is plain where one speaks after the other.
            let is_told = at_once > 1 && !schedule.is_chain();
            while failed.is_none() && running < at_once {
                let ready = schedule.next(|stage| done.contains_key(&stage));
                let Some(Ready { index, needs, parent }) = ready else { break };
                let stages = done.iter().filter(|(known, _)| needs.contains(known));
                let stages: BTreeMap<usize, Built> =
                    stages.map(|(&known, built)| (known, built.clone())).collect();
                let (sender, show) = (sender.clone(), &show);
                running += 1;
                // The thread inherits the build's own view of the mounts.
                scope.spawn(move || {
                    let stage = is_told.then(|| name_of(recipe, index));
                    let mut tell = |progress: Progress<'_>| {
                        let mut told = show.lock().unwrap_or_else(PoisonError::into_inner);
                        told.tell(stage.as_deref(), progress);
                    };
                    let mut site = shared.site();
                    let built =
                        one_stage::build(&mut site, recipe, index, parent, &stages, &mut tell);
                    // The receiver waits for every stage that runs.
                    let _ = sender.send((index, built));
                });
            }
            if running == 0 {
                break;
            }
            let Ok((index, built)) = ended.recv() else { break };
            running -= 1;
            match built {
                Ok(Ended::Built(built)) => drop(done.insert(index, built)),
                Ok(Ended::Waits { parent, missing }) => schedule.wait(index, missing, parent),
                // The first failure is the reason; it ends the others.
                Err(error) => {
                    shared.cancel.kill();
                    failed.get_or_insert(error);
                }
            }
        }
    });
    failed.map_or(Ok(done), Err)
}

/// Where all stages tell how they go on.
struct Told<'a, 'b> {
    show: &'a mut Show<'b>,
    /// Who spoke last.
    stage: Option<String>,
}

impl Told<'_, '_> {
    fn tell(&mut self, stage: Option<&str>, progress: Progress<'_>) {
        if let Some(name) = stage.filter(|name| self.stage.as_deref() != Some(name)) {
            (self.show)(Progress::Stage(name));
            self.stage = Some(name.to_owned());
        }
        (self.show)(progress);
    }
}
