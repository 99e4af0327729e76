//! What a workflow says of a run as a whole: its name, and which other runs it excludes.
//!
//! Both may name the numbers of the run, so that they are evaluated when it is recorded.

use serde::{Deserialize, Serialize};

use super::Drafting;
use crate::diagnostic::{Diagnostic, Position, Severity, quoted};
use crate::expression::{Budget, Context, Functions, Value};
use crate::facts::{Facts, RunNumbers};
use crate::template::{self, Kind, Template};
use crate::workflow::{Concurrency, Setting, Text, Workflow};

/// Longest name of a concurrency group, in characters.
pub const MAX_GROUP_CHARS: usize = 400;
/// Longest name of a run, in characters; it becomes a line of pages.
const MAX_RUN_NAME_CHARS: usize = 200;

/// A concurrency group: of its members one is under way and, as on GitHub, at most one waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name within the repository; the case of letters does not count.
    pub name: String,
    /// Whether a new member stops the one that is under way.
    pub cancel_in_progress: bool,
    /// Whether those that wait line up, instead of the newest replacing the others.
    #[serde(default)]
    pub lines_up: bool,
}

/// What a workflow says of its run, unevaluated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunTexts {
    run_name: Option<Template>,
    group: Option<GroupText>,
    /// The group of a workflow that names none.
    default_group: Option<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct GroupText {
    name: Template,
    cancel_in_progress: Option<Template>,
    queue: Option<Template>,
}

/// Where something is wrong, and what.
type Misplaced = (Position, String);

/// What a workflow says of its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunHead {
    /// What people see in place of the workflow's name.
    pub run_name: Option<String>,
    /// Which other runs of the repository it excludes.
    pub concurrency: Option<Group>,
}

impl RunTexts {
    /// Evaluates it all for a run that has its numbers. `path` is the workflow's file, `workflow`
    /// its title.
    ///
    /// # Errors
    /// What of the concurrency group cannot be evaluated, with its place in the file. A name that
    /// cannot be told stops nothing: the workflow's own stands in for it.
    pub fn head(&self, path: &str, workflow: &str, facts: &Facts) -> Result<RunHead, Diagnostic> {
        self.evaluated(workflow, facts).map_err(|(at, message)| Diagnostic {
            file: path.to_owned(),
            line: at.line,
            column: at.column,
            severity: Severity::Error,
            message: format!("in `concurrency`: {message}"),
            hint: None,
        })
    }

    fn evaluated(&self, workflow: &str, facts: &Facts) -> Result<RunHead, Misplaced> {
        let context = facts.contexts(workflow, None, None, &serde_json::json!({}));
        let mut budget = Budget::default();
        let run_name = self.run_name.as_ref().and_then(|template| {
            let name = value(template, &context, &mut budget).ok()?;
            let name = shown(&name.to_text(), MAX_RUN_NAME_CHARS);
            Some(name).filter(|name| !name.is_empty())
        });
        let concurrency = match &self.group {
            Some(group) => Some(group.evaluated(&context, &mut budget)?),
            None => self.default_group.clone(),
        };
        Ok(RunHead { run_name, concurrency })
    }
}

impl GroupText {
    fn of(concurrency: &Concurrency) -> Self {
        let text = |text: &Text, kind| Template { text: text.value.clone(), at: text.at, kind };
        let truth = |setting: &Setting<bool>| match setting {
            Setting::Literal(literal) => {
                Template { text: literal.value.to_string(), at: literal.at, kind: Kind::Text }
            }
            Setting::Expression(expression) => text(expression, Kind::Value),
        };
        Self {
            name: text(&concurrency.group, Kind::Text),
            cancel_in_progress: concurrency.cancel_in_progress.as_ref().map(truth),
            queue: concurrency.queue.as_ref().map(|queue| text(queue, Kind::Text)),
        }
    }

    fn evaluated(&self, context: &Context, budget: &mut Budget) -> Result<Group, Misplaced> {
        let name = value(&self.name, context, budget)?;
        let name = shown(&name.to_text(), MAX_GROUP_CHARS);
        if name.is_empty() {
            return Err((self.name.at, "the name of the group is empty".to_owned()));
        }
        let cancel_in_progress = match &self.cancel_in_progress {
            Some(template) => {
                let value = value(template, context, budget)?;
                value == Value::Bool(true) || &*value.to_text() == "true"
            }
            None => false,
        };
        let lines_up = match &self.queue {
            Some(template) => &*value(template, context, budget)?.to_text() == "max",
            None => false,
        };
        Ok(Group { name, cancel_in_progress, lines_up })
    }
}

impl Drafting<'_> {
    /// Reads what the workflow says of its run, and tries it with numbers of no run.
    pub(super) fn run_texts(&mut self, workflow: &Workflow) -> RunTexts {
        let run_name = workflow.run_name.as_ref().map(|name| Template {
            text: name.value.clone(),
            at: name.at,
            kind: Kind::Text,
        });
        let group = workflow.concurrency.as_ref().map(GroupText::of);
        let default_group =
            self.facts.pull_request().map(|pull| default_group(&workflow.path, &pull));
        let texts = RunTexts { run_name, group, default_group };
        let facts = self.facts.clone().with_run(RunNumbers::default());
        if let Err((at, message)) = texts.evaluated(workflow.title(), &facts) {
            self.report.error(at, format!("in `concurrency`: {message}"));
        }
        texts
    }

    /// The group of a job, as far as it is known.
    pub(super) fn group(&mut self, concurrency: &Concurrency) -> Option<Group> {
        let before = self.later.len();
        self.evaluated(&concurrency.group, Kind::Text, "`concurrency`");
        if let Some(Setting::Expression(text)) = &concurrency.cancel_in_progress {
            self.evaluated(text, Kind::Value, "`cancel-in-progress`");
        }
        if self.later.len() > before || self.report.has_errors() {
            return None;
        }
        let group = GroupText::of(concurrency).evaluated(&self.context, &mut self.budget);
        let told = |(at, message): Misplaced| {
            self.report.error(at, format!("in `concurrency`: {message}"));
        };
        group.map_err(told).ok()
    }
}

/// What is checked by a newer head of a pull request need not be finished for the older one.
fn default_group(path: &str, pull: &str) -> Group {
    Group { name: format!("{path} {pull}"), cancel_in_progress: true, lines_up: false }
}

fn value(template: &Template, context: &Context, budget: &mut Budget) -> Result<Value, Misplaced> {
    if let Some(unknown) = template.waits_for(context) {
        let message = format!("{} is not known when a run is planned", quoted(&unknown));
        return Err((template.at, message));
    }
    let functions = Functions::default();
    let value = template::evaluate(template, context, &functions, budget);
    value.map_err(|error| (template.at, error.to_string()))
}

/// One line of at most so many characters.
fn shown(text: &str, chars: usize) -> String {
    let line = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(chars).collect()
}
