//! What actions do before their step and after all steps of the job.

use std::collections::BTreeMap;
use std::sync::Arc;

use workflows::expression::Context;
use workflows::job::{StepAction, StepSpec};
use workflows::state::Outcome;
use workflows::step_results::{StepOutcome, StepResults};
use workflows::template::Template;

use super::action::{Phase, Use};
use super::container::ActionContainer;
use super::prepare::Prepared;
use super::watch::Watch;
use super::{Left, Scope, Sequence};
use crate::stop::Stop;

/// What an action does after all steps.
pub(super) struct Post {
    /// The place in the job of its step, or of the step that it is within.
    pub(super) place: usize,
    /// Whether it is of that step, and not of an action within.
    pub(super) is_steps: bool,
    /// As shown.
    pub(super) name: String,
    pub(super) program: Program,
    /// Without it: always.
    pub(super) condition: Option<Template>,
    /// Variables beyond the job's, which are those that it has by then.
    pub(super) own_env: BTreeMap<String, String>,
    /// What the action told itself.
    pub(super) state: BTreeMap<String, String>,
}

/// A program of an action.
pub(super) enum Program {
    /// For the `node` of the job's image.
    Node {
        /// As the container sees it.
        path: String,
        /// Which Node it was written for.
        using: String,
    },
    /// In a container of its own.
    Docker(ActionContainer),
}

impl Sequence<'_> {
    /// What an action of another repository does before the first step. A local one may still
    /// have to be made by a step, so that, as on GitHub, it does nothing before.
    pub(super) async fn before(
        &mut self,
        scope: &mut Scope,
        step: &StepSpec,
        place: usize,
    ) -> Result<(), Stop> {
        let StepAction::Action { source, .. } = &step.action else { return Ok(()) };
        if !source.is_remote() {
            return Ok(());
        }
        self.notice_cancellation(scope);
        let beginning = self.beginning(scope, step, Some(place)).await;
        // What is wrong with the step is told when it begins.
        let Ok(env) = beginning.env else { return Ok(()) };
        let Ok(prepared) = self.prepared(scope, step, env).await else { return Ok(()) };
        let prepared = Prepared { place: Some(place), name: beginning.name.clone(), ..prepared };
        let StepAction::Action { with, .. } = &prepared.action else { return Ok(()) };
        let Ok(used) = self.used(scope, &prepared, source, with).await else { return Ok(()) };
        let Some(around) = used.loaded.action.around().filter(|around| around.pre.is_some()) else {
            return Ok(());
        };
        let runs = self.holds(&scope.results, around.pre_if.as_ref(), &beginning.context).await;
        if runs == Ok(false) {
            return Ok(());
        }
        let name = format!("Pre {}", beginning.name);
        self.began(&name);
        self.execution.log.line(&format!("Strata: step `{name}`"));
        let ended = match runs {
            Ok(_) => {
                let watch = Watch::over(None, true, None);
                let id = step.id.as_deref();
                let mut left = Left::default();
                let state = BTreeMap::new();
                let ended = self.program(&used, Phase::Pre, &state, id, &watch, &mut left).await;
                self.states.insert(place, left.state.clone());
                self.post_later(&prepared, used, left.state);
                ended
            }
            Err(why) => Err(Stop::Failure(why)),
        };
        self.settled(scope, &name, ended)
    }

    /// What an action does before its step where that is part of another action.
    pub(super) async fn pre_within(
        &mut self,
        scope: &Scope,
        step: &Prepared,
        used: &Use<'_>,
        watch: &Watch,
    ) -> Result<BTreeMap<String, String>, Stop> {
        let Some(around) = used.loaded.action.around() else { return Ok(BTreeMap::new()) };
        let context = self.contexts(scope, &step.env);
        let runs = self.holds(&scope.results, around.pre_if.as_ref(), &context).await;
        let mut left = Left::default();
        if runs.map_err(Stop::Failure)? {
            let (id, state) = (step.id.as_deref(), BTreeMap::new());
            self.program(used, Phase::Pre, &state, id, watch, &mut left).await?;
        }
        Ok(left.state)
    }

    /// What actions do after all steps, the last one first.
    pub(super) async fn after(&mut self, scope: &mut Scope) -> Result<(), Stop> {
        while let Some(post) = self.posts.pop() {
            self.notice_cancellation(scope);
            let mut env = self.env.clone();
            env.extend(post.own_env.clone());
            let context = self.contexts(scope, &env);
            self.may_hash = Arc::default();
            self.began(&post.name);
            let condition = post.condition.as_ref();
            let runs = self.holds(&scope.results, condition, &context).await;
            if runs == Ok(false) {
                self.execution.log.line(&format!("Strata: step `{}`: skipped", post.name));
                self.execution.progress.ended(Outcome::Skipped);
                continue;
            }
            self.execution.log.line(&format!("Strata: step `{}`", post.name));
            let ended = match runs {
                Ok(_) => {
                    let mut cancelled = scope.results.clone();
                    cancelled.cancel();
                    let survives = self.holds(&cancelled, condition, &context).await == Ok(true);
                    let watch = Watch::over(None, survives, None);
                    let mut left = Left::default();
                    let Post { program, state, .. } = &post;
                    self.start(program, &env, state, None, &watch, &mut left).await
                }
                Err(why) => Err(Stop::Failure(why)),
            };
            self.settled(scope, &post.name, ended)?;
        }
        Ok(())
    }

    /// Whether what has a condition of its own runs; without one it always does.
    async fn holds(
        &self,
        results: &StepResults,
        condition: Option<&Template>,
        context: &Context,
    ) -> Result<bool, String> {
        let Some(condition) = condition.cloned() else { return Ok(true) };
        let (results, context) = (results.clone(), context.clone());
        let begins = self.evaluate(move |evaluator| {
            evaluator.begins(&results, Some(&condition), "`pre-if` or `post-if`", &context)
        });
        begins.await
    }

    /// Writes down how a program around the steps ended; its failure is the job's.
    fn settled(
        &mut self,
        scope: &mut Scope,
        name: &str,
        ended: Result<(), Stop>,
    ) -> Result<(), Stop> {
        let log = self.execution.log;
        let outcome = match ended {
            Ok(()) => Outcome::Success,
            Err(stop @ (Stop::Fault { .. } | Stop::LeaseLost(_))) => return Err(stop),
            Err(stop) => {
                let (outcome, stop) = (stop.outcome(), super::about(stop, name));
                log.line(&format!("Strata: {outcome}: {stop}"));
                if outcome != Outcome::Cancelled {
                    scope.results.ended(None, StepOutcome::Failure, false, &BTreeMap::new());
                    scope.failure.get_or_insert(Stop::Failure(stop.to_string()));
                }
                outcome
            }
        };
        self.execution.progress.ended(outcome);
        Ok(())
    }
}
