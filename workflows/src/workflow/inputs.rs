//! What a person or a calling workflow may hand over: `inputs`, `secrets` and `outputs`.

use super::raw::{Kind, Node, Scalar, Value};
use super::reader::{Fields, Reader};
use super::text::{Entry, Located, Text};
use crate::diagnostic::{nearest, quoted};

/// Most inputs of one workflow, as on GitHub.
const MAX_INPUTS: usize = 25;

/// One input of `workflow_dispatch` or `workflow_call`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: Located<String>,
    /// For the person who fills it in.
    pub description: Option<String>,
    /// Whether a run needs it.
    pub required: bool,
    /// What it is when nothing was said.
    pub default: Option<Text>,
    /// What it may be.
    pub kind: InputKind,
}

/// What an input may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// Any text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// One of these.
    Choice(Vec<String>),
    /// The name of an environment.
    Environment,
}

/// `on.workflow_call`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// What the caller may say.
    pub inputs: Vec<Input>,
    /// What is told to the caller.
    pub outputs: Vec<Entry>,
    /// Names of the secrets that the caller may hand over, and whether it must.
    pub secrets: Vec<(Located<String>, bool)>,
}

/// Which event an input belongs to; they differ in the types that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Person,
    Workflow,
}

/// `on.workflow_dispatch`.
pub(super) fn read_dispatch(reader: &mut Reader, node: Option<&Node>, path: &str) -> Vec<Input> {
    let Some(fields) = node.and_then(|node| reader.fields(node, path, &["inputs"])) else {
        return Vec::new();
    };
    read_inputs(reader, &fields, Caller::Person)
}

/// `on.workflow_call`.
pub(super) fn read_call(reader: &mut Reader, node: Option<&Node>, path: &str) -> Call {
    let fields = node.and_then(|node| reader.fields(node, path, &["inputs", "outputs", "secrets"]));
    let Some(fields) = fields else { return Call::default() };
    Call {
        inputs: read_inputs(reader, &fields, Caller::Workflow),
        outputs: read_outputs(reader, &fields),
        secrets: read_secrets(reader, &fields),
    }
}

/// The entries of a mapping below `key`, which may be written out as nothing.
fn below<'n>(reader: &mut Reader, fields: &Fields<'n>, key: &str) -> Option<Fields<'n>> {
    let node = fields.get(key).filter(|node| !node.is_null())?;
    reader.mapping(node, &fields.path_of(key))
}

fn read_inputs(reader: &mut Reader, fields: &Fields<'_>, caller: Caller) -> Vec<Input> {
    let Some(inputs) = below(reader, fields, "inputs") else { return Vec::new() };
    let inputs: Vec<Input> = inputs
        .iter()
        .filter_map(|(name, node)| {
            let path = inputs.path_of(&name.value);
            read_input(reader, name, node, &path, caller)
        })
        .collect();
    if inputs.len() > MAX_INPUTS {
        let message = format!("{} inputs; at most {MAX_INPUTS} are allowed", inputs.len());
        reader.report.error(inputs[MAX_INPUTS].name.at, message);
    }
    inputs
}

fn read_input(
    reader: &mut Reader,
    name: Located<String>,
    node: &Node,
    path: &str,
    caller: Caller,
) -> Option<Input> {
    const KEYS: [&str; 6] =
        ["description", "deprecationMessage", "required", "default", "type", "options"];
    let text_input = |name| Input {
        name,
        description: None,
        required: false,
        default: None,
        kind: InputKind::String,
    };
    if node.is_null() && caller == Caller::Person {
        return Some(text_input(name));
    }
    let fields = reader.fields(node, path, &KEYS)?;
    let kind = read_kind(reader, &name, &fields, caller)?;
    let description = fields
        .get("description")
        .and_then(|node| reader.text_or_empty(node, &fields.path_of("description")))
        .map(|text| text.value);
    let required = fields
        .get("required")
        .and_then(|node| reader.plain_boolean(node, &fields.path_of("required")))
        .unwrap_or(false);
    let default = fields.get("default").filter(|node| !node.is_null());
    let default = default.and_then(|node| {
        let typed = fields.get("type").is_some();
        read_default(reader, node, &fields.path_of("default"), &kind, typed)
    });
    Some(Input { name, description, required, default, kind })
}

fn read_kind(
    reader: &mut Reader,
    name: &Located<String>,
    fields: &Fields<'_>,
    caller: Caller,
) -> Option<InputKind> {
    let known: &[&str] = match caller {
        Caller::Person => &["string", "boolean", "number", "choice", "environment"],
        Caller::Workflow => &["string", "boolean", "number"],
    };
    let path = fields.path_of("type");
    let Some(node) = fields.get("type") else {
        if caller == Caller::Workflow {
            let message = format!("input `{}` needs a `type`: {}", name.value, known.join(", "));
            reader.report.error(name.at, message);
            return None;
        }
        return Some(InputKind::String);
    };
    let word = reader.plain_text(node, &path)?;
    let kind = match word.value.as_str() {
        "string" => InputKind::String,
        "boolean" => InputKind::Boolean,
        "number" => InputKind::Number,
        "environment" if caller == Caller::Person => InputKind::Environment,
        "choice" if caller == Caller::Person => InputKind::Choice(read_options(reader, fields)?),
        other => {
            let message = format!("unknown type {} of `{}`", quoted(other), fields.path);
            let hint = match nearest(other, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known types are {}", known.join(", ")),
            };
            reader.report.error_with_hint(word.at, message, hint);
            return None;
        }
    };
    Some(kind)
}

fn read_options(reader: &mut Reader, fields: &Fields<'_>) -> Option<Vec<String>> {
    let path = fields.path_of("options");
    let Some(node) = fields.get("options") else {
        let message = format!("`{}` is a choice and needs `options`", fields.path);
        reader.report.error(fields.at, message);
        return None;
    };
    let items = reader.strict_list(node, &path)?;
    let options: Vec<String> = items
        .iter()
        .filter_map(|item| reader.text_or_empty(item, &path))
        .map(|text| text.value)
        .collect();
    if options.is_empty() {
        reader.report.error(node.at, format!("`{path}` must not be empty"));
        return None;
    }
    Some(options)
}

fn read_default(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    kind: &InputKind,
    typed: bool,
) -> Option<Text> {
    let text = reader.text(node, path)?;
    if text.as_expression().is_some() {
        return Some(text);
    }
    let Value::Scalar(Scalar { kind: written, .. }) = &node.value else { return None };
    let wanted = match (kind, written) {
        (InputKind::Boolean, Kind::Bool(_)) | (InputKind::Number, Kind::Number) => {
            return Some(text);
        }
        (InputKind::Boolean, _) => "`true` or `false` without quotes",
        (InputKind::Number, _) => "a number",
        (InputKind::Choice(options), _) if !options.contains(&text.value) => {
            let message = format!("`{path}` must be one of {}", options.join(", "));
            reader.report.error(text.at, message);
            return None;
        }
        (InputKind::String, Kind::Bool(_)) if typed => "text; put it in quotes",
        _ => return Some(text),
    };
    reader.expected(node, path, wanted);
    None
}

fn read_outputs(reader: &mut Reader, fields: &Fields<'_>) -> Vec<Entry> {
    let Some(outputs) = below(reader, fields, "outputs") else { return Vec::new() };
    let read = |(key, node): (Located<String>, &Node)| {
        let path = outputs.path_of(&key.value);
        let fields = reader.fields(node, &path, &["description", "value"])?;
        let Some(value) = fields.get("value") else {
            reader.report.error(key.at, format!("output `{}` needs a `value`", key.value));
            return None;
        };
        let value = reader.text_or_empty(value, &fields.path_of("value"))?;
        Some(Entry { key, value })
    };
    outputs.iter().filter_map(read).collect()
}

fn read_secrets(reader: &mut Reader, fields: &Fields<'_>) -> Vec<(Located<String>, bool)> {
    let Some(secrets) = below(reader, fields, "secrets") else { return Vec::new() };
    let read = |(name, node): (Located<String>, &Node)| {
        if node.is_null() {
            return Some((name, false));
        }
        let path = secrets.path_of(&name.value);
        let fields = reader.fields(node, &path, &["description", "required"])?;
        let required = fields
            .get("required")
            .and_then(|node| reader.plain_boolean(node, &fields.path_of("required")));
        Some((name, required.unwrap_or(false)))
    };
    secrets.iter().filter_map(read).collect()
}
