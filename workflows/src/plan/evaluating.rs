//! Evaluates what a workflow says, or leaves it in the draft when too little is known.

use std::collections::BTreeMap;

use super::{Drafting, Later};
use crate::expression::{Functions, Value};
use crate::template::{self, Kind, Template};
use crate::workflow::{
    Entry, Located, MAX_TIMEOUT_MINUTES, Position, Setting, StepsBody, Table, Text,
};

impl Drafting<'_> {
    /// The value of a text; `None` when it is evaluated later or cannot be.
    pub(super) fn evaluated(&mut self, text: &Text, kind: Kind, what: &str) -> Option<Value> {
        let at = text.expressions.first().copied().unwrap_or(text.at);
        let template = Template { text: text.value.clone(), at, kind };
        self.value_of(template, what)
    }

    pub(super) fn value_of(&mut self, template: Template, what: &str) -> Option<Value> {
        if let Some(waits_for) = template.waits_for(&self.context) {
            let key = match template.kind {
                Kind::Condition => what.to_owned(),
                Kind::Text | Kind::Value => format!("an expression in {what}"),
            };
            let later = Later { step: self.step, key, waits_for, template };
            self.later.push(later);
            return None;
        }
        let functions = Functions::default();
        match template::evaluate(&template, &self.context, &functions, &mut self.budget) {
            Ok(value) => Some(value),
            Err(error) => {
                self.report.error(template.at, format!("in {what}: {error}"));
                None
            }
        }
    }

    /// A text with its expressions evaluated; as written when that is done later.
    pub(super) fn literal(&mut self, text: &Text, what: &str) -> Option<String> {
        if !text.has_expression() {
            return Some(text.value.clone());
        }
        let before = self.later.len();
        match self.evaluated(text, Kind::Text, what) {
            Some(value) => Some(value.to_text().to_string()),
            None => (self.later.len() > before).then(|| text.value.clone()),
        }
    }

    /// Whether an `if` holds, as far as that is known; one that is evaluated later is left.
    pub(super) fn holds(&mut self, condition: Option<&Text>) -> bool {
        let Some(condition) = condition else { return true };
        let value = self.evaluated(condition, Kind::Condition, "`if`");
        value.is_none_or(|value| value.is_truthy()) || self.looks_at_all
    }

    /// Minutes, from 1 to [`MAX_TIMEOUT_MINUTES`].
    pub(super) fn minutes_setting(
        &mut self,
        setting: Option<&Setting<u64>>,
        what: &str,
    ) -> Option<u64> {
        let whole = |value: &Value| value.to_text().parse().ok();
        let read =
            move |value: &Value| whole(value).filter(|n| (1..=MAX_TIMEOUT_MINUTES).contains(n));
        let wanted = format!("a whole number from 1 to {MAX_TIMEOUT_MINUTES}");
        self.setting(setting, what, &wanted, read)
    }

    /// A whole number of at least 1.
    pub(super) fn count_setting(
        &mut self,
        setting: Option<&Setting<u64>>,
        what: &str,
    ) -> Option<u64> {
        let read = |value: &Value| value.to_text().parse().ok().filter(|count| *count > 0);
        self.setting(setting, what, "a whole number of at least 1", read)
    }

    /// `true` or `false`.
    pub(super) fn truth_setting(
        &mut self,
        setting: Option<&Setting<bool>>,
        what: &str,
    ) -> Option<bool> {
        let read = |value: &Value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        };
        self.setting(setting, what, "`true` or `false`", read)
    }

    fn setting<T: Copy>(
        &mut self,
        setting: Option<&Setting<T>>,
        what: &str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let text = match setting? {
            Setting::Literal(literal) => return Some(literal.value),
            Setting::Expression(text) => text,
        };
        let value = self.evaluated(text, Kind::Value, what)?;
        let read = read(&value);
        if read.is_none() {
            self.wrong_kind(text.at, what, wanted, &value);
        }
        read
    }

    pub(super) fn wrong_kind(&mut self, at: Position, what: &str, wanted: &str, value: &Value) {
        let found = match value {
            Value::Array(_) | Value::Object(_) => value.kind().to_lowercase(),
            value => crate::diagnostic::quoted(&value.to_text()),
        };
        self.report.error(at, format!("the expression in {what} must give {wanted}, not {found}"));
    }

    /// Entries of a table, evaluated.
    pub(super) fn table(&mut self, table: &Table, what: &str) -> Vec<(Located<String>, String)> {
        let text = match table {
            Table::Entries(entries) => {
                let mut read = |Entry { key, value }: &Entry| {
                    Some((key.clone(), self.literal(value, &format!("{what}.{}", key.value))?))
                };
                return entries.iter().filter_map(&mut read).collect();
            }
            Table::Expression(text) => text,
        };
        match self.evaluated(text, Kind::Value, what) {
            None => Vec::new(),
            Some(Value::Object(entries)) => {
                let entry = |key: &str| Located { value: key.to_owned(), at: text.at };
                entries.iter().map(|(key, v)| (entry(key), v.to_text().to_string())).collect()
            }
            Some(other) => {
                self.wrong_kind(text.at, what, "an object", &other);
                Vec::new()
            }
        }
    }
}

/// What a job tells others, unevaluated: its runner knows what its steps said.
pub(super) fn outputs(body: &StepsBody) -> BTreeMap<String, Template> {
    let template = |text: &Text| Template {
        text: text.value.clone(),
        at: text.expressions.first().copied().unwrap_or(text.at),
        kind: Kind::Text,
    };
    let entry = |output: &Entry| (output.key.value.clone(), template(&output.value));
    body.outputs.iter().map(entry).collect()
}
