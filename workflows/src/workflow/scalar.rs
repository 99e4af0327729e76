//! The scalars that keys want: text of several kinds, conditions, booleans and numbers.

use super::raw::{Kind, Node, Scalar, Value};
use super::reader::{Fields, Reader, named};
use super::text::{CLOSE, Located, OPEN, Position, Setting, Text, expressions_in};
use crate::diagnostic::quoted;
use crate::expression::{self, ExpressionError};

/// Longest name of a workflow or a job, in characters; both together make the context of a commit
/// status, which people read on one line.
const MAX_NAME_CHARS: usize = 120;

impl Reader {
    /// A scalar of any kind. A boolean or a number is spelt as GitHub spells its value: `1.10` is
    /// `1.1`, and `0o17` is `15`.
    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<Text> {
        let Value::Scalar(scalar) = &node.value else {
            self.expected(node, path, "text");
            return None;
        };
        if let Some(value) = scalar.as_read() {
            self.tell_of_number(scalar, &value, node.at, path);
            return Some(Text { value, at: node.at, expressions: Vec::new() });
        }
        self.checked(scalar, node.at, path)
    }

    /// That a number has another spelling than its author chose.
    fn tell_of_number(&mut self, scalar: &Scalar, value: &str, at: Position, path: &str) {
        if scalar.kind == Kind::Number && scalar.text != value {
            let message = format!("{} is the number {value}, as YAML reads it", named(path));
            let hint = format!("write '{}' to keep it as it is", scalar.text);
            // Of an image's release nobody may find out later: its tag never moves.
            if path.ends_with(".with.release") {
                self.report.error_with_hint(at, message, hint);
            } else {
                self.report.warning_with_hint(at, message, hint);
            }
        }
    }

    /// A scalar that may be left empty.
    pub(super) fn text_or_empty(&mut self, node: &Node, path: &str) -> Option<Text> {
        if node.is_null() {
            return Some(Text { at: node.at, ..Text::default() });
        }
        self.text(node, path)
    }

    /// A scalar that says something.
    pub(super) fn filled_text(&mut self, node: &Node, path: &str) -> Option<Text> {
        let text = self.text(node, path)?;
        if text.value.trim().is_empty() {
            self.report.error(text.at, format!("{} must not be empty", named(path)));
            return None;
        }
        Some(text)
    }

    /// A name that people see, which must fit a line of a page and the context of a status.
    pub(super) fn name(&mut self, node: &Node, path: &str) -> Option<Text> {
        let text = self.filled_text(node, path)?;
        // An expression may be longer than what it gives.
        if !text.has_expression() && text.value.chars().count() > MAX_NAME_CHARS {
            let message = format!("{} may have {MAX_NAME_CHARS} characters", named(path));
            self.report.error(text.at, message);
            return None;
        }
        if text.value.chars().any(char::is_control) {
            self.report.error(text.at, format!("{} must be one line of text", named(path)));
            return None;
        }
        Some(text)
    }

    /// A scalar in which nothing is evaluated.
    pub(super) fn plain_text(&mut self, node: &Node, path: &str) -> Option<Located<String>> {
        let text = self.filled_text(node, path)?;
        if let Some(&at) = text.expressions.first() {
            self.report.error(at, format!("{} cannot hold an expression", named(path)));
            return None;
        }
        Some(Located { value: text.value, at: text.at })
    }

    fn checked(&mut self, scalar: &Scalar, at: Position, path: &str) -> Option<Text> {
        let place = |offset: usize| {
            // A `${{` within a string of an expression has a place too, so that the one meant is
            // found by counting.
            let index = scalar.text[..offset].matches(OPEN).count();
            scalar.expressions.get(index).copied().unwrap_or(at)
        };
        match expressions_in(&scalar.text) {
            Err(offset) => {
                let message = format!("in {}: `${{{{` is not closed by `}}}}`", named(path));
                self.report.error(place(offset), message);
                None
            }
            Ok(found) => {
                for range in &found {
                    let inside = &scalar.text[range.start + OPEN.len()..range.end - CLOSE.len()];
                    self.check_expression(inside, place(range.start), path)?;
                }
                let expressions = found.iter().map(|range| place(range.start)).collect();
                Some(Text { value: scalar.text.clone(), at, expressions })
            }
        }
    }

    fn check_expression(&mut self, inside: &str, at: Position, path: &str) -> Option<()> {
        let report = |error: ExpressionError| {
            self.report.error(at, format!("in {}: {error}", named(path)));
        };
        expression::check(inside).map_err(report).ok()
    }

    /// `if`, which is an expression even without `${{ }}`.
    pub(super) fn condition(&mut self, fields: &Fields<'_>) -> Option<Text> {
        self.condition_at(fields, "if")
    }

    /// A condition under another key.
    pub(super) fn condition_at(&mut self, fields: &Fields<'_>, key: &str) -> Option<Text> {
        let path = fields.path_of(key);
        let text = self.text_or_empty(fields.get(key)?, &path)?;
        if !text.has_expression() {
            self.check_expression(&text.value, text.at, &path)?;
        } else if text.as_expression().is_none() {
            let message =
                format!("{} has text around `${{{{ }}}}` and would always hold", named(&path));
            let hint = "write the whole condition within `${{ }}`, or without it";
            self.report.error_with_hint(text.at, message, hint);
            return None;
        }
        Some(text)
    }

    /// `true`, `false` or an expression.
    pub(super) fn boolean(&mut self, node: &Node, path: &str) -> Option<Setting<bool>> {
        match &node.value {
            Value::Scalar(Scalar { kind: Kind::Bool(value), .. }) => {
                Some(Setting::Literal(Located { value: *value, at: node.at }))
            }
            _ => self.expression(node, path, "`true`, `false` or an expression"),
        }
    }

    /// `true` or `false`.
    pub(super) fn plain_boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        match &node.value {
            Value::Scalar(Scalar { kind: Kind::Bool(value), .. }) => Some(*value),
            _ => {
                self.expected(node, path, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number between 1 and `most`, or an expression.
    pub(super) fn number(&mut self, node: &Node, path: &str, most: u64) -> Option<Setting<u64>> {
        let wanted = format!("a whole number from 1 to {most} or an expression");
        match &node.value {
            Value::Scalar(Scalar { kind: Kind::Number, text, .. }) => {
                match text.parse().ok().filter(|number| (1..=most).contains(number)) {
                    Some(value) => Some(Setting::Literal(Located { value, at: node.at })),
                    None => {
                        let found = quoted(text);
                        let message = format!("{} must be {wanted}, not {found}", named(path));
                        self.report.error(node.at, message);
                        None
                    }
                }
            }
            _ => self.expression(node, path, &wanted),
        }
    }

    /// Text that is one expression and nothing else.
    pub(super) fn expression<T>(
        &mut self,
        node: &Node,
        path: &str,
        wanted: &str,
    ) -> Option<Setting<T>> {
        if let Value::Scalar(scalar) = &node.value {
            let text = self.checked(scalar, node.at, path)?;
            if text.as_expression().is_some() {
                return Some(Setting::Expression(text));
            }
        }
        self.expected(node, path, wanted);
        None
    }
}
