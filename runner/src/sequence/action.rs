//! A step that uses an action: its inputs, and its steps or its program.

use std::collections::BTreeMap;

use serde_json::json;
use workflows::action::{ActionKind, MAX_DEPTH, NodeAction, input_variable};
use workflows::expression::{Budget, Value};
use workflows::job::{ActionSource, StepSpec};
use workflows::step_results::StepResults;

use super::around::{Post, Program};
use super::prepare::Prepared;
use super::watch::Watch;
use super::{Frame, Left, Scope, Sequence};
use crate::actions::{self, Loaded};
use crate::steps::{self, NOT_FOUND, WORKSPACE};
use crate::stop::Stop;

/// A use of an action, with everything known.
pub(super) struct Use<'a> {
    pub(super) source: &'a ActionSource,
    pub(super) loaded: Loaded,
    /// By name.
    pub(super) inputs: BTreeMap<String, String>,
    /// All variables of the step, those that the action's own program finds included.
    pub(super) env: BTreeMap<String, String>,
    /// Those of them that are not the job's.
    pub(super) own: BTreeMap<String, String>,
}

impl Frame {
    /// Variables by which steps of a composite action find it.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        of_action(&self.place, None)
    }
}

/// Variables by which an action finds itself.
fn of_action(place: &str, repository: Option<&(String, String)>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let (name, reference) = match repository {
        Some((name, reference)) => (name.as_str(), reference.as_str()),
        None => ("", ""),
    };
    for forge in ["GITHUB", "FORGEJO"] {
        for (field, value) in [("PATH", place), ("REPOSITORY", name), ("REF", reference)] {
            variables.insert(format!("{forge}_ACTION_{field}"), value.to_owned());
        }
    }
    variables
}

impl Sequence<'_> {
    /// Runs an action.
    pub(super) async fn action(
        &mut self,
        scope: &Scope,
        step: &Prepared,
        (source, with): (&ActionSource, &BTreeMap<String, String>),
        watch: &Watch,
        left: &mut Left,
    ) -> Result<(), Stop> {
        let depth = scope.frame.as_ref().map_or(0, |frame| frame.depth) + 1;
        if depth > MAX_DEPTH {
            let why = format!("actions use each other more than {MAX_DEPTH} deep");
            return Err(Stop::failure(why));
        }
        let used = self.used(scope, step, source, with).await?;
        if let ActionKind::Composite(steps) = &used.loaded.action.kind {
            return self.composite(&used, step, steps, depth, watch, left).await;
        }
        let mut state = step.place.and_then(|place| self.states.remove(&place)).unwrap_or_default();
        if step.place.is_none() && source.is_remote() {
            state = self.pre_within(scope, step, &used, watch).await?;
        }
        let ended = self.program(&used, Phase::Main, &state, step.id.as_deref(), watch, left).await;
        state.extend(std::mem::take(&mut left.state));
        self.post_later(step, used, state);
        ended
    }

    /// Reads an action and finds out its inputs.
    pub(super) async fn used<'a>(
        &self,
        scope: &Scope,
        step: &Prepared,
        source: &'a ActionSource,
        with: &BTreeMap<String, String>,
    ) -> Result<Use<'a>, Stop> {
        let loaded = actions::load(self.execution, source)?;
        let context = self.contexts(scope, &step.env);
        let with = with.clone();
        let given = self.evaluate(move |evaluator| {
            let mut budget = Budget::default();
            let given = loaded.action.given(&with, |template, what| {
                let value = evaluator.value(template, what, &context, &mut budget)?;
                Ok(value.to_text().to_string())
            });
            given.map(|given| (loaded, given))
        });
        let (loaded, given) = given.await.map_err(Stop::Failure)?;
        for remark in &given.remarks {
            self.execution.log.line(&format!("##[warning]action `{source}`: {remark}"));
        }
        let mut own = step.own_env.clone();
        own.extend(of_action(&loaded.place.container, loaded.place.repository.as_ref()));
        let inputs = given.values.iter();
        own.extend(inputs.map(|(name, value)| (input_variable(name), value.clone())));
        let mut env = step.env.clone();
        env.extend(own.clone());
        let mut used = Use { source, loaded, inputs: given.values, env, own };
        if let ActionKind::Docker(docker) = &used.loaded.action.kind {
            let of_file = self.docker_env(&used, docker).await?;
            used.env.extend(of_file.clone());
            used.own.extend(of_file);
        }
        Ok(used)
    }

    /// Runs the steps of a composite action.
    async fn composite(
        &mut self,
        used: &Use<'_>,
        step: &Prepared,
        steps: &[StepSpec],
        depth: usize,
        watch: &Watch,
        left: &mut Left,
    ) -> Result<(), Stop> {
        let mut own_env = step.own_env.clone();
        own_env
            .extend(of_action(&used.loaded.place.container, used.loaded.place.repository.as_ref()));
        let frame = Frame {
            inputs: Value::from(&json!(used.inputs)),
            env: own_env,
            place: used.loaded.place.container.clone(),
            depth,
            watch: watch.clone(),
        };
        let results = StepResults::default();
        let mut scope = Scope { results, failure: None, frame: Some(frame) };
        for step in steps {
            self.notice_cancellation(&mut scope);
            let beginning = self.beginning(&scope, step, None).await;
            self.step(&mut scope, step, beginning).await?;
        }
        let context = self.contexts(&scope, &step.env);
        let templates = used.loaded.action.outputs.clone();
        let outputs = self.evaluate(move |evaluator| {
            let mut budget = Budget::default();
            let value = |(name, template)| {
                let what = format!("output `{name}` of the action");
                let value = evaluator.value(&template, &what, &context, &mut budget)?;
                Ok((name, value.to_text().to_string()))
            };
            templates.into_iter().map(value).collect::<Result<Vec<_>, String>>()
        });
        left.outputs.extend(outputs.await.map_err(Stop::Failure)?);
        match scope.failure {
            Some(Stop::Failure(why)) if scope.results.has_failed() => {
                Err(Stop::Failure(format!("in its {why}")))
            }
            _ if self.execution.cancel.is_cancelled() && !watch.ignores_cancellation() => {
                Err(Stop::Cancelled)
            }
            _ => Ok(()),
        }
    }

    /// Runs one program of an action that is no composite.
    pub(super) async fn program(
        &mut self,
        used: &Use<'_>,
        phase: Phase,
        state: &BTreeMap<String, String>,
        id: Option<&str>,
        watch: &Watch,
        left: &mut Left,
    ) -> Result<(), Stop> {
        let program = match &used.loaded.action.kind {
            ActionKind::Composite(_) => return Ok(()),
            ActionKind::Node(node) => node_program(used, node, phase),
            ActionKind::Docker(docker) => self.docker_program(used, docker, phase, watch).await?,
        };
        match program {
            Some(program) => self.start(&program, &used.env, state, id, watch, left).await,
            None => Ok(()),
        }
    }

    /// Starts a program of an action, with what it told itself before.
    pub(super) async fn start(
        &mut self,
        program: &Program,
        env: &BTreeMap<String, String>,
        state: &BTreeMap<String, String>,
        id: Option<&str>,
        watch: &Watch,
        left: &mut Left,
    ) -> Result<(), Stop> {
        let mut env = env.clone();
        let told = state.iter();
        env.extend(told.map(|(name, value)| (format!("STATE_{name}"), value.clone())));
        match program {
            Program::Node { path, using } => {
                let program = steps::Program::Node(path.clone());
                match self.command((id, &env), program, WORKSPACE, watch, left).await? {
                    NOT_FOUND => Err(Stop::failure(format!(
                        "the job's image has no `node`, and this is an action for {using}; name an \
                         image with Node under `container`"
                    ))),
                    status => self.judged(status),
                }
            }
            Program::Docker(container) => {
                self.container_of_action(container, (id, &env), watch, left).await
            }
        }
    }

    /// Notes what an action does after all steps: once its program has begun, be it the one before
    /// its step. What its step leaves goes before what that one has left.
    pub(super) fn post_later(
        &mut self,
        step: &Prepared,
        used: Use<'_>,
        state: BTreeMap<String, String>,
    ) {
        let Some(around) = used.loaded.action.around() else { return };
        let Some(post) = around.post.clone() else { return };
        let condition = around.post_if.clone();
        let program = match &used.loaded.action.kind {
            ActionKind::Composite(_) => return,
            ActionKind::Node(node) => node_program(&used, node, Phase::Post),
            ActionKind::Docker(docker) => self.posted_container(&used, docker, post),
        };
        let Some(program) = program else { return };
        let name = format!("Post {}", step.name);
        let (place, is_steps) = (self.at, step.place.is_some());
        let post = Post { place, is_steps, name, program, condition, own_env: used.own, state };
        self.posts.retain(|noted| !(is_steps && noted.is_steps && noted.place == place));
        // The last step of the job is the first to be tidied up after, whenever its `pre` ran.
        let above = self.posts.partition_point(|noted| noted.place <= place);
        self.posts.insert(above, post);
    }
}

/// When a program of an action runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the steps of the job.
    Pre,
    /// As the step.
    Main,
    /// After the steps of the job.
    Post,
}

fn node_program(used: &Use<'_>, node: &NodeAction, phase: Phase) -> Option<Program> {
    let path = match phase {
        Phase::Pre => node.around.pre.as_ref()?,
        Phase::Main => &node.main,
        Phase::Post => node.around.post.as_ref()?,
    };
    let path = format!("{}/{path}", used.loaded.place.container);
    Some(Program::Node { path, using: node.using.clone() })
}
