//! Every text of a workflow in which expressions stand, with the key that it belongs to.
//!
//! Checks of expressions walk over this list, so that a key that is read is a key that is checked.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::availability::Key;
use super::{
    Action, ActionFile, ActionRuns, Container, Job, JobBody, Matrix, Position, RunDefaults,
    Secrets, Setting, Step, StepsBody, Table, Text, Workflow, expressions_in,
};

/// One text.
pub(crate) struct Site<'w> {
    /// The key whose value it is.
    pub(crate) key: Key,
    /// The characters.
    pub(crate) value: Cow<'w, str>,
    /// Where it begins.
    pub(crate) at: Position,
    /// Where each `${{` of it begins, as far as it is known.
    places: &'w [Position],
    /// The job that it is part of.
    pub(crate) job: Option<&'w Job>,
    /// The place of the step in the job that it is part of; steps within `parallel` share one.
    pub(crate) step: Option<usize>,
}

impl Site<'_> {
    /// The inside of each expression and where it begins. A condition without `${{ }}` is one.
    pub(crate) fn expressions(&self) -> Vec<(Position, &str)> {
        let found = expressions_in(&self.value).unwrap_or_default();
        if found.is_empty() && self.key.is_condition() {
            return vec![(self.at, &*self.value)];
        }
        let inside = |(number, range): (usize, std::ops::Range<usize>)| {
            let at = self.places.get(number).copied().unwrap_or(self.at);
            (at, &self.value[range.start + "${{".len()..range.end - "}}".len()])
        };
        found.into_iter().enumerate().map(inside).collect()
    }
}

/// All texts of a workflow, in no order that matters.
pub(crate) fn sites(workflow: &Workflow) -> Vec<Site<'_>> {
    let mut walk = Walk { sites: Vec::new(), job: None, step: None };
    walk.optional(Key::RunName, workflow.run_name.as_ref());
    walk.table(Key::WorkflowEnv, &workflow.env);
    walk.defaults(Key::WorkflowDefaults, &workflow.defaults);
    if let Some(concurrency) = &workflow.concurrency {
        walk.text(Key::WorkflowConcurrency, &concurrency.group);
        walk.setting(Key::WorkflowConcurrency, concurrency.cancel_in_progress.as_ref());
    }
    if let Some(call) = &workflow.on.workflow_call {
        for input in &call.inputs {
            walk.optional(Key::CallInputDefault, input.default.as_ref());
        }
        for output in &call.outputs {
            walk.text(Key::CallOutput, &output.value);
        }
    }
    for job in &workflow.jobs {
        walk.job = Some(job);
        walk.job(job);
    }
    walk.sites
}

/// All texts of an action file, in no order that matters.
pub(crate) fn sites_of_action(file: &ActionFile) -> Vec<Site<'_>> {
    let mut walk = Walk { sites: Vec::new(), job: None, step: None };
    for input in &file.inputs {
        walk.optional(Key::ActionDefault, input.default.as_ref());
    }
    let phases = match &file.runs {
        ActionRuns::Composite(steps) => {
            for (place, step) in steps.iter().enumerate() {
                walk.step = Some(place);
                walk.step(step);
            }
            walk.step = None;
            for output in &file.outputs {
                walk.optional(Key::ActionStep, output.value.as_ref());
            }
            None
        }
        ActionRuns::Docker(docker) => {
            docker.env.iter().for_each(|entry| walk.text(Key::ActionArgs, &entry.value));
            docker.args.iter().for_each(|text| walk.text(Key::ActionArgs, text));
            Some(&docker.phases)
        }
        ActionRuns::Node(node) => Some(&node.phases),
    };
    if let Some(phases) = phases {
        walk.optional(Key::ActionIf, phases.pre_if.as_ref());
        walk.optional(Key::ActionIf, phases.post_if.as_ref());
    }
    walk.sites.iter_mut().for_each(|site| site.key = site.key.in_action());
    walk.sites
}

struct Walk<'w> {
    sites: Vec<Site<'w>>,
    job: Option<&'w Job>,
    step: Option<usize>,
}

impl<'w> Walk<'w> {
    fn text(&mut self, key: Key, text: &'w Text) {
        let Text { value, at, expressions } = text;
        if expressions.is_empty() && !key.is_condition() {
            return;
        }
        let (value, places) = (Cow::Borrowed(value.as_str()), expressions.as_slice());
        self.sites.push(Site { key, value, at: *at, places, job: self.job, step: self.step });
    }

    fn optional(&mut self, key: Key, text: Option<&'w Text>) {
        text.into_iter().for_each(|text| self.text(key, text));
    }

    fn setting<T>(&mut self, key: Key, setting: Option<&'w Setting<T>>) {
        if let Some(Setting::Expression(text)) = setting {
            self.text(key, text);
        }
    }

    fn table(&mut self, key: Key, table: &'w Table) {
        match table {
            Table::Entries(entries) => {
                entries.iter().for_each(|entry| self.text(key, &entry.value))
            }
            Table::Expression(text) => self.text(key, text),
        }
    }

    fn defaults(&mut self, key: Key, defaults: &'w RunDefaults) {
        self.optional(key, defaults.shell.as_ref());
        self.optional(key, defaults.working_directory.as_ref());
    }

    fn job(&mut self, job: &'w Job) {
        self.optional(Key::JobName, job.name.as_ref());
        self.optional(Key::JobIf, job.condition.as_ref());
        if let Some(concurrency) = &job.concurrency {
            self.text(Key::JobConcurrency, &concurrency.group);
            self.setting(Key::JobConcurrency, concurrency.cancel_in_progress.as_ref());
        }
        if let Some(strategy) = &job.strategy {
            self.setting(Key::Strategy, strategy.fail_fast.as_ref());
            self.setting(Key::Strategy, strategy.max_parallel.as_ref());
            strategy.matrix.iter().for_each(|matrix| self.matrix(matrix));
        }
        match &job.body {
            JobBody::Steps(body) => self.body(body),
            JobBody::Call { with, secrets, .. } => {
                self.table(Key::CallWith, with);
                if let Secrets::Listed(secrets) = secrets {
                    secrets.iter().for_each(|secret| self.text(Key::CallSecrets, &secret.value));
                }
            }
        }
    }

    fn matrix(&mut self, matrix: &'w Matrix) {
        match matrix {
            Matrix::Expression(text) => self.text(Key::Strategy, text),
            Matrix::Written { axes, include, exclude } => {
                let lists = axes.iter().map(|axis| &axis.values);
                for list in lists.chain(include).chain(exclude) {
                    self.json(&list.value, list.at);
                }
            }
        }
    }

    /// Recursion is bounded by the depth of the file.
    fn json(&mut self, json: &'w Json, at: Position) {
        match json {
            Json::String(text) if text.contains("${{") => {
                let (key, value) = (Key::Strategy, Cow::Borrowed(text.as_str()));
                self.sites.push(Site { key, value, at, places: &[], job: self.job, step: None });
            }
            Json::Array(items) => items.iter().for_each(|item| self.json(item, at)),
            Json::Object(map) => map.values().for_each(|item| self.json(item, at)),
            _ => {}
        }
    }

    fn body(&mut self, body: &'w StepsBody) {
        body.runs_on.labels.iter().for_each(|label| self.text(Key::RunsOn, label));
        self.optional(Key::RunsOn, body.runs_on.group.as_ref());
        self.table(Key::JobEnv, &body.env);
        self.defaults(Key::JobDefaults, &body.defaults);
        self.setting(Key::Timeout, body.timeout_minutes.as_ref());
        self.setting(Key::Timeout, body.cancel_timeout_minutes.as_ref());
        self.setting(Key::ContinueOnError, body.continue_on_error.as_ref());
        if let Some(container) = &body.container {
            self.container(container);
        }
        for service in &body.services {
            self.container(&service.container);
            self.optional(Key::Container, service.entrypoint.as_ref());
            self.optional(Key::Container, service.command.as_ref());
        }
        body.outputs.iter().for_each(|output| self.text(Key::JobOutput, &output.value));
        if let Some(environment) = &body.environment {
            self.text(Key::Environment, &environment.name);
            self.optional(Key::EnvironmentUrl, environment.url.as_ref());
        }
        for (place, step) in body.steps.iter().enumerate() {
            self.step = Some(place);
            self.step(step);
        }
        self.step = None;
    }

    fn container(&mut self, container: &'w Container) {
        self.text(Key::Container, &container.image);
        self.table(Key::ContainerEnv, &container.env);
        self.optional(Key::Container, container.options.as_ref());
        let lists = container.ports.iter().chain(&container.volumes);
        lists.for_each(|text| self.text(Key::Container, text));
        if let Some(credentials) = &container.credentials {
            self.text(Key::Credentials, &credentials.username);
            self.text(Key::Credentials, &credentials.password);
        }
    }

    fn step(&mut self, step: &'w Step) {
        self.optional(Key::Step, step.name.as_ref());
        self.optional(Key::StepIf, step.condition.as_ref());
        self.table(Key::Step, &step.env);
        self.setting(Key::Step, step.continue_on_error.as_ref());
        self.setting(Key::Step, step.timeout_minutes.as_ref());
        match &step.action {
            Action::Run { script, shell, working_directory } => {
                self.text(Key::StepRun, script);
                self.optional(Key::Step, shell.as_ref());
                self.optional(Key::Step, working_directory.as_ref());
            }
            Action::Uses { action, with } => {
                self.text(Key::StepUses, action);
                self.table(Key::Step, with);
            }
            Action::Wait(names) => names.iter().for_each(|name| self.text(Key::Step, name)),
            Action::WaitAll => {}
            Action::Cancel(name) => self.text(Key::Step, name),
            Action::Parallel(steps) => steps.iter().for_each(|step| self.step(step)),
        }
    }
}
