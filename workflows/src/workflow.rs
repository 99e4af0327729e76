//! The workflow file: what a person wrote, and what it means.
//!
//! Reading goes in two steps. `raw` turns text into a tree of values that know their places;
//! the modules beside it turn that tree into [`Workflow`], and report everything that is wrong
//! with it at once. Expressions are kept as text with their places: what they give is known only
//! when there is an event.

mod action_file;
mod availability;
mod called;
mod container;
mod events;
mod filters;
mod graph;
mod habits;
mod heard;
mod inputs;
mod job;
mod known;
mod on;
mod place;
mod raw;
mod reader;
mod rights;
mod scalar;
mod sites;
mod step;
mod strategy;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub use action_file::{
    ActionFile, ActionInput, ActionOutput, ActionRuns, DockerRuns, NodeRuns, Phases, parse_action,
};
pub use called::{Called, CalledFile, MAX_CALL_DEPTH, MAX_CALLED_FILES};
pub use container::{Container, Credentials, Service};
pub use inputs::{Call, Input, InputKind};
pub use job::{Job, JobBody, MAX_JOBS, MAX_TIMEOUT_MINUTES, Secrets, StepsBody};
pub use on::{
    MAX_SCHEDULES, On, ParentImageTrigger, PullRequestTrigger, PushTrigger, ScheduleEntry,
};
pub use place::{Environment, RunsOn};
pub use raw::MAX_FILE_BYTES;
pub use rights::{Access, Concurrency, Permissions};
pub use step::{Action, MAX_STEPS, Step};
pub use strategy::{Axis, Matrix, Strategy};
pub use text::{Entry, Located, Position, Setting, Table, Text};

use crate::diagnostic::Diagnostic;
use raw::{Malformed, Node};
use reader::{Fields, Reader};

pub(crate) use availability::Key;
pub(crate) use called::{name_of_call, own_name};
pub(crate) use graph::order;
pub(crate) use sites::{Site, sites};
pub(crate) use text::expressions_in;

/// A workflow file that was understood.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// The file, as the caller named it.
    pub path: String,
    /// `name`.
    pub name: Option<Text>,
    /// `run-name`.
    pub run_name: Option<Text>,
    /// What fires it.
    pub on: On,
    /// Variables of all its jobs.
    pub env: Table,
    /// What its `run` steps do unless they say otherwise.
    pub defaults: RunDefaults,
    /// What its jobs may do on the forge.
    pub permissions: Option<Permissions>,
    /// Which runs exclude each other.
    pub concurrency: Option<Concurrency>,
    /// Its jobs, in the order of the file; at least one.
    pub jobs: Vec<Job>,
    /// What its author should know although it can be used.
    pub warnings: Vec<Diagnostic>,
    /// The files that its jobs call, as far as somebody has found them.
    pub called: Called,
}

/// `defaults.run`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunDefaults {
    /// What reads the scripts.
    pub shell: Option<Text>,
    /// Where they run.
    pub working_directory: Option<Text>,
}

impl Workflow {
    /// What people call it: its name, or else its path.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_ref().map_or(&self.path, |name| &name.value)
    }

    fn read(reader: &mut Reader, path: &str, root: &Node) -> Option<Self> {
        const KEYS: [&str; 8] =
            ["name", "run-name", "on", "env", "defaults", "permissions", "concurrency", "jobs"];
        let fields = reader.fields(root, "", &KEYS)?;
        let on = match fields.get("on") {
            Some(node) => Some(On::read(reader, node)),
            None => {
                if fields.lacks("on") {
                    let message = "a workflow needs `on`, which says what fires it";
                    reader.report.error(fields.at, message);
                }
                None
            }
        };
        let jobs = match fields.get("jobs") {
            Some(node) => job::read_jobs(reader, node),
            None => {
                if fields.lacks("jobs") {
                    reader.report.error(fields.at, "a workflow needs `jobs`");
                }
                Vec::new()
            }
        };
        let name = fields.get("name").and_then(|node| reader.name(node, "name"));
        Some(Self {
            path: path.to_owned(),
            name,
            run_name: fields.get("run-name").and_then(|node| reader.text(node, "run-name")),
            env: read_env(reader, &fields),
            defaults: RunDefaults::read(reader, &fields),
            permissions: Permissions::read(reader, &fields),
            concurrency: Concurrency::read(reader, &fields),
            jobs,
            on: on?,
            warnings: Vec::new(),
            called: Called::default(),
        })
    }
}

impl RunDefaults {
    fn read(reader: &mut Reader, fields: &Fields<'_>) -> Self {
        let Some(node) = fields.get("defaults") else { return Self::default() };
        let path = fields.path_of("defaults");
        let run = reader.fields(node, &path, &["run"]).and_then(|defaults| {
            let path = defaults.path_of("run");
            reader.fields(defaults.get("run")?, &path, &["shell", "working-directory"])
        });
        let Some(run) = run else { return Self::default() };
        let mut text =
            |key| run.get(key).and_then(|node| reader.filled_text(node, &run.path_of(key)));
        Self { shell: text("shell"), working_directory: text("working-directory") }
    }
}

fn read_env(reader: &mut Reader, fields: &Fields<'_>) -> Table {
    fields
        .get("env")
        .and_then(|node| reader.table(node, &fields.path_of("env")))
        .unwrap_or_default()
}

/// Reads a workflow file. `path` only names the file in diagnostics.
///
/// # Errors
/// All that is wrong with it, in the order of the file, at most
/// [`MAX_DIAGNOSTICS`](crate::diagnostic::MAX_DIAGNOSTICS); at least one is an error. Files of
/// more than [`MAX_FILE_BYTES`] are refused unread.
pub fn parse(path: &str, text: &str) -> Result<Workflow, Vec<Diagnostic>> {
    let mut reader = Reader::new(path);
    let workflow = match Node::parse(text) {
        Ok(root) => Workflow::read(&mut reader, path, &root),
        Err(Malformed { at, message }) => {
            reader.report.error(at, message);
            None
        }
    };
    if let Some(workflow) = workflow.as_ref().filter(|_| !reader.report.has_errors()) {
        availability::check(workflow, &mut reader.report);
        habits::check(workflow, &mut reader.report);
    }
    let warnings = reader.report.finish()?;
    match workflow {
        Some(workflow) => Ok(Workflow { warnings, ..workflow }),
        // Nothing was understood and nothing reported: a mistake here, told as what it is.
        None => Err(vec![Diagnostic {
            file: path.to_owned(),
            line: 1,
            column: 1,
            severity: crate::diagnostic::Severity::Error,
            message: "the file could not be read, for a reason that Strata failed to record".into(),
            hint: None,
        }]),
    }
}
