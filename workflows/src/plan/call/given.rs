//! What a call gives: inputs, as the called workflow declares them, and secrets.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::super::{Drafting, Later};
use super::{Handed, HandedSecret};
use crate::diagnostic::{Position, nearest, quoted};
use crate::expression::Value;
use crate::template::Kind;
use crate::workflow::{Entry, Input, InputKind, Located, Secrets, Table, Text};

/// Most text of the inputs of a call, in bytes, as of those that a person gives on GitHub; each of
/// its jobs is stored with them.
const MAX_INPUT_BYTES: usize = 65_535;

/// What stands under `with`; `None` for a value that is known later, or was reported.
type Given = Vec<(Located<String>, Option<Value>)>;

impl Drafting<'_> {
    /// The context `inputs` of the called workflow, as far as it is known.
    pub(super) fn call_inputs(
        &mut self,
        at: Position,
        with: &Table,
        declared: &[Input],
    ) -> Option<Map<String, Json>> {
        let given = self.call_values(with)?;
        self.refuse_unknown_inputs(&given, declared);
        let mut inputs = Map::new();
        for input in declared {
            let name = &input.name.value;
            let said = given.iter().find(|(key, _)| key.value.eq_ignore_ascii_case(name));
            let value = match said {
                Some((key, value)) => {
                    value.as_ref().and_then(|value| self.typed(key.at, input, value))
                }
                None if input.required => {
                    let message = format!("the called workflow needs the input `{name}`");
                    self.report.error_with_hint(at, message, "give it under `with`");
                    None
                }
                None => self.default_of(at, input),
            };
            inputs.insert(name.clone(), value.unwrap_or(Json::Null));
        }
        let text =
            |(name, value): (&String, &Json)| name.len() + value.as_str().map_or(8, str::len);
        if inputs.iter().map(text).sum::<usize>() > MAX_INPUT_BYTES {
            let message = format!("the inputs of a call have more than {MAX_INPUT_BYTES} bytes");
            self.report.error(at, message);
            return None;
        }
        Some(inputs)
    }

    fn refuse_unknown_inputs(&mut self, given: &Given, declared: &[Input]) {
        let names = || declared.iter().map(|input| input.name.value.as_str());
        for (key, _) in given {
            if names().any(|known| known.eq_ignore_ascii_case(&key.value)) {
                continue;
            }
            let message = format!("the called workflow has no input {}", quoted(&key.value));
            let hint = match nearest(&key.value, names()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if declared.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            self.report.error_with_hint(key.at, message, hint);
        }
    }

    fn call_values(&mut self, with: &Table) -> Option<Given> {
        let entries = match with {
            Table::Entries(entries) => entries,
            Table::Expression(text) => {
                self.unsupported(text.at, "an expression in the place of all inputs of a call");
                return None;
            }
        };
        let mut value = |Entry { key, value }: &Entry| {
            let what = format!("`with`.{}", key.value);
            let value = if value.has_expression() {
                self.evaluated(value, Kind::Value, &what)
            } else {
                Some(Value::from(value.value.as_str()))
            };
            (key.clone(), value)
        };
        Some(entries.iter().map(&mut value).collect())
    }

    /// What an input is that nobody gives. Its default knows no inputs, those of the caller least.
    fn default_of(&mut self, at: Position, input: &Input) -> Option<Json> {
        let Some(default) = &input.default else {
            return Some(match input.kind {
                InputKind::Boolean => false.into(),
                InputKind::Number => 0.into(),
                InputKind::String | InputKind::Choice(_) | InputKind::Environment => "".into(),
            });
        };
        if !default.has_expression() {
            return self.typed(at, input, &Value::from(default.value.as_str()));
        }
        let mut context = self.context.clone();
        context.set("inputs", Value::from(&json!({})));
        let own = std::mem::replace(&mut self.context, context);
        // Its place is one of another file.
        let what = format!("the default of the input `{}`", input.name.value);
        let text = Text { at, expressions: vec![at], value: default.value.clone() };
        let value = self.evaluated(&text, Kind::Value, &what);
        self.context = own;
        value.and_then(|value| self.typed(at, input, &value))
    }

    fn typed(&mut self, at: Position, input: &Input, value: &Value) -> Option<Json> {
        let text = value.to_text();
        let (typed, wanted) = match &input.kind {
            InputKind::Boolean => (text.parse::<bool>().ok().map(Json::from), "`true` or `false`"),
            InputKind::Number => (crate::dispatch::number(&text).map(Json::from), "a number"),
            InputKind::String | InputKind::Choice(_) | InputKind::Environment => match value {
                Value::Array(_) | Value::Object(_) => (None, "text"),
                _ => (Some(Json::from(&*text)), "text"),
            },
        };
        if typed.is_none() {
            let found = match value {
                Value::Array(_) | Value::Object(_) => value.kind().to_lowercase(),
                _ => quoted(&text),
            };
            let name = &input.name.value;
            let message = format!("input `{name}` of the called workflow is {wanted}, not {found}");
            self.report.error(at, message);
        }
        typed
    }

    /// The secrets that are handed over.
    pub(super) fn call_secrets(
        &mut self,
        at: Position,
        secrets: &Secrets,
        declared: &[(Located<String>, bool)],
    ) -> Handed {
        let entries = match secrets {
            Secrets::Inherit => {
                return self.within.map_or(Handed::All, |within| within.secrets.clone());
            }
            Secrets::Listed(entries) => entries,
        };
        let mut handed = BTreeMap::new();
        for Entry { key, value } in entries {
            if self.is_declared(key, declared)
                && let Some(secret) = self.handed(value)
            {
                handed.insert(key.value.to_ascii_uppercase(), secret);
            }
        }
        let is_given =
            |name: &str| entries.iter().any(|entry| entry.key.value.eq_ignore_ascii_case(name));
        for (name, needed) in declared {
            if *needed && !is_given(&name.value) {
                let message = format!("the called workflow needs the secret `{}`", name.value);
                let hint = "give it under `secrets`, or write `secrets: inherit`";
                self.report.error_with_hint(at, message, hint);
            }
        }
        Handed::Each(handed)
    }

    fn is_declared(&mut self, key: &Located<String>, declared: &[(Located<String>, bool)]) -> bool {
        let names = || declared.iter().map(|(name, _)| name.value.as_str());
        if names().any(|known| known.eq_ignore_ascii_case(&key.value)) {
            return true;
        }
        let message = format!("the called workflow asks for no secret {}", quoted(&key.value));
        match nearest(&key.value, names()) {
            Some(meant) => {
                let hint = format!("did you mean `{meant}`?");
                self.report.error_with_hint(key.at, message, hint);
            }
            None => self.report.error(key.at, message),
        }
        false
    }

    /// A secret as it is named, or a text that stands on none.
    fn handed(&mut self, text: &Text) -> Option<HandedSecret> {
        if let Some(name) = text.as_expression().and_then(lone_secret) {
            let behind = match self.within {
                Some(within) => within.secrets.behind(name),
                None => Handed::All.behind(name),
            };
            // What the caller was not given itself is empty, as every secret that nobody has set.
            return Some(behind.unwrap_or(HandedSecret::Text(String::new())));
        }
        let waiting = self.later.len();
        let value = self.literal(text, "`secrets`");
        let stands_on_secrets = |later: &Later| later.waits_for.starts_with("secrets");
        if self.later.iter().skip(waiting).any(stands_on_secrets) {
            self.later.truncate(waiting);
            let message = "a call hands over a secret as a whole, as in `${{ secrets.NAME }}`";
            self.report.error(text.at, message);
            return None;
        }
        value.map(HandedSecret::Text)
    }
}

/// The name in `secrets.NAME`, where nothing else stands.
fn lone_secret(inside: &str) -> Option<&str> {
    let (context, name) = inside.trim().split_once('.')?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_lone = context.eq_ignore_ascii_case("secrets") && !name.is_empty();
    (is_lone && name.bytes().all(is_name)).then_some(name)
}
