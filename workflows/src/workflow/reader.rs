//! Takes a node for what a key wants, or reports precisely why it cannot.
//!
//! Each method returns `None` after it has reported; the caller goes on with the next key, so
//! that one reading finds every fault.

use super::raw::{Node, Value};
use super::text::{Entry, Located, Position, Setting, Table, Text};
use crate::diagnostic::{Report, nearest, quoted};

/// Most entries of one list or mapping; more is a mistake or an attack.
const MAX_ENTRIES: usize = 1_000;

pub(super) struct Reader {
    pub(super) report: Report,
}

/// The keys of one mapping, checked against those that it may have.
pub(super) struct Fields<'n> {
    pub(super) path: String,
    pub(super) at: Position,
    entries: Vec<(&'n str, Position, &'n Node)>,
    /// Known keys that an unknown one probably stands for.
    misspelt: Vec<String>,
}

impl<'n> Fields<'n> {
    /// The value of `key`, which may be written out as nothing.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.0 == key).map(|entry| entry.2)
    }

    /// Whether `key` is missing, and not only misspelt: one mistake deserves one message.
    pub(super) fn lacks(&self, key: &str) -> bool {
        self.get(key).is_none() && !self.misspelt.iter().any(|meant| meant == key)
    }

    /// Where `key` itself stands.
    pub(super) fn place_of(&self, key: &str) -> Option<Position> {
        self.entries.iter().find(|entry| entry.0 == key).map(|entry| entry.1)
    }

    /// The path of `key` in messages.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// All keys with their places and values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Located<String>, &'n Node)> + '_ {
        self.entries.iter().map(|&(key, at, node)| (Located { value: key.to_owned(), at }, node))
    }
}

/// `path.key`, or the key alone at the top of the file.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A path as messages name it.
pub(super) fn named(path: &str) -> String {
    if path.is_empty() { "a workflow file".to_owned() } else { quoted(path) }
}

impl Reader {
    pub(super) fn new(file: &str) -> Self {
        Self { report: Report::new(file) }
    }

    /// `path` expected something else than what stands there.
    pub(super) fn expected(&mut self, node: &Node, path: &str, expected: &str) {
        let message = format!("{} must be {expected}, not {}", named(path), node.kind());
        self.report.error(node.at, message);
    }

    /// A mapping with any keys, each at most once.
    pub(super) fn mapping<'n>(&mut self, node: &'n Node, path: &str) -> Option<Fields<'n>> {
        let Value::Map(pairs) = &node.value else {
            self.expected(node, path, "a mapping");
            return None;
        };
        self.within_bound(node, path, pairs.len())?;
        let mut entries: Vec<(&str, Position, &Node)> = Vec::with_capacity(pairs.len());
        // Programs tell variables apart by case, `http_proxy` from `HTTP_PROXY`.
        let keeps_case = path == "env" || path.ends_with(".env");
        let mut places = std::collections::HashMap::new();
        for (key, value) in pairs {
            let Value::Scalar(scalar) = &key.value else {
                self.expected(key, path, "a mapping whose keys are plain text");
                continue;
            };
            let name = if keeps_case { scalar.text.clone() } else { scalar.text.to_lowercase() };
            if let Some((first, at)) = places.insert(name, (&scalar.text, key.at)) {
                let Position { line, column } = at;
                let name = quoted(&join(path, &scalar.text));
                let message = match *first == scalar.text {
                    true => format!("{name} is written twice; first at {line}:{column}"),
                    false => format!(
                        "{name} differs from {} at {line}:{column} in case alone, which \
                         expressions do not tell apart",
                        quoted(first)
                    ),
                };
                self.report.error(key.at, message);
                continue;
            }
            entries.push((&scalar.text, key.at, value));
        }
        Some(Fields { path: path.to_owned(), at: node.at, entries, misspelt: Vec::new() })
    }

    /// A mapping that may have the `known` keys and no others.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let mut fields = self.mapping(node, path)?;
        for &(key, at, _) in &fields.entries {
            if known.contains(&key) {
                continue;
            }
            let message = format!("unknown key {} in {}", quoted(key), named(path));
            match nearest(key, known.iter().copied()) {
                Some(meant) => {
                    fields.misspelt.push(meant.to_owned());
                    self.report.error_with_hint(at, message, format!("did you mean `{meant}`?"));
                }
                None => {
                    let hint = format!("known keys are {}", known.join(", "));
                    self.report.error_with_hint(at, message, hint);
                }
            }
        }
        Some(fields)
    }

    /// A list, or one value that stands for a list of itself.
    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => self.within_bound(node, path, items.len()).map(|()| &items[..]),
            Value::Scalar(_) => Some(std::slice::from_ref(node)),
            Value::Null | Value::Map(_) => {
                self.expected(node, path, "text or a list of texts");
                None
            }
        }
    }

    /// A list and nothing else.
    pub(super) fn strict_list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        let Value::List(items) = &node.value else {
            self.expected(node, path, "a list");
            return None;
        };
        self.within_bound(node, path, items.len()).map(|()| &items[..])
    }

    fn within_bound(&mut self, node: &Node, path: &str, len: usize) -> Option<()> {
        if len > MAX_ENTRIES {
            let message = format!("{} has {len} entries; at most {MAX_ENTRIES}", named(path));
            self.report.error(node.at, message);
            return None;
        }
        Some(())
    }

    /// A list of texts, or one text.
    pub(super) fn texts(&mut self, node: &Node, path: &str) -> Option<Vec<Text>> {
        let items = self.list(node, path)?;
        Some(items.iter().filter_map(|item| self.filled_text(item, path)).collect())
    }

    /// Keys and values such as `env`, or an expression that gives them.
    pub(super) fn table(&mut self, node: &Node, path: &str) -> Option<Table> {
        match &node.value {
            Value::Null => Some(Table::default()),
            Value::Map(_) => self.entries(node, path).map(Table::Entries),
            _ => match self.expression::<()>(node, path, "a mapping or an expression")? {
                Setting::Expression(text) => Some(Table::Expression(text)),
                Setting::Literal(_) => None,
            },
        }
    }

    /// Keys and values, in order.
    pub(super) fn entries(&mut self, node: &Node, path: &str) -> Option<Vec<Entry>> {
        let fields = self.mapping(node, path)?;
        let read = |(key, value): (Located<String>, &Node)| {
            let path = join(path, &key.value);
            Some(Entry { key, value: self.text_or_empty(value, &path)? })
        };
        Some(fields.iter().filter_map(read).collect())
    }
}
