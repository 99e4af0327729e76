//! Builds an image from a pinned Dockerfile, one confined container for each command.
//!
//! Docker's own build call gives its containers no bound on processes, all of Docker's
//! capabilities and no label to find them by, so it is not used. Instead the file is carried out
//! on the container calls: files go into a container that is never started or before it is, the
//! command runs under the job's confinement, and the result is committed as one layer.
//!
//! The layers are then rewritten (`clean`): a time that is later than the commit becomes the
//! commit's, and what stood in a container for its command alone is left out. The same sources on
//! the same parents therefore give the same image, on whatever runner and at whatever hour.
//!
//! The last step gives the layers their configuration. Committing would leak the container's own
//! labels and variables into the image, so a configuration of ours is loaded over layers that
//! the engine already has; that also puts the tag and the commit's time, in one call.

mod archive;
mod chown;
mod clean;
mod config;
mod context;
mod copy;
mod destination;
mod finish;
mod from;
mod glob;
mod help;
mod history;
mod layer;
mod names;
mod own_layers;
mod pipe;
mod plan;
mod recipe;
mod repositories;
mod stage;
mod step;
mod tarball;
mod transplant;
mod walk;

use std::collections::HashMap;
use std::path::PathBuf;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use workflows::evidence::SourceFile;
use workflows::help::{HELP_FILE, MAX_HELP_BYTES};
use workflows::job::BuildSpec;

use crate::delivery::{self, Delivered};
use crate::execute::Execution;
use crate::small_file;
use crate::stop::Stop;
use context::Context;
pub(crate) use context::Context as BuildContext;
pub(crate) use help::{page as help_page, told as help_told};
pub(crate) use names::{check_names, fits_this_machine};
pub(crate) use recipe::Recipe;
use repositories::Injected;
use stage::{BuiltStage, Stages};
pub(crate) use step::shown;

/// What every part of one build stands on.
struct Build<'a> {
    execution: &'a Execution<'a>,
    spec: &'a BuildSpec,
    recipe: Recipe,
    context: Context,
    /// What `help.md` of the repository says.
    help: Option<String>,
    /// Containers that COPY --from reads, by what they are of.
    sources: Mutex<HashMap<String, String>>,
    /// What was put into containers and must be in no layer of the image.
    injected: Mutex<Injected>,
    /// Containers on their way out, awaited before the build is over.
    removals: Mutex<JoinSet<()>>,
}

/// Builds, and delivers what was built; `fetched` are files of the context that are not the
/// repository's.
pub(crate) async fn build(
    execution: &Execution<'_>,
    spec: &BuildSpec,
    fetched: Vec<SourceFile>,
) -> Result<Delivered, Stop> {
    for note in &spec.notes {
        execution.log.line(&format!("Strata: note: {note}"));
    }
    fits_this_machine(&execution.engine.architecture).map_err(Stop::sandbox)?;
    let reference = spec.target.tagged(&spec.tags.unique).to_string();
    let build = Build::begin(execution, spec, execution.workspace.sources()).await?;
    let last = build.last_stage().await?;
    execution.workspace.note_image(&reference)?;
    build.finish(&last, &reference).await?;
    let delivered = delivery::deliver(execution, spec, &reference, fetched).await;
    // The engine removes containers while it pushes.
    build.ended().await;
    delivered
}

/// Builds an image that stays in the engine, from files below `root`; the attempt's labels, which
/// `spec` has to put on it, are what finds it again.
pub(crate) async fn build_here(
    execution: &Execution<'_>,
    spec: &BuildSpec,
    root: PathBuf,
    reference: &str,
) -> Result<(), Stop> {
    let build = Build::begin(execution, spec, root).await?;
    let last = build.last_stage().await?;
    build.finish(&last, reference).await?;
    build.ended().await;
    Ok(())
}

impl<'a> Build<'a> {
    /// Reads what the build stands on.
    async fn begin(
        execution: &'a Execution<'a>,
        spec: &'a BuildSpec,
        root: PathBuf,
    ) -> Result<Self, Stop> {
        let (recipe, context, help) = blocking({
            let spec = spec.clone();
            move || {
                let recipe = Recipe::read(&root, &spec)?;
                let context = Context::open(&root, &spec)?;
                let help = small_file::read(&root, HELP_FILE, MAX_HELP_BYTES)?;
                Ok((recipe, context, help))
            }
        })
        .await?;
        Ok(Self {
            execution,
            spec,
            recipe,
            context,
            help,
            sources: Mutex::new(HashMap::new()),
            injected: Mutex::default(),
            removals: Mutex::new(JoinSet::new()),
        })
    }

    /// Builds the stages that the image needs; the answer is the last one.
    async fn last_stage(&self) -> Result<BuiltStage, Stop> {
        let mut stages = Stages::new();
        for index in self.recipe.needed() {
            let built = self.stage(index, &stages).await?;
            stages.insert(index, built);
        }
        let last = stages.remove(&self.recipe.target());
        last.ok_or_else(|| Stop::bug("the last stage was not built"))
    }

    /// Waits for the removal of the build's containers.
    async fn ended(&self) {
        while self.removals.lock().await.join_next().await.is_some() {}
    }
}

/// Runs file work where it does not hold up the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Stop> + Send + 'static,
) -> Result<T, Stop> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Stop::bug(format!("file work broke: {error}"))),
    }
}
