//! The parts of a step, evaluated as far as they are known; the rest is left for its runner.

use std::collections::BTreeMap;

use super::super::Drafting;
use crate::diagnostic::quoted;
use crate::job::{StepPart, StepTemplate};
use crate::template::{Kind, Template};
use crate::workflow::{Position, Setting, Step, Table, Text};
use crate::working_directory;

impl Drafting<'_> {
    /// What is left of a step's `if`: `None` when the step never runs, nothing inside when all
    /// that is left is that all before went well. A step that never runs and has a name stays, so
    /// that those after it can see that it was skipped.
    pub(in crate::plan) fn step_condition(&mut self, step: &Step) -> Option<Option<Template>> {
        let Some(condition) = &step.condition else { return Some(None) };
        let before = self.later.len();
        let holds = self.holds(Some(condition));
        if let Some(later) = self.later.drain(before..).next() {
            return Some(Some(later.template));
        }
        match (holds, &step.id) {
            (true, _) => Some(None),
            (false, Some(_)) => {
                let text = "false".to_owned();
                Some(Some(Template { text, at: condition.at, kind: Kind::Condition }))
            }
            (false, None) => None,
        }
    }

    /// A text of a step, evaluated or as written; in the latter case the template goes to
    /// `later`.
    pub(super) fn part(
        &mut self,
        text: &Text,
        part: StepPart,
        what: &str,
        later: &mut Vec<StepTemplate>,
    ) -> Option<String> {
        let before = self.later.len();
        let value = self.literal(text, what);
        self.hand_over(before, part, later);
        value
    }

    /// A `working-directory` that is known.
    pub(super) fn directory(&mut self, at: Position, written: &str) -> Option<String> {
        let read = working_directory::read(written);
        read.map_err(|why| {
            let message = format!("`working-directory` {} {why}", quoted(written));
            self.report.error(at, message);
        })
        .ok()
    }

    /// Variables of a step.
    pub(super) fn step_env(
        &mut self,
        table: &Table,
        later: &mut Vec<StepTemplate>,
    ) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        match table {
            Table::Expression(_) => {
                let before = self.later.len();
                env = self.env(table);
                self.hand_over(before, StepPart::WholeEnv, later);
            }
            Table::Entries(entries) => {
                for entry in entries {
                    let before = self.later.len();
                    env.extend(self.env(&Table::Entries(vec![entry.clone()])));
                    self.hand_over(before, StepPart::Env(entry.key.value.clone()), later);
                }
            }
        }
        env
    }

    /// Inputs of an action.
    pub(super) fn inputs(
        &mut self,
        table: &Table,
        later: &mut Vec<StepTemplate>,
    ) -> BTreeMap<String, String> {
        match table {
            Table::Expression(_) => {
                let before = self.later.len();
                let inputs = self.table(table, "`with`");
                self.hand_over(before, StepPart::WholeWith, later);
                inputs.into_iter().map(|(key, value)| (key.value, value)).collect()
            }
            Table::Entries(entries) => {
                let mut inputs = BTreeMap::new();
                for entry in entries {
                    let (key, what) = (&entry.key.value, format!("`with`.{}", entry.key.value));
                    let part = StepPart::With(key.clone());
                    let value = self.part(&entry.value, part, &what, later);
                    inputs.extend(value.map(|value| (key.clone(), value)));
                }
                inputs
            }
        }
    }

    /// Moves what was left since `before` to the step.
    fn hand_over(&mut self, before: usize, part: StepPart, later: &mut Vec<StepTemplate>) {
        let template = |left: super::super::Later| left.template;
        let left = self.later.drain(before..).map(template);
        later.extend(left.map(|template| StepTemplate { part: part.clone(), template }));
    }
}

/// A setting as what gives it when the step begins.
pub(super) fn template_of<T: ToString>(setting: &Setting<T>) -> Template {
    let (text, at) = match setting {
        Setting::Literal(literal) => (literal.value.to_string(), literal.at),
        Setting::Expression(text) => (text.value.clone(), text.at),
    };
    Template { text, at, kind: Kind::Value }
}
