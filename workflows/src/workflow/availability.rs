//! Which contexts and functions an expression can name at which key.
//!
//! The table is GitHub's, "Context availability" in its contexts reference
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#context-availability>).
//! `forge` and `forgejo` are `github` by other names, and `release`, `image` and `parents` are ours.

use super::known::Known;
use super::sites::{Site, sites, sites_of_action};
use super::{ActionFile, Workflow};
use crate::diagnostic::{Position, Report, nearest, quoted};
use crate::expression::{self, Call, Reference};

/// A key whose value may hold expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    RunName,
    WorkflowConcurrency,
    WorkflowEnv,
    WorkflowDefaults,
    CallInputDefault,
    CallOutput,
    JobName,
    JobIf,
    JobConcurrency,
    JobEnv,
    JobDefaults,
    JobOutput,
    Strategy,
    RunsOn,
    Timeout,
    ContinueOnError,
    Container,
    ContainerEnv,
    Credentials,
    Environment,
    EnvironmentUrl,
    CallWith,
    CallSecrets,
    /// Every key of a step but the next three.
    Step,
    StepIf,
    StepRun,
    StepUses,
    /// The default of an action's input.
    ActionDefault,
    /// Every key of a composite action's step but the next two, and its outputs.
    ActionStep,
    ActionStepIf,
    ActionRun,
    /// What a Docker action's container is given.
    ActionArgs,
    /// `pre-if` and `post-if`.
    ActionIf,
}

/// Known before a run is planned.
const AT_RUN: [&str; 3] = ["github", "inputs", "vars"];
/// Known when the jobs before it have ended.
const AT_JOB: [&str; 4] = ["github", "needs", "vars", "inputs"];
/// Known to each job of a matrix.
const IN_MATRIX: [&str; 6] = ["github", "needs", "strategy", "matrix", "vars", "inputs"];
/// Everything that a step sees.
const IN_STEP: [&str; 11] = [
    "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "steps",
    "inputs",
];
/// What a step of a composite action sees: everything else is given to it as an input.
const IN_ACTION: [&str; 8] =
    ["github", "inputs", "strategy", "matrix", "job", "runner", "env", "steps"];
/// Names that there are somewhere.
const CONTEXTS: [&str; 17] = [
    "github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix",
    "needs", "inputs", "forge", "forgejo", "release", "image", "parents",
];
/// Contexts of Strata; they are there wherever `github` is.
const OURS: [&str; 5] = ["forge", "forgejo", "release", "image", "parents"];

impl Key {
    /// Whether its value is an expression even without `${{ }}`.
    pub(crate) fn is_condition(self) -> bool {
        matches!(self, Self::JobIf | Self::StepIf | Self::ActionStepIf | Self::ActionIf)
    }

    /// The same in a composite action.
    pub(super) fn in_action(self) -> Self {
        match self {
            Self::Step => Self::ActionStep,
            Self::StepIf => Self::ActionStepIf,
            Self::StepRun => Self::ActionRun,
            other => other,
        }
    }

    /// How messages name it.
    fn shown(self) -> &'static str {
        match self {
            Self::RunName => "`run-name`",
            Self::WorkflowConcurrency => "`concurrency`",
            Self::WorkflowEnv => "`env` of the workflow",
            Self::WorkflowDefaults | Self::JobDefaults => "`defaults.run`",
            Self::CallInputDefault => "the default of an input",
            Self::CallOutput => "an output of the workflow",
            Self::JobName => "`name` of a job",
            Self::JobIf => "`if` of a job",
            Self::JobConcurrency => "`concurrency` of a job",
            Self::JobEnv => "`env` of a job",
            Self::JobOutput => "`outputs` of a job",
            Self::Strategy => "`strategy`",
            Self::RunsOn => "`runs-on`",
            Self::Timeout => "`timeout-minutes` of a job",
            Self::ContinueOnError => "`continue-on-error` of a job",
            Self::Container => "a container",
            Self::ContainerEnv => "`env` of a container",
            Self::Credentials => "`credentials` of a container",
            Self::Environment => "`environment`",
            Self::EnvironmentUrl => "`environment.url`",
            Self::CallWith => "`with` of a reusable workflow",
            Self::CallSecrets => "`secrets` of a reusable workflow",
            Self::Step => "a step",
            Self::StepIf => "`if` of a step",
            Self::StepRun => "`run`",
            Self::StepUses => "`uses` of a step",
            Self::ActionDefault => "the default of an input",
            Self::ActionStep => "a composite action",
            Self::ActionStepIf => "`if` of a composite action's step",
            Self::ActionRun => "`run` of a composite action",
            Self::ActionArgs => "`args` and `env` of a Docker action",
            Self::ActionIf => "`pre-if` and `post-if`",
        }
    }

    /// Whether GitHub has this context here.
    fn has_context(self, name: &str) -> bool {
        let among = |list: &[&str], more: &[&str]| list.contains(&name) || more.contains(&name);
        match self {
            Self::RunName | Self::WorkflowConcurrency | Self::CallInputDefault => {
                among(&AT_RUN, &[])
            }
            Self::WorkflowEnv => among(&AT_RUN, &["secrets"]),
            Self::CallOutput => among(&AT_RUN, &["jobs"]),
            Self::JobIf | Self::Strategy => among(&AT_JOB, &[]),
            Self::JobName
            | Self::JobConcurrency
            | Self::RunsOn
            | Self::Timeout
            | Self::ContinueOnError
            | Self::Container
            | Self::Environment
            | Self::CallWith => among(&IN_MATRIX, &[]),
            Self::JobEnv | Self::CallSecrets => among(&IN_MATRIX, &["secrets"]),
            // GitHub's table does not name the workflow's own; it takes what the job's do.
            Self::JobDefaults | Self::WorkflowDefaults => among(&IN_MATRIX, &["env"]),
            Self::Credentials => among(&IN_MATRIX, &["env", "secrets"]),
            Self::ContainerEnv => among(&IN_MATRIX, &["job", "runner", "env", "secrets"]),
            Self::EnvironmentUrl => among(&IN_MATRIX, &["job", "runner", "env", "steps"]),
            Self::StepIf => among(&IN_STEP, &[]) && name != "secrets",
            Self::JobOutput | Self::Step | Self::StepRun => among(&IN_STEP, &[]),
            Self::StepUses => false,
            Self::ActionDefault => among(&["github", "strategy", "matrix", "job", "runner"], &[]),
            Self::ActionStep | Self::ActionStepIf | Self::ActionRun | Self::ActionIf => {
                among(&IN_ACTION, &[])
            }
            Self::ActionArgs => among(&["github", "inputs"], &[]),
        }
    }

    /// Whether GitHub has this function here.
    fn has_function(self, call: &Call) -> bool {
        match call.name {
            "hashFiles" => matches!(
                self,
                Self::Step
                    | Self::StepIf
                    | Self::StepRun
                    | Self::ActionDefault
                    | Self::ActionStep
                    | Self::ActionStepIf
                    | Self::ActionRun
                    | Self::ActionIf
            ),
            _ => !call.asks_for_status || self.is_condition(),
        }
    }
}

/// Reports every name in an expression that is not there, at the place of the expression.
pub(super) fn check(workflow: &Workflow, report: &mut Report) {
    check_sites(&sites(workflow), &Known::new(workflow), report);
}

/// The same for an action file.
pub(super) fn check_action(file: &ActionFile, report: &mut Report) {
    check_sites(&sites_of_action(file), &Known::of_action(file), report);
}

fn check_sites(sites: &[Site<'_>], known: &Known<'_>, report: &mut Report) {
    for site in sites {
        for (at, inside) in site.expressions() {
            // What is no expression was reported when it was read.
            let Ok(uses) = expression::uses(inside) else { continue };
            for call in uses.calls.iter().filter(|call| !site.key.has_function(call)) {
                function_elsewhere(site, call, at, report);
            }
            for reference in &uses.references {
                if is_there(site, reference, at, report) {
                    known.check(site, reference, at, report);
                }
            }
        }
    }
}

fn function_elsewhere(site: &Site<'_>, call: &Call, at: Position, report: &mut Report) {
    let message = format!("there is no `{}()` in {}", call.name, site.key.shown());
    let hint = if call.asks_for_status {
        "it is there in `if` of jobs and steps"
    } else {
        "it is there in the steps of a job"
    };
    report.error_with_hint(at, message, hint);
}

/// Whether the context is there; reports it when not.
fn is_there(site: &Site<'_>, reference: &Reference, at: Position, report: &mut Report) -> bool {
    let name = reference.context.to_ascii_lowercase();
    let ours = OURS.contains(&name.as_str());
    if site.key.has_context(if ours { "github" } else { &name }) {
        return true;
    }
    if CONTEXTS.contains(&name.as_str()) {
        let message = format!("`{name}` is not known yet in {}", site.key.shown());
        let there: Vec<&str> =
            CONTEXTS.into_iter().filter(|name| site.key.has_context(name)).collect();
        let hint = match there.as_slice() {
            [] => "no expression can stand here".to_owned(),
            names => format!("it can use {}", names.join(", ")),
        };
        report.error_with_hint(at, message, hint);
        return false;
    }
    let message = format!("there is no context {}", quoted(&reference.context));
    match nearest(&name, CONTEXTS) {
        Some(meant) => report.error_with_hint(at, message, format!("did you mean `{meant}`?")),
        None => report.error_with_hint(at, message, "text of an expression stands in '…'"),
    }
    false
}

#[cfg(test)]
mod tests;
