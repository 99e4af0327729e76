//! What is wrong with the uses of actions of the repository itself: they are not there, cannot be
//! read, are given what they do not know, or use each other without end.
//!
//! A runner finds all of this when the step begins; who writes the workflow wants to know before.

use std::collections::BTreeMap;

use super::found::below;
use super::{Action, ActionImage, ActionKind, DOCKERFILE, FILE_NAMES, MAX_ACTIONS, MAX_DEPTH};
use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Position, Report, Severity, quoted};
use crate::dockerfile::{self, MAX_DOCKERFILE_BYTES};
use crate::gate::Content;
use crate::job::ActionSource;
use crate::workflow::{
    self, ActionFile, ActionRuns, DockerRuns, JobBody, Located, NodeRuns, Step, Table, Text,
    Workflow,
};

/// Gives the file at a path below the repository's root, up to a number of bytes.
pub type Look<'a> = &'a dyn Fn(&str, usize) -> Content;

/// Looks at the actions of one repository, at each of them once.
pub struct LocalActions<'a> {
    look: Look<'a>,
    /// By their directories.
    known: BTreeMap<String, Known>,
    /// The directories of the actions that are being looked at, each used by the one before.
    open: Vec<String>,
    found: Vec<Diagnostic>,
}

/// What is known of a directory.
#[derive(Clone)]
enum Known {
    /// It is no action.
    Missing,
    /// It is one that cannot be used; why is told.
    Broken,
    /// It is one, and that many use each other here, itself included.
    Action(Box<Action>, usize),
}

impl<'a> LocalActions<'a> {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(look: Look<'a>) -> Self {
        Self { look, known: BTreeMap::new(), open: Vec::new(), found: Vec::new() }
    }

    /// Checks the uses in a workflow.
    pub fn check_workflow(&mut self, path: &str, workflow: &Workflow) {
        let mut report = Report::new(path);
        for job in &workflow.jobs {
            if let JobBody::Steps(body) = &job.body {
                self.steps(&mut report, &body.steps);
            }
        }
        self.take(report);
    }

    /// Checks the action of a directory below the root, whether anything uses it or not.
    pub fn check_action(&mut self, directory: &str) {
        let directory = directory.trim_matches('/').to_owned();
        self.known_of(&directory);
    }

    /// What was found, file by file.
    #[must_use]
    pub fn finish(mut self) -> Vec<Diagnostic> {
        let order = |one: &Diagnostic| (one.file.clone(), one.position());
        self.found.sort_by_key(order);
        self.found.dedup();
        self.found
    }

    fn take(&mut self, report: Report) {
        let (Ok(found) | Err(found)) = report.finish();
        self.add(found);
    }

    fn add(&mut self, found: Vec<Diagnostic>) {
        let room = MAX_DIAGNOSTICS.saturating_sub(self.found.len());
        self.found.extend(found.into_iter().take(room));
    }

    /// Checks steps in their order; the answer is how many actions use each other in them.
    fn steps(&mut self, report: &mut Report, steps: &[Step]) -> usize {
        let (mut depth, mut may_be_made) = (0, false);
        for step in steps {
            match &step.action {
                workflow::Action::Uses { action, with } => {
                    depth = depth.max(self.one_use(report, action, with, may_be_made));
                    may_be_made |= !is_ours(&action.value);
                }
                workflow::Action::Parallel(inner) => {
                    depth = depth.max(self.steps(report, inner));
                    may_be_made = true;
                }
                _ => may_be_made = true,
            }
        }
        depth
    }

    /// Checks one use; the answer is how many actions use each other there.
    fn one_use(
        &mut self,
        report: &mut Report,
        uses: &Text,
        with: &Table,
        may_be_made: bool,
    ) -> usize {
        let Ok(ActionSource::Local { path }) = ActionSource::parse(uses.value.trim()) else {
            return 0;
        };
        if let Some(place) = self.open.iter().position(|open| *open == path) {
            let round = self.open[place..].iter().chain([&path]);
            let round = round.map(|path| format!("./{path}")).collect::<Vec<_>>().join(" uses ");
            report.error(uses.at, format!("actions that use each other have no end: {round}"));
            return 0;
        }
        match self.known_of(&path) {
            Known::Broken => 0,
            Known::Missing => {
                self.tell_missing(report, uses, &path, may_be_made);
                0
            }
            Known::Action(action, depth) => {
                if depth > MAX_DEPTH {
                    let message = format!("actions use each other more than {MAX_DEPTH} deep here");
                    report.error(uses.at, message);
                }
                check_inputs(report, uses.at, &action, with);
                depth
            }
        }
    }

    /// A step may make an action before another uses it; nothing else can.
    fn tell_missing(&self, report: &mut Report, uses: &Text, path: &str, may_be_made: bool) {
        let [yml, yaml] = FILE_NAMES;
        let message = format!(
            "there is no action {}: its directory has no {yml}, {yaml} or {DOCKERFILE}",
            quoted(&format!("./{path}"))
        );
        if may_be_made {
            let hint = "an earlier step of the job would have to make it";
            report.warning_with_hint(uses.at, message, hint);
        } else {
            let hint = "the path begins at the root of the repository";
            report.error_with_hint(uses.at, message, hint);
        }
    }

    fn known_of(&mut self, directory: &str) -> Known {
        if let Some(known) = self.known.get(directory) {
            return known.clone();
        }
        // Whoever goes beyond either bound has been told of worse.
        if self.known.len() >= MAX_ACTIONS || self.open.len() > MAX_DEPTH {
            return Known::Broken;
        }
        self.open.push(directory.to_owned());
        let known = self.look_at(directory);
        self.open.pop();
        self.known.insert(directory.to_owned(), known.clone());
        known
    }

    fn look_at(&mut self, directory: &str) -> Known {
        for name in FILE_NAMES {
            let path = below(directory, name);
            match (self.look)(&path, super::MAX_FILE_BYTES) {
                Content::Missing => {}
                Content::Text(text) => return self.read(directory, &path, &text),
                other => {
                    self.add(vec![unreadable(&path, &other)]);
                    return Known::Broken;
                }
            }
        }
        match (self.look)(&below(directory, DOCKERFILE), MAX_DOCKERFILE_BYTES) {
            Content::Text(_) => Known::Action(Box::new(Action::of_dockerfile()), 1),
            _ => Known::Missing,
        }
    }

    /// Checks an action file and whatever it names.
    fn read(&mut self, directory: &str, path: &str, text: &str) -> Known {
        let file = match workflow::parse_action(path, text) {
            Ok(file) => file,
            Err(found) => {
                self.add(found);
                return Known::Broken;
            }
        };
        self.add(file.warnings.clone());
        let action = match super::read(path, text) {
            Ok(action) => action,
            Err(found) => {
                self.add(found);
                return Known::Broken;
            }
        };
        let mut report = Report::new(path);
        let depth = self.runs(&mut report, directory, &file, &action);
        self.take(report);
        Known::Action(Box::new(action), depth + 1)
    }

    /// Checks what an action runs; the answer is how many others use each other there.
    fn runs(
        &mut self,
        report: &mut Report,
        directory: &str,
        file: &ActionFile,
        action: &Action,
    ) -> usize {
        match &file.runs {
            ActionRuns::Composite(steps) => return self.steps(report, steps),
            ActionRuns::Docker(docker) => self.image(report, directory, docker, action),
            ActionRuns::Node(node) => self.programs(report, directory, node),
        }
        0
    }

    fn image(&self, report: &mut Report, directory: &str, docker: &DockerRuns, action: &Action) {
        let ActionKind::Docker(read) = &action.kind else { return };
        let ActionImage::Dockerfile(file) = &read.image else { return };
        let path = below(directory, file.trim_start_matches("./"));
        let at = docker.image.at;
        match (self.look)(&path, MAX_DOCKERFILE_BYTES) {
            Content::Text(text) => {
                if let Err(error) = dockerfile::parse(&text) {
                    report.error(at, format!("{path}:{}: {}", error.line, error.message));
                }
            }
            Content::Missing => {
                let message = format!("there is no {} for the image", quoted(&path));
                let hint = "`image` is a Dockerfile of the action, or `docker://IMAGE`";
                report.error_with_hint(at, message, hint);
            }
            other => report.error(at, format!("{}: {}", quoted(&path), what_it_is(&other))),
        }
    }

    /// Programs are often made from other files by a step, so that a missing one is no error.
    fn programs(&self, report: &mut Report, directory: &str, node: &NodeRuns) {
        let programs = [Some(&node.main), node.phases.pre.as_ref(), node.phases.post.as_ref()];
        for Located { value, at } in programs.into_iter().flatten() {
            let path = below(directory, value.trim_start_matches("./"));
            let found = (self.look)(&path, super::MAX_FILE_BYTES);
            if matches!(found, Content::Missing | Content::NotAFile) {
                let message = format!("there is no program {}", quoted(&path));
                let hint = "commit it, or make it in a step before the action is used";
                report.warning_with_hint(*at, message, hint);
            }
        }
    }
}

/// As on GitHub, neither what is missing nor what is not known keeps the action from running.
fn check_inputs(report: &mut Report, at: Position, action: &Action, with: &Table) {
    let Table::Entries(entries) = with else { return };
    for entry in entries {
        let name = &entry.key.value;
        match action.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(name)) {
            Some(input) => {
                if let Some(told) = &input.deprecation {
                    let message = format!("input {} is deprecated: {told}", quoted(name));
                    report.warning(entry.key.at, message);
                }
            }
            None if action.takes_unnamed(name) => {}
            None => report.warning(entry.key.at, action.no_input(name)),
        }
    }
    for input in action.inputs.iter().filter(|input| input.is_required && input.default.is_none()) {
        let is_given = |name: &str| name.eq_ignore_ascii_case(&input.name);
        if !entries.iter().any(|entry| is_given(&entry.key.value)) {
            let message = format!("input {} is required and not given", quoted(&input.name));
            report.warning(at, message);
        }
    }
}

/// Whether that is an action of ours, which makes no files that were not in the repository.
fn is_ours(uses: &str) -> bool {
    uses.starts_with("strata/") || uses.starts_with("actions/checkout")
}

fn unreadable(path: &str, content: &Content) -> Diagnostic {
    Diagnostic {
        file: path.to_owned(),
        line: 1,
        column: 1,
        severity: Severity::Error,
        message: what_it_is(content),
        hint: None,
    }
}

fn what_it_is(content: &Content) -> String {
    match content {
        Content::Missing => "there is no such file".to_owned(),
        Content::Text(_) => "the file is text".to_owned(),
        Content::NotText => "the file is not UTF-8 text".to_owned(),
        Content::TooLarge { bytes } => format!("the file has {bytes} bytes, which are too many"),
        Content::Symlink => "the file is a symbolic link; write the file itself here".to_owned(),
        Content::NotAFile => "this is not a file".to_owned(),
    }
}

#[cfg(test)]
mod tests;
