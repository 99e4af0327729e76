//! The file as written: a tree of YAML nodes that know their places.
//!
//! Everything that a stranger can do to a YAML parser is stopped here, before any key is looked
//! at; what the keys mean is for the modules beside this one.

use std::collections::HashSet;

use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{MessageFormatter as _, Spanned, UserMessageFormatter};

use serde_json::Value as Json;

use super::strategy::number;
use super::text::{OPEN, Position};
use super::tree::{Shape, Tree};
use crate::expression;

/// Longest workflow file that is read, in bytes; real ones stay below a tenth of it.
pub const MAX_FILE_BYTES: usize = 512 * 1024;
/// Most values and keys in one file, those that aliases repeat included.
const MAX_NODES: usize = 20_000;
/// Most events of the YAML parser; each node makes at most three.
const MAX_EVENTS: usize = 3 * MAX_NODES;
/// Deepest nesting; a workflow needs about ten. Reading recurses, and unoptimised code takes some
/// 50 KiB of stack for each level; a thread may have no more than 2 MiB.
const MAX_DEPTH: usize = 20;
/// Most anchors in one file.
const MAX_ANCHORS: usize = 100;
/// Most uses of anchors in one file.
const MAX_ALIASES: usize = 500;
/// Most events that aliases may repeat, together.
const MAX_REPEATED_EVENTS: usize = 20_000;
/// Most text that aliases may repeat, together, in bytes.
const MAX_TEXT_BYTES: usize = 2 * MAX_FILE_BYTES;

/// The key whose value is put into the mapping.
const MERGE_KEY: &str = "<<";

/// A fault of the YAML itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: Position,
    pub(super) message: String,
}

/// One value of the file.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it stands; within an alias, where the alias stands.
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// A scalar that is not null.
#[derive(Debug)]
pub(super) struct Scalar {
    /// The characters as written, without quotes and folding.
    pub(super) text: String,
    /// What YAML 1.2 takes it for.
    pub(super) kind: Kind,
    /// Where each `${{` begins.
    pub(super) expressions: Vec<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool(bool),
    Number,
    Text,
}

impl Node {
    /// Reads one YAML document.
    pub(super) fn parse(source: &str) -> Result<Self, Malformed> {
        if source.len() > MAX_FILE_BYTES {
            let message = format!(
                "the file has {} bytes; a workflow may have {MAX_FILE_BYTES}",
                source.len()
            );
            return Err(Malformed { at: Position { line: 1, column: 1 }, message });
        }
        let tree: Tree =
            serde_yaml::from_str_with_options(source, options()).map_err(|e| malformed(&e))?;
        let mut text_bytes = 0;
        tree.into_node(source, &mut text_bytes)
    }

    /// What this node is, for "expected …, found …".
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Bool(_) => "a boolean",
                Kind::Number => "a number",
                Kind::Text => "text",
            },
        }
    }

    /// The characters of a scalar.
    fn text(&self) -> Option<String> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar.text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether nothing was written.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        // YAML 1.2: `on`, `yes` and `no` are text.
        strict_booleans: true,
        // Duplicates are found later, so that each is reported with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // Merged later, so that an alias keeps its place.
        merge_keys: MergeKeyPolicy::AsOrdinary,
        // `.inf` is text wherever a number makes no sense of it.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: MAX_EVENTS,
            max_depth: MAX_DEPTH,
            max_anchors: MAX_ANCHORS,
            max_aliases: MAX_ALIASES,
            max_documents: 1,
            max_total_scalar_bytes: MAX_TEXT_BYTES,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: MAX_REPEATED_EVENTS,
        },
    }
}

fn malformed(error: &serde_yaml::Error) -> Malformed {
    let error = error.without_snippet();
    let at = error.location().map_or(Position { line: 1, column: 1 }, position);
    let message = match error {
        serde_yaml::Error::Budget { .. } => {
            "the file is too large or too complex: it has too many values, too deep a nesting, \
             too many aliases, or more than one document"
                .to_owned()
        }
        error => format!("not valid YAML: {}", UserMessageFormatter.format_message(error)),
    };
    Malformed { at, message }
}

fn position(location: serde_yaml::Location) -> Position {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Position { line: number(location.line()), column: number(location.column()) }
}

impl Tree {
    /// The node as it stands in the source.
    fn written<'s>(&self, source: &'s str) -> &'s str {
        let span = self.0.defined.span();
        let range = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
            source.get(usize::try_from(start).ok()?..usize::try_from(start + len).ok()?)
        });
        range.unwrap_or_default()
    }

    /// Adds what only the source can tell: how a scalar was spelt and where its expressions are.
    fn into_node(self, source: &str, text_bytes: &mut usize) -> Result<Node, Malformed> {
        let written = self.written(source);
        let Spanned { value, referenced, defined } = self.0;
        let at = position(referenced);
        let value = match value {
            Shape::Null => Value::Null,
            Shape::Bool(value) => scalar(written.to_owned(), Kind::Bool(value)),
            Shape::Number => scalar(written.trim().to_owned(), Kind::Number),
            Shape::Text(text) => {
                *text_bytes += text.len();
                if *text_bytes > MAX_TEXT_BYTES {
                    let message = format!("aliases repeat more than {MAX_TEXT_BYTES} bytes");
                    return Err(Malformed { at, message });
                }
                let expressions = match text.matches(OPEN).count() {
                    0 => Vec::new(),
                    count if referenced == defined => places(written, at, count),
                    count => vec![at; count],
                };
                Value::Scalar(Scalar { text, kind: Kind::Text, expressions })
            }
            Shape::List(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| item.into_node(source, text_bytes))
                    .collect::<Result<_, _>>()?,
            ),
            Shape::Map(entries) => {
                let mut nodes = Vec::with_capacity(entries.len());
                let mut merges = Vec::new();
                for (key, value) in entries {
                    let is_merge = key.written(source) == MERGE_KEY;
                    let key = key.into_node(source, text_bytes)?;
                    let value = value.into_node(source, text_bytes)?;
                    match is_merge {
                        true => merges.push(value),
                        false => nodes.push((key, value)),
                    }
                }
                merges.into_iter().try_for_each(|from| merge(&mut nodes, from))?;
                Value::Map(nodes)
            }
        };
        Ok(Node { at, value })
    }
}

/// Adds the entries of other mappings, which yield to those that are there (YAML's merge key, which
/// Forgejo has and GitHub has not).
fn merge(entries: &mut Vec<(Node, Node)>, from: Node) -> Result<(), Malformed> {
    let Node { at, value } = from;
    match value {
        Value::Map(more) => {
            let known: HashSet<String> = entries.iter().filter_map(|(key, _)| key.text()).collect();
            let is_new = |key: &Node| key.text().is_none_or(|text| !known.contains(&text));
            entries.extend(more.into_iter().filter(|(key, _)| is_new(key)));
            Ok(())
        }
        Value::List(all) if all.iter().all(|one| matches!(one.value, Value::Map(_))) => {
            all.into_iter().try_for_each(|one| merge(entries, one))
        }
        Value::Null | Value::Scalar(_) | Value::List(_) => {
            let message = format!("`{MERGE_KEY}` must be a mapping or a list of mappings");
            Err(Malformed { at, message })
        }
    }
}

impl Scalar {
    /// How GitHub spells the value of a boolean or a number; `None` of text, and of numbers that it
    /// takes for text.
    pub(super) fn as_read(&self) -> Option<String> {
        match self.kind {
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Number => {
                let value = expression::Value::from(&Json::Number(number(&self.text)?));
                Some(value.to_text().to_string())
            }
            Kind::Text => None,
        }
    }
}

fn scalar(text: String, kind: Kind) -> Value {
    Value::Scalar(Scalar { text, kind, expressions: Vec::new() })
}

/// Where each of the `count` expressions of a scalar begins, given the scalar as written. One
/// that is spelt with escapes is not found and gets the scalar's own place.
fn places(written: &str, start: Position, count: usize) -> Vec<Position> {
    let mut at = start;
    let mut found = Vec::with_capacity(count);
    for (offset, c) in written.char_indices() {
        if written[offset..].starts_with(OPEN) {
            found.push(at);
        }
        at = match c {
            '\n' => Position { line: at.line + 1, column: 1 },
            _ => Position { line: at.line, column: at.column + 1 },
        };
    }
    found.resize(count, start);
    found
}
