//! A job's work: sources and images made ready together, then one step after the other.

use tokio_util::sync::CancellationToken;
use workflows::image::ParentPin;
use workflows::job::{StepAction, StepSpec};
use workflows::protocol::Lease;
use workflows::state::Outcome;

use crate::delivery::{Delivered, Pushed};
use crate::engine::{AttemptNames, Engine};
use crate::image_test::{self, Test};
use crate::log::AttemptLog;
use crate::lookaside::{self, Cache};
use crate::push::Registries;
use crate::steps::JobContainer;
use crate::steps::progress::Progress;
use crate::stop::Stop;
use crate::workspace::Workspace;
use crate::{checkout, image_build};

/// Everything that the work of one attempt stands on.
pub(crate) struct Execution<'a> {
    /// Where containers run.
    pub(crate) engine: &'a Engine,
    /// Where images come from and go to.
    pub(crate) registries: &'a Registries,
    /// Files of `sources` that earlier jobs needed.
    pub(crate) lookaside: &'a Cache,
    /// What to do.
    pub(crate) lease: &'a Lease,
    /// How everything is called.
    pub(crate) names: &'a AttemptNames,
    /// What people see.
    pub(crate) log: &'a AttemptLog,
    /// Where files are.
    pub(crate) workspace: &'a Workspace,
    /// What the bridge sees.
    pub(crate) progress: &'a Progress,
    /// Cancelled when nothing new may begin.
    pub(crate) halt: CancellationToken,
}

impl Execution<'_> {
    /// Refuses to begin anything new once the attempt must stop.
    pub(crate) fn may_go_on(&self) -> Result<(), Stop> {
        // The supervisor knows the true reason and reports that one.
        if self.halt.is_cancelled() { Err(Stop::Cancelled) } else { Ok(()) }
    }
}

/// Executes a job; the answer is the image that it built and pushed.
pub(crate) async fn execute(execution: &Execution<'_>) -> Result<Option<Pushed>, Stop> {
    let mut container = tokio::try_join!(checkout::checkout(execution), make_ready(execution))?.1;
    let mut built = None;
    for (index, step) in (0..).zip(&execution.lease.spec.steps) {
        execution.may_go_on()?;
        execution.progress.began(index, &step.name);
        execution.log.line(&format!("Strata: step `{}`", step.name));
        run_step(execution, step, index, &mut container, &mut built).await?;
        execution.progress.ended(Outcome::Success);
    }
    Ok(built.and_then(|delivered| delivered.pushed))
}

async fn run_step(
    execution: &Execution<'_>,
    step: &StepSpec,
    index: u32,
    container: &mut Option<JobContainer>,
    built: &mut Option<Delivered>,
) -> Result<(), Stop> {
    match &step.action {
        StepAction::Run { script, shell, working_directory } => {
            if container.is_none() {
                *container = Some(JobContainer::start(execution).await?);
            }
            let Some(container) = container else {
                return Err(Stop::bug("a job's container was made and is not there"));
            };
            let command = crate::steps::Command { index, script, shell: *shell, working_directory };
            container.run(execution, step, &command).await
        }
        StepAction::Checkout => {
            let source = &execution.lease.spec.source;
            execution.log.line(&format!("{} at {}", source.repository, source.commit));
            Ok(())
        }
        StepAction::LayeredBuild(spec) => {
            end_processes(execution, container).await?;
            let fetched = lookaside::fetch(execution, spec).await?;
            *built = Some(image_build::build(execution, spec, fetched).await?);
            Ok(())
        }
        StepAction::TestImage { script, shell } => {
            let Some(image) = built else {
                return Err(Stop::failure(format!(
                    "step `{}`: there is no image to test yet",
                    step.name
                )));
            };
            end_processes(execution, container).await?;
            let test = Test { index, script, shell: *shell };
            image_test::run(execution, step, &test, image).await
        }
    }
}

/// Ends what earlier steps left running: it could swap files of the checkout, for links to files
/// of the host, under the eyes of what reads them now.
async fn end_processes(
    execution: &Execution<'_>,
    container: &mut Option<JobContainer>,
) -> Result<(), Stop> {
    match container.take() {
        Some(container) => container.remove(execution).await,
        None => Ok(()),
    }
}

/// Pulls every image that the job needs, and starts the container of its first commands.
async fn make_ready(execution: &Execution<'_>) -> Result<Option<JobContainer>, Stop> {
    let spec = &execution.lease.spec;
    let runs = |step: &StepSpec| matches!(step.action, StepAction::Run { .. });
    let needs_image = spec.steps.iter().any(runs);
    let begins_with_run =
        spec.steps.iter().find(|step| step.action != StepAction::Checkout).is_some_and(runs);
    let job_image = spec.image.iter().filter(|_| needs_image);
    let parents = spec.steps.iter().flat_map(|step| match &step.action {
        StepAction::LayeredBuild(build) => build.pins.as_slice(),
        StepAction::Run { .. } | StepAction::Checkout | StepAction::TestImage { .. } => &[],
    });
    let mut pins: Vec<&ParentPin> = job_image.chain(parents).collect();
    pins.sort_by_key(|pin| (pin.reference.name(), pin.digest.clone()));
    pins.dedup_by_key(|pin| (pin.reference.name(), pin.digest.clone()));
    let pulls = pins.into_iter().map(|pin| execution.registries.pull(execution, pin));
    futures_util::future::try_join_all(pulls).await?;
    if begins_with_run { JobContainer::start(execution).await.map(Some) } else { Ok(None) }
}
