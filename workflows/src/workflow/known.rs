//! What stands within the contexts: needs and their outputs, steps, matrix keys and inputs of this
//! workflow, and the fields that every run has.
//!
//! A name that is not there gives nothing when it is evaluated, on GitHub as here, so that a slip
//! of the pen changes what runs without a word; here it is a warning. `env`, `vars`, `secrets` and
//! `github.event` are filled by others and are not looked into.

use std::collections::BTreeMap;

use super::sites::Site;
use super::{Action, ActionFile, ActionRuns, Job, JobBody, Matrix, Position, Step, Workflow};
use crate::diagnostic::{Report, nearest, quoted};
use crate::expression::{Part, Reference};

/// Fields of `github`, as GitHub's contexts reference lists them, and `job_workflow_sha` of its
/// tokens.
pub(crate) const GITHUB_FIELDS: [&str; 41] = [
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "action_status",
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "env",
    "event",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "job_workflow_sha",
    "output",
    "path",
    "ref",
    "ref_name",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "repositoryUrl",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "secret_source",
    "server_url",
    "sha",
    "token",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workspace",
];
/// Most names that a hint lists; a longer list is not read to its end.
const MAX_NAMED: usize = 12;
/// Fields of `runner`.
const RUNNER_FIELDS: [&str; 8] =
    ["name", "os", "arch", "temp", "tool_cache", "workspace", "debug", "environment"];
/// Fields of `job`.
const JOB_FIELDS: [&str; 8] = [
    "status",
    "container",
    "services",
    "check_run_id",
    "workflow_ref",
    "workflow_sha",
    "workflow_repository",
    "workflow_file_path",
];
/// Fields of `strategy`.
const STRATEGY_FIELDS: [&str; 4] = ["fail-fast", "job-index", "job-total", "max-parallel"];
/// Fields of one of `needs` and of one of `jobs`.
const NEED_FIELDS: [&str; 2] = ["outputs", "result"];
/// Fields of one of `steps`.
const STEP_FIELDS: [&str; 3] = ["outputs", "outcome", "conclusion"];
/// Fields of `release`.
const RELEASE_FIELDS: [&str; 4] = ["name", "dist_tag", "registry", "namespace"];

/// The names of one workflow.
pub(super) struct Known<'w> {
    jobs: BTreeMap<String, JobNames<'w>>,
    inputs: Vec<&'w str>,
    /// Each `id` with the place of its step, in a composite action.
    of_action: Option<Vec<(usize, &'w str)>>,
}

/// The names of one job.
struct JobNames<'w> {
    job: &'w Job,
    /// `None` when another workflow or an expression says them.
    outputs: Option<Vec<&'w str>>,
    /// `None` when an expression says them.
    matrix: Option<Vec<&'w str>>,
    /// Each `id` with the place of its step.
    steps: Vec<(usize, &'w str)>,
}

impl<'w> Known<'w> {
    pub(super) fn new(workflow: &'w Workflow) -> Self {
        let jobs = workflow.jobs.iter();
        let jobs =
            jobs.map(|job| (job.key.value.to_ascii_lowercase(), JobNames::new(job))).collect();
        let dispatched = workflow.on.workflow_dispatch.iter().flatten();
        let called = workflow.on.workflow_call.iter().flat_map(|call| &call.inputs);
        let inputs = dispatched.chain(called).map(|input| &*input.name.value).collect();
        Self { jobs, inputs, of_action: None }
    }

    pub(super) fn of_action(file: &'w ActionFile) -> Self {
        let steps = match &file.runs {
            ActionRuns::Composite(steps) => ids_of(steps),
            ActionRuns::Docker(_) | ActionRuns::Node(_) => Vec::new(),
        };
        let inputs = file.inputs.iter().map(|input| &*input.name.value).collect();
        Self { jobs: BTreeMap::new(), inputs, of_action: Some(steps) }
    }

    /// Reports the first part of a reference that is not there.
    pub(super) fn check(
        &self,
        site: &Site<'_>,
        reference: &Reference,
        at: Position,
        report: &mut Report,
    ) {
        let context = reference.context.to_ascii_lowercase();
        let names: Vec<Option<&str>> = reference
            .path
            .iter()
            .map(|part| match part {
                Part::Name(name) => Some(name.as_str()),
                Part::Any => None,
            })
            .collect();
        let Some(&Some(first)) = names.first() else { return };
        let found = match context.as_str() {
            "github" | "forge" | "forgejo" => field(&context, first, &GITHUB_FIELDS),
            "runner" => field(&context, first, &RUNNER_FIELDS),
            "job" => field(&context, first, &JOB_FIELDS),
            "strategy" => field(&context, first, &STRATEGY_FIELDS),
            "release" => field(&context, first, &RELEASE_FIELDS),
            // Without inputs of its own, a workflow may still be written for several events.
            "inputs" if !self.inputs.is_empty() => field(&context, first, &self.inputs),
            "needs" => self.need(site, first, &names),
            "jobs" => self.outputs(&context, first, &names),
            "matrix" => self.matrix(site, first),
            "steps" => self.step(site, first, &names),
            _ => Ok(()),
        };
        if let Err((message, hint)) = found {
            match hint {
                Some(hint) => report.warning_with_hint(at, message, hint),
                None => report.warning(at, message),
            }
        }
    }

    fn of(&self, site: &Site<'_>) -> Option<&JobNames<'w>> {
        self.jobs.get(&site.job?.key.value.to_ascii_lowercase())
    }

    fn need(&self, site: &Site<'_>, name: &str, path: &[Option<&str>]) -> Found {
        let Some(of) = self.of(site) else { return Ok(()) };
        let needs: Vec<&str> = of.job.needs.iter().map(|needed| &*needed.value).collect();
        if !has(&needs, name) {
            let job = &of.job.key.value;
            let message = format!("job `{job}` does not need {}", quoted(name));
            let there = self.jobs.contains_key(&name.to_ascii_lowercase());
            let hint = match nearest(name, needs) {
                _ if there => Some(format!("add {} to `needs` of `{job}`", quoted(name))),
                meant => meant.map(|meant| format!("did you mean `needs.{meant}`?")),
            };
            return Err((message, hint));
        }
        self.outputs("needs", name, path)
    }

    /// `result` and `outputs` of another job.
    fn outputs(&self, context: &str, name: &str, path: &[Option<&str>]) -> Found {
        let Some(of) = self.jobs.get(&name.to_ascii_lowercase()) else {
            let names: Vec<&str> = self.jobs.values().map(|of| &*of.job.key.value).collect();
            return field(context, name, &names);
        };
        let whole = format!("{context}.{name}");
        let Some(&Some(part)) = path.get(1) else { return Ok(()) };
        field(&whole, part, &NEED_FIELDS)?;
        match (path.get(2), &of.outputs) {
            (Some(&Some(output)), Some(outputs)) if part.eq_ignore_ascii_case("outputs") => {
                field(&format!("{whole}.outputs"), output, outputs)
            }
            _ => Ok(()),
        }
    }

    fn matrix(&self, site: &Site<'_>, name: &str) -> Found {
        match self.of(site).map(|of| (of, &of.matrix)) {
            Some((of, Some(keys))) if keys.is_empty() => {
                Err((format!("job `{}` has no matrix", of.job.key.value), None))
            }
            Some((_, Some(keys))) => field("matrix", name, keys),
            _ => Ok(()),
        }
    }

    fn step(&self, site: &Site<'_>, name: &str, path: &[Option<&str>]) -> Found {
        let (owner, steps) = match (&self.of_action, self.of(site)) {
            (Some(steps), _) => ("the action".to_owned(), steps),
            (None, Some(of)) => (format!("job `{}`", of.job.key.value), &of.steps),
            (None, None) => return Ok(()),
        };
        match steps.iter().find(|(_, id)| id.eq_ignore_ascii_case(name)) {
            None => {
                let ids: Vec<&str> = steps.iter().map(|(_, id)| *id).collect();
                let message = format!("no step of {owner} has the id {}", quoted(name));
                let hint = nearest(name, ids).map(|meant| format!("did you mean `steps.{meant}`?"));
                Err((message, hint))
            }
            Some((place, id)) if site.step.is_some_and(|step| step <= *place) => {
                let message = format!("step `{id}` has not run yet when this is evaluated");
                Err((message, Some("only steps before this one are known".to_owned())))
            }
            Some(_) => match path.get(1) {
                Some(&Some(part)) => field(&format!("steps.{name}"), part, &STEP_FIELDS),
                _ => Ok(()),
            },
        }
    }
}

impl<'w> JobNames<'w> {
    fn new(job: &'w Job) -> Self {
        let matrix = match job.strategy.as_ref().and_then(|strategy| strategy.matrix.as_ref()) {
            None => Some(Vec::new()),
            Some(matrix) => keys_of(matrix),
        };
        let JobBody::Steps(body) = &job.body else {
            return Self { job, outputs: None, matrix, steps: Vec::new() };
        };
        let outputs = body.outputs.iter().map(|output| &*output.key.value).collect();
        Self { job, outputs: Some(outputs), matrix, steps: ids_of(&body.steps) }
    }
}

/// Each `id` with the place of its step.
fn ids_of(steps: &[Step]) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let inner = match &step.action {
            Action::Parallel(inner) => inner.as_slice(),
            _ => &[],
        };
        let ids = std::iter::once(step).chain(inner).filter_map(|step| step.id.as_ref());
        found.extend(ids.map(|id| (place, &*id.value)));
    }
    found
}

/// The keys of a matrix that is written out; `None` when an expression may add some.
fn keys_of(matrix: &Matrix) -> Option<Vec<&str>> {
    let Matrix::Written { axes, include, .. } = matrix else { return None };
    let mut keys: Vec<&str> = axes.iter().map(|axis| &*axis.name.value).collect();
    if let Some(include) = include {
        for row in include.value.as_array()? {
            keys.extend(row.as_object()?.keys().map(String::as_str));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    Some(keys)
}

/// What is wrong, and a hint.
pub(super) type Found = Result<(), (String, Option<String>)>;

fn has(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

pub(super) fn field(context: &str, name: &str, known: &[&str]) -> Found {
    if has(known, name) {
        return Ok(());
    }
    let message = format!("`{context}` has no {}", quoted(name));
    let hint = match nearest(name, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{context}.{meant}`?")),
        None if known.is_empty() || known.len() > MAX_NAMED => None,
        None => Some(format!("it has {}", known.join(", "))),
    };
    Err((message, hint))
}
