//! A job's work: sources and images made ready together, then one step after the other.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workflows::image::ParentPin;
use workflows::job::{Credentials, StepAction, StepSpec};
use workflows::protocol::Lease;

use crate::delivery::Pushed;
use crate::engine::{AttemptNames, Engine};
use crate::gathered::Gathered;
use crate::local::Tree;
use crate::log::AttemptLog;
use crate::lookaside::Cache;
use crate::push::Registries;
use crate::sequence::{self, Sequence};
use crate::services;
use crate::steps::JobContainer;
use crate::steps::progress::Progress;
use crate::stop::Stop;
use crate::strata::{self, Strata};
use crate::workspace::Workspace;
use crate::{actions, checkout};

/// Everything that the work of one attempt stands on.
#[derive(Clone)]
pub(crate) struct Execution<'a> {
    /// Where containers run.
    pub(crate) engine: &'a Engine,
    /// Strata's own builder, where it builds.
    pub(crate) strata: Option<&'a Strata>,
    /// Builds of that builder, for as long as anything of them is there.
    pub(crate) builds: TaskTracker,
    /// Where images come from and go to.
    pub(crate) registries: &'a Registries,
    /// Files of `sources` that earlier jobs needed.
    pub(crate) lookaside: &'a Cache,
    /// The runner's name.
    pub(crate) runner: &'a str,
    /// What to do.
    pub(crate) lease: &'a Lease,
    /// How everything is called.
    pub(crate) names: &'a AttemptNames,
    /// What people see.
    pub(crate) log: &'a AttemptLog,
    /// What steps say beside it.
    pub(crate) gathered: &'a Gathered,
    /// Where files are.
    pub(crate) workspace: &'a Workspace,
    /// What the bridge sees.
    pub(crate) progress: &'a Progress,
    /// Files that are taken instead of the commit.
    pub(crate) tree: Option<&'a Tree>,
    /// Most bytes that the job may have on the disk.
    pub(crate) disk_bytes: u64,
    /// Cancelled when the job is to stop: what runs is ended, and only what asks for it begins.
    pub(crate) cancel: CancellationToken,
    /// Cancelled when nothing new may begin; a build has one of its own.
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
    let ready = async {
        let container = make_ready(execution);
        let (sources, actions) = (checkout::checkout(execution), actions::fetch(execution));
        tokio::try_join!(sources, actions, container).map(|made| made.2)
    };
    let container = tokio::select! {
        container = ready => container?,
        () = execution.cancel.cancelled() => return Err(Stop::Cancelled),
    };
    let ended = Sequence::begin(execution, container)?.run().await;
    if matches!(ended, Err(Stop::Failure(_) | Stop::TimedOut(_))) {
        services::show_logs(execution).await;
    }
    ended
}

/// Pulls every image that the job needs, and starts the container of its first commands.
async fn make_ready(execution: &Execution<'_>) -> Result<Option<JobContainer>, Stop> {
    let spec = &execution.lease.spec;
    let runs =
        |step: &StepSpec| matches!(step.action, StepAction::Run { .. } | StepAction::Action { .. });
    let needs_image = spec.steps.iter().any(runs);
    let begins_with_run = spec
        .steps
        .iter()
        .find(|step| step.action != StepAction::Checkout)
        .is_some_and(|step| matches!(step.action, StepAction::Run { .. }));
    let job_image = spec.image.iter().filter(|_| needs_image);
    let job_image = job_image.map(|image| (image, spec.credentials.as_deref()));
    let services =
        spec.services.iter().map(|service| (&service.image, service.credentials.as_deref()));
    let parents = spec.steps.iter().flat_map(|step| match &step.action {
        StepAction::LayeredBuild(build) => build.pins.as_slice(),
        StepAction::Run { .. }
        | StepAction::Checkout
        | StepAction::TestImage { .. }
        | StepAction::Action { .. } => &[],
    });
    // Strata's own builder has a store of its own.
    let (in_engine, built_on): (Vec<&ParentPin>, Vec<&ParentPin>) = match execution.strata {
        Some(_) => (Vec::new(), parents.collect()),
        None => (parents.collect(), Vec::new()),
    };
    let in_engine = in_engine.into_iter().map(|pin| (pin, None));
    let mut pins: Vec<(&ParentPin, Option<&Credentials>)> =
        job_image.chain(services).chain(in_engine).collect();
    let key = |pin: &ParentPin| (pin.reference.name(), pin.digest.clone());
    // Of one image that is named twice, the login counts.
    pins.sort_by_key(|(pin, credentials)| (key(pin), credentials.is_none()));
    pins.dedup_by_key(|(pin, _)| key(pin));
    let pulls = pins.into_iter();
    let pulls = pulls.map(|(pin, login)| execution.registries.pull(execution, pin, login));
    let pulls = futures_util::future::try_join_all(pulls);
    let parents = strata::prefetch(execution, built_on);
    tokio::try_join!(pulls, parents)?;
    services::start(execution, &sequence::of_services(execution)).await?;
    if begins_with_run { JobContainer::start(execution).await.map(Some) } else { Ok(None) }
}
