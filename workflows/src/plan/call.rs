//! A job that is another workflow: what it is given, what it hears, and the jobs that it becomes.
//!
//! A call is a job of its run without steps. When its needs are met it opens: its file's jobs are
//! drafted with its inputs, as jobs within it. When all of these are over it is over, too.

mod given;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::{Drafting, Group, JobDraft, Plan};
use crate::diagnostic::{Diagnostic, Position};
use crate::expression::{Budget, Functions, Value};
use crate::facts::Facts;
use crate::template::{self, Kind, Template};
use crate::workflow::{
    Called, CalledFile, Entry, Job, MAX_CALL_DEPTH, MAX_CALLED_FILES, Permissions, Secrets, Table,
    Text, Workflow, name_of_call, own_name, parse,
};

/// Most text of all outputs of a call, in bytes, as of the outputs of a job.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// A job that is another workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDraft {
    /// What the jobs within it are given.
    pub within: Within,
    /// What the caller hears, evaluated when they are over.
    pub outputs: BTreeMap<String, Template>,
}

/// The call that a job is part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Within {
    /// The name of the calling job, which no other job of the run has.
    pub call: String,
    /// What people see of it.
    pub title: String,
    /// What people call the run's own workflow.
    pub workflow: String,
    /// The files from the run's own to the one that is called.
    pub files: Vec<String>,
    /// The context `inputs`.
    pub inputs: Map<String, Json>,
    /// Which secrets its jobs may name.
    pub secrets: Handed,
    /// More than these no job within it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
}

/// The secrets that a call hands over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handed {
    /// `secrets: inherit`: whatever the run has.
    #[default]
    All,
    /// By the name that the called workflow knows, in capitals.
    Each(BTreeMap<String, HandedSecret>),
}

/// What stands behind a name that a call hands over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandedSecret {
    /// A secret of the run.
    Secret(String),
    /// A text that is no secret of the run; masked like one.
    Text(String),
}

impl Handed {
    /// What a name within the call stands for.
    #[must_use]
    pub fn behind(&self, name: &str) -> Option<HandedSecret> {
        let name = name.to_ascii_uppercase();
        match self {
            Self::All => Some(HandedSecret::Secret(name)),
            Self::Each(each) => each.get(&name).cloned(),
        }
    }
}

/// What the jobs of a call are: those of its file, with what it is given.
///
/// # Errors
/// Everything in the called file that cannot be done.
pub fn drafts_within(
    within: &Within,
    called: &Called,
    facts: &Facts,
) -> Result<Plan, Vec<Diagnostic>> {
    let (path, workflow) = file_of(within, called)?;
    let facts = facts.clone().with_inputs(within.inputs.clone());
    let mut drafting = Drafting::new(&path, &facts);
    drafting.within = Some(within);
    drafting.refusing(&workflow)
}

/// The same for the jobs of one key, when the jobs that it needs are over.
///
/// # Errors
/// Everything in the job that cannot be done.
pub fn drafts_of_key_within(
    within: &Within,
    called: &Called,
    facts: &Facts,
    key: &str,
    needs: &Map<String, Json>,
) -> Result<Vec<JobDraft>, Vec<Diagnostic>> {
    let (path, workflow) = file_of(within, called)?;
    let facts = facts.clone().with_inputs(within.inputs.clone());
    let mut drafting = Drafting::new(&path, &facts);
    drafting.within = Some(within);
    drafting.of_key(&workflow, key, needs)
}

/// What a call tells its caller. `jobs` is the context of that name.
///
/// # Errors
/// Says which output cannot be told.
pub fn outputs_of_call(
    call: &CallDraft,
    facts: &Facts,
    jobs: &Map<String, Json>,
) -> Result<BTreeMap<String, String>, String> {
    let facts = facts.clone().with_inputs(call.within.inputs.clone());
    let mut context = facts.contexts(&call.within.workflow, None, Some(&Map::new()), &json!({}));
    context.set("jobs", Value::from(&Json::Object(jobs.clone())));
    let (mut budget, mut bytes) = (Budget::default(), 0);
    let mut outputs = BTreeMap::new();
    for (name, template) in &call.outputs {
        let value = template::evaluate(template, &context, &Functions::default(), &mut budget)
            .map_err(|error| format!("in output `{name}` of the called workflow: {error}"))?;
        let value = value.to_text().to_string();
        bytes += value.len();
        if bytes > MAX_OUTPUT_BYTES {
            return Err(format!("the outputs of the call have more than {MAX_OUTPUT_BYTES} bytes"));
        }
        outputs.insert(name.clone(), value);
    }
    Ok(outputs)
}

/// The file of a call, with those that it calls in turn.
fn file_of(within: &Within, called: &Called) -> Result<(String, Workflow), Vec<Diagnostic>> {
    let name = within.files.last().cloned().unwrap_or_default();
    let path = name.trim_start_matches("./").to_owned();
    let text = match called.get(&name) {
        Some(CalledFile::Text(text)) => text.as_str(),
        _ => "",
    };
    let mut workflow = parse(&path, text)?;
    workflow.called = called.clone();
    Ok((path, workflow))
}

impl Drafting<'_> {
    /// The draft of a job that calls, but for what all jobs have.
    pub(super) fn call(
        &mut self,
        workflow: &Workflow,
        job: &Job,
        (uses, with, secrets): (&Text, &Table, &Secrets),
    ) -> Option<(CallDraft, Option<Group>)> {
        let mut files = match self.within {
            Some(within) => within.files.clone(),
            None => vec![own_name(&workflow.path)],
        };
        let caller = files.last().cloned().unwrap_or_default();
        let name = match name_of_call(&caller, &uses.value) {
            Ok(name) => name,
            Err(why) => {
                self.report.error(uses.at, why);
                return None;
            }
        };
        files.push(name);
        let file = self.called_file(workflow, uses, &files)?;
        let Some(declared) = &file.on.workflow_call else {
            let message = format!("`{}` has no `workflow_call` under `on`", uses.value);
            let hint = "a workflow says itself that it may be called, and with which inputs";
            self.report.error_with_hint(uses.at, message, hint);
            return None;
        };
        let inputs = self.call_inputs(uses.at, with, &declared.inputs).unwrap_or_default();
        let secrets = self.call_secrets(uses.at, secrets, &declared.secrets);
        let group = self.group_of_call(job, uses.at, &file, &inputs);
        let call = CallDraft {
            within: Within {
                call: String::new(),
                title: String::new(),
                workflow: self.title(workflow),
                files,
                inputs,
                secrets,
                permissions: self.stated_permissions(workflow, job),
            },
            outputs: declared.outputs.iter().map(output).collect(),
        };
        Some((call, group))
    }

    /// The concurrency group of a call: that of the calling job, or of the called workflow. What is
    /// wrong in the other file is told in the line of the call.
    fn group_of_call(
        &mut self,
        job: &Job,
        at: Position,
        file: &Workflow,
        inputs: &Map<String, Json>,
    ) -> Option<Group> {
        match (&job.concurrency, &file.concurrency) {
            (Some(_), Some(_)) => {
                let what = "`concurrency` of a called workflow beside that of the calling job";
                self.unsupported(at, what);
                None
            }
            (Some(own), None) => self.group(own),
            // Its inputs may be part of its name.
            (None, Some(of_file)) if self.later.is_empty() => {
                let mut context = self.context.clone();
                context.set("inputs", Value::from(&Json::Object(inputs.clone())));
                let own = std::mem::replace(&mut self.context, context);
                let mut of_file = of_file.clone();
                (of_file.at, of_file.group.at) = (at, at);
                of_file.group.expressions.iter_mut().for_each(|place| *place = at);
                let group = self.group(&of_file);
                self.context = own;
                group
            }
            (None, _) => None,
        }
    }

    /// Reads the file that is called, once for all jobs of a matrix; what is wrong with it is told in
    /// the line of the call. `files` lead to it.
    fn called_file(
        &mut self,
        workflow: &Workflow,
        uses: &Text,
        files: &[String],
    ) -> Option<Rc<Workflow>> {
        let name = files.last()?;
        if let Some(known) = self.called.get(name) {
            return known.clone();
        }
        let read = match workflow.called.get(name) {
            Some(CalledFile::Text(text)) => {
                chain(&workflow.called, &mut files.to_vec()).and_then(|()| {
                    parse(name.trim_start_matches("./"), text).map_err(|found| {
                        let first = found.first().map(ToString::to_string).unwrap_or_default();
                        format!("the called workflow cannot be read: {first}")
                    })
                })
            }
            Some(CalledFile::Missing(why)) => Err(format!("`{}`: {why}", uses.value)),
            // Of a file alone nobody knows what stands beside it.
            Some(CalledFile::Elsewhere) | None if self.looks_at_all => return None,
            Some(CalledFile::Elsewhere) => {
                Err(format!("`{}` is in another repository, which is not asked here", uses.value))
            }
            None if workflow.called.is_full() => {
                Err(format!("a run may call at most {MAX_CALLED_FILES} workflow files"))
            }
            None => Err(format!("`{}`: nobody has looked for the file", uses.value)),
        };
        let file = read.map_err(|why| self.report.error(uses.at, why)).ok().map(Rc::new);
        self.called.insert(name.clone(), file.clone());
        file
    }

    /// Puts jobs into the call that they are part of.
    pub(super) fn put_within(&self, drafts: &mut [JobDraft]) {
        for draft in drafts {
            if let Some(within) = self.within {
                draft.name = format!("{} / {}", within.call, draft.name);
                draft.title = format!("{} / {}", within.title, draft.title);
                draft.within = Some(Box::new(within.clone()));
            }
            if let Some(call) = &mut draft.call {
                call.within.call.clone_from(&draft.name);
                call.within.title.clone_from(&draft.title);
            }
        }
    }

    /// What people call the workflow of the run.
    pub(super) fn title(&self, workflow: &Workflow) -> String {
        self.within.map_or_else(|| workflow.title().to_owned(), |within| within.workflow.clone())
    }
}

fn output(Entry { key, value }: &Entry) -> (String, Template) {
    let at: Position = value.expressions.first().copied().unwrap_or(value.at);
    (key.value.clone(), Template { text: value.value.clone(), at, kind: Kind::Text })
}

/// Whether the calls of the last of these files, to which the others lead, come to an end, and early
/// enough. Recursion is bounded by [`MAX_CALL_DEPTH`], its breadth by [`MAX_CALLED_FILES`].
fn chain(called: &Called, files: &mut Vec<String>) -> Result<(), String> {
    let shown = |files: &[String]| files.join(" → ");
    let Some((last, before)) = files.split_last() else { return Ok(()) };
    if before.contains(last) {
        return Err(format!("workflows call each other in a circle: {}", shown(files)));
    }
    if files.len() > MAX_CALL_DEPTH {
        return Err(format!(
            "workflows may call each other {MAX_CALL_DEPTH} deep, the first one included, and \
             these are deeper: {}",
            shown(files)
        ));
    }
    for name in called.calls(last) {
        files.push(name);
        chain(called, files)?;
        files.pop();
    }
    Ok(())
}
