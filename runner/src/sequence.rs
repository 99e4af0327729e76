//! The steps of a job, one after the other: which of them begins, and what becomes of its end.
//!
//! A step that fails does not end the job here: those that ask for it still run. Only a fault of
//! ours, or a lease that is lost, ends everything at once.

mod action;
mod around;
mod container;
mod contexts;
mod evaluate;
mod prepare;
mod variables;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use workflows::expression::{Budget, Context, Functions, Value};
use workflows::job::{StepAction, StepSpec};
use workflows::state::Outcome;
use workflows::step_results::{StepOutcome, StepResults};
use workflows::template;

use crate::delivery::{Delivered, Pushed};
use crate::execute::Execution;
use crate::hash_files::Allowance;
use crate::steps::JobContainer;
use crate::steps::command_files::FilesDirectory;
use crate::stop::Stop;

use around::Post;
pub(crate) use contexts::of_services;
use prepare::{Prepared, StepEnv};
use watch::Watch;

/// What the steps of a job share.
pub(crate) struct Sequence<'a> {
    execution: &'a Execution<'a>,
    container: Option<JobContainer>,
    built: Option<Delivered>,
    files: FilesDirectory,
    /// What expressions can name that no step changes.
    base: Context,
    /// Variables of the job, with those that steps have set for later ones.
    env: BTreeMap<String, String>,
    /// Places of programs that steps have added, the last one first.
    path: Vec<String>,
    /// How many scripts were written.
    scripts: u32,
    /// Whether `::debug::` lines are shown.
    shows_debug: bool,
    /// How many steps were told to the bridge.
    told: u32,
    /// What actions have told themselves before their step, by its place in the job.
    states: BTreeMap<usize, BTreeMap<String, String>>,
    /// What actions do after all steps; the last one first.
    posts: Vec<Post>,
    /// The place in the job of the step that runs.
    at: usize,
    /// Images that were built for actions, by their Dockerfiles.
    images: BTreeMap<String, String>,
    /// What the expressions of the step that runs may still hash.
    may_hash: Arc<Mutex<Allowance>>,
}

/// The steps that see each other.
#[derive(Default)]
pub(crate) struct Scope {
    results: StepResults,
    /// Why the first step that failed did.
    failure: Option<Stop>,
    /// The composite action whose steps they are.
    frame: Option<Frame>,
}

/// What the steps of a composite action see beyond those of a job.
struct Frame {
    inputs: Value,
    /// Variables of the step that uses the action.
    env: BTreeMap<String, String>,
    /// Where the action is, as containers see it.
    place: String,
    /// How many actions use each other here.
    depth: usize,
    /// When the step that uses the action has to end.
    watch: Watch,
}

/// What a step that ran leaves.
#[derive(Default)]
struct Left {
    outputs: BTreeMap<String, String>,
    /// What it tells its own end.
    state: BTreeMap<String, String>,
}

/// What a step begins with.
struct Beginning {
    /// Its place in the job; `None` within an action.
    place: Option<usize>,
    name: String,
    env: Result<StepEnv, String>,
    context: Context,
}

impl<'a> Sequence<'a> {
    /// Prepares the job's own variables and what expressions can name.
    pub(crate) fn begin(
        execution: &'a Execution<'a>,
        container: Option<JobContainer>,
    ) -> Result<Self, Stop> {
        let base = contexts::of_job(execution);
        contexts::write_event(execution)?;
        let mut sequence = Self {
            execution,
            container,
            built: None,
            files: FilesDirectory::open(&execution.workspace.command_files())?,
            shows_debug: contexts::shows_debug(execution),
            base,
            env: BTreeMap::new(),
            path: Vec::new(),
            scripts: 0,
            told: 0,
            states: BTreeMap::new(),
            posts: Vec::new(),
            at: 0,
            images: BTreeMap::new(),
            may_hash: Arc::default(),
        };
        sequence.env = sequence.job_env()?;
        Ok(sequence)
    }

    fn job_env(&self) -> Result<BTreeMap<String, String>, Stop> {
        let spec = &self.execution.lease.spec;
        let mut env = spec.env.clone();
        let context = self.contexts(&Scope::default(), &env);
        let mut budget = Budget::default();
        for (name, template) in &spec.env_templates {
            let value = template.text(&context, &mut budget).map_err(|error| {
                Stop::failure(format!("line {}: in `env`.{name}: {error}", template.at.line))
            })?;
            env.insert(name.clone(), value);
        }
        Ok(env)
    }

    /// Runs all steps; the answer is the image that was built and pushed.
    pub(crate) async fn run(mut self) -> Result<Option<Pushed>, Stop> {
        let mut scope = Scope::default();
        let steps = &self.execution.lease.spec.steps;
        for (place, step) in steps.iter().enumerate() {
            self.at = place;
            self.before(&mut scope, step, place).await?;
        }
        for (place, step) in steps.iter().enumerate() {
            self.at = place;
            self.notice_cancellation(&mut scope);
            let beginning = self.beginning(&scope, step, Some(place)).await;
            self.began(&beginning.name);
            let outcome = self.step(&mut scope, step, beginning).await?;
            self.execution.progress.ended(outcome);
        }
        self.after(&mut scope).await?;
        self.notice_cancellation(&mut scope);
        self.job_outputs(&scope);
        if self.execution.cancel.is_cancelled() {
            // The supervisor knows who wanted it.
            return Err(Stop::Cancelled);
        }
        match scope.failure {
            Some(failure) if scope.results.has_failed() => {
                let pushed = self.built.and_then(|delivered| delivered.pushed);
                self.execution.gathered.pushed(pushed);
                Err(failure)
            }
            _ => Ok(self.built.and_then(|delivered| delivered.pushed)),
        }
    }

    /// Tells the bridge that something begins.
    fn began(&mut self, name: &str) {
        self.execution.progress.began(self.told, name);
        self.told += 1;
    }

    /// Evaluates what a step is called and what its expressions can name.
    async fn beginning(
        &mut self,
        scope: &Scope,
        step: &StepSpec,
        place: Option<usize>,
    ) -> Beginning {
        self.may_hash = Arc::default();
        let env = self.step_env(scope, step).await;
        let context = match &env {
            Ok(env) => self.contexts(scope, &env.all),
            Err(_) => self.contexts(scope, &self.env),
        };
        Beginning { place, name: self.name_of(step, &context).await, env, context }
    }

    /// Runs one step.
    async fn step(
        &mut self,
        scope: &mut Scope,
        step: &StepSpec,
        beginning: Beginning,
    ) -> Result<Outcome, Stop> {
        let Beginning { place, name, env, context } = beginning;
        let log = self.execution.log;
        let begins = self.begins(scope, step, &context).await;
        if begins == Ok(false) {
            log.line(&format!("Strata: step `{name}`: skipped"));
            scope.results.ended(step.id.as_deref(), StepOutcome::Skipped, false, &BTreeMap::new());
            return Ok(Outcome::Skipped);
        }
        log.line(&format!("Strata: step `{name}`"));
        let prepared = match begins.and(env) {
            Ok(env) => self.prepared(scope, step, env).await,
            Err(why) => Err(why),
        };
        let (mut left, mut continues) = (Left::default(), false);
        let ended = match prepared {
            Ok(prepared) => {
                let prepared = Prepared { place, name: name.clone(), ..prepared };
                let outer = scope.frame.as_ref().map(|frame| &frame.watch);
                let survives = self.survives(scope, step, &context);
                let watch = Watch::over(prepared.minutes, survives, outer);
                continues = prepared.continues_on_error;
                self.work(scope, &prepared, &watch, &mut left).await
            }
            Err(why) => Err(Stop::failure(why)),
        };
        let (outcome, told) = match ended {
            Ok(()) => (StepOutcome::Success, Outcome::Success),
            Err(stop) => {
                // A build names the line of its Dockerfile, which says more.
                let is_build = matches!(step.action, StepAction::LayeredBuild(_));
                let stop = if is_build { stop } else { about(stop, &name) };
                let told = stop.outcome();
                let outcome = match &stop {
                    // Nothing that a step could make good.
                    Stop::Fault { .. } | Stop::LeaseLost(_) => return Err(stop),
                    Stop::Cancelled => StepOutcome::Cancelled,
                    Stop::Failure(_) | Stop::TimedOut(_) => StepOutcome::Failure,
                };
                log.line(&format!("Strata: {told}: {stop}"));
                if !continues && outcome == StepOutcome::Failure {
                    // A step has a time of its own; that it is over is the job's failure.
                    scope.failure.get_or_insert(Stop::Failure(stop.to_string()));
                }
                (outcome, told)
            }
        };
        scope.results.ended(step.id.as_deref(), outcome, continues, &left.outputs);
        Ok(told)
    }

    /// A composite action that goes on although the job is cancelled does so with all its steps.
    fn notice_cancellation(&self, scope: &mut Scope) {
        let goes_on = scope.frame.as_ref().is_some_and(|frame| frame.watch.ignores_cancellation());
        if self.execution.cancel.is_cancelled() && !goes_on {
            scope.results.cancel();
        }
    }

    /// Evaluates what other jobs may read. One that shows a secret is not told.
    fn job_outputs(&self, scope: &Scope) {
        let Execution { log, gathered, .. } = self.execution;
        let context = self.contexts(scope, &self.env);
        let mut budget = Budget::default();
        for (name, template) in &self.execution.lease.spec.outputs {
            let functions = Functions::default();
            let value = template::evaluate(template, &context, &functions, &mut budget);
            let why = match value.map(|value| value.to_text().to_string()) {
                Ok(value) if log.shows_a_secret(&value) => "it shows a secret".to_owned(),
                Ok(value) if gathered.output(name, &value) => continue,
                Ok(_) => "the outputs of the job are too long".to_owned(),
                Err(error) => error.to_string(),
            };
            log.line(&format!("##[warning]output `{name}` of the job is left out: {why}"));
        }
    }
}

/// Says which step it was, where that is not said yet.
fn about(stop: Stop, name: &str) -> Stop {
    match stop {
        Stop::Failure(why) if !why.starts_with("step `") => {
            Stop::Failure(format!("step `{name}`: {why}"))
        }
        Stop::TimedOut(why) => Stop::TimedOut(format!("step `{name}`: {why}")),
        stop => stop,
    }
}
