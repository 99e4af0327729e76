//! The language between `${{` and `}}`, as GitHub evaluates it.
//!
//! Hand-written, because GitHub's own cases fix not only results but also messages, positions and
//! limits, and because an expression is a stranger's program: its length, depth, steps and
//! memory are bounded here, so that evaluating one always ends soon.

mod budget;
mod evaluate;
mod functions;
mod json;
mod lexer;
mod node;
mod number;
mod parser;
#[cfg(test)]
mod tests;
mod uses;
mod value;

pub use budget::Budget;
pub use uses::{Call, Part, Reference, Uses, uses};
pub use value::Value;

use evaluate::Evaluation;
use node::Node;

use crate::workflow::expressions_in;

/// Longest expression, in characters, as on GitHub.
pub const MAX_EXPRESSION_CHARS: usize = 21_000;
/// Deepest tree of an expression, as on GitHub.
pub const MAX_DEPTH: usize = 50;
/// Most steps of evaluating one expression: nodes visited and elements looked at.
pub const MAX_STEPS: usize = 100_000;
/// Most text that evaluating one expression may make, in bytes. GitHub allows a mebibyte, in which
/// a letter takes two bytes.
pub const MAX_TEXT_BYTES: usize = 512 * 1024;

/// What an expression can name: `github`, `env`, `needs` and so on, in any case of letters.
#[derive(Debug, Clone, Default)]
pub struct Context {
    values: Vec<(String, Value)>,
}

/// How the jobs before a job, or the steps before a step, went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All well.
    Success,
    /// One of them failed.
    Failure,
    /// The run was stopped.
    Cancelled,
    /// None failed, and one that was needed did not run.
    Skipped,
}

/// Finds the hash of the files that match the patterns.
pub type HashFiles<'a> = &'a dyn Fn(&[String]) -> Result<String, String>;

/// The functions whose results come from outside. A function that is not there is unknown.
#[derive(Clone, Copy, Default)]
pub struct Functions<'a> {
    /// For `success()`, `failure()`, `cancelled()` and `always()`.
    pub status: Option<Status>,
    /// For `hashFiles(…)`.
    pub hash_files: Option<HashFiles<'a>>,
}

/// When an expression went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before anything was evaluated: the text is no expression.
    Syntax,
    /// While it was evaluated.
    Evaluation,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {} of the expression)", offset + 1)]
pub struct ExpressionError {
    /// When it went wrong.
    pub stage: Stage,
    /// Where in the text, in characters from its beginning.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

impl ExpressionError {
    fn syntax(offset: usize, message: impl Into<String>) -> Self {
        Self { stage: Stage::Syntax, offset, message: message.into() }
    }

    fn evaluation(offset: usize, message: impl Into<String>) -> Self {
        Self { stage: Stage::Evaluation, offset, message: message.into() }
    }
}

impl Context {
    /// Adds a name, or replaces its value.
    pub fn set(&mut self, name: &str, value: Value) {
        self.values.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.values.push((name.to_owned(), value));
    }

    /// The value of a name, in any case of letters.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
}

impl Context {
    /// All names with their values, as JSON.
    #[must_use]
    pub fn to_json(&self) -> std::collections::BTreeMap<String, serde_json::Value> {
        self.values.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
    }
}

impl FromIterator<(String, Value)> for Context {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        let mut context = Self::default();
        for (name, value) in values {
            context.set(&name, value);
        }
        context
    }
}

/// Whether a text is an expression, as far as that can be told before there are contexts: any
/// name may be one, and every function is there.
///
/// # Errors
/// Says what is wrong and where, in characters.
pub fn check(text: &str) -> Result<(), ExpressionError> {
    parser::parse(text, None).map(drop)
}

/// The value of an expression, which is given without `${{` and `}}`. Nothing is null.
///
/// # Errors
/// Says what is wrong and where, in characters.
pub fn evaluate(
    text: &str,
    context: &Context,
    functions: &Functions<'_>,
) -> Result<Value, ExpressionError> {
    evaluate_within(text, context, functions, &mut Budget::default())
}

/// The same, at the cost of a budget that several expressions share.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_within(
    text: &str,
    context: &Context,
    functions: &Functions<'_>,
    budget: &mut Budget,
) -> Result<Value, ExpressionError> {
    match parser::parse(text, Some((context, functions)))? {
        Some(node) => run(&node, context, functions, budget),
        None => Ok(Value::Null),
    }
}

/// Text with each `${{ … }}` in it replaced by its value as text.
///
/// # Errors
/// Says what is wrong and where, in characters of `text`. All expressions of the text share one
/// budget.
pub fn interpolate(
    text: &str,
    context: &Context,
    functions: &Functions<'_>,
) -> Result<String, ExpressionError> {
    interpolate_within(text, context, functions, &mut Budget::default())
}

/// The same, at the cost of a budget that several texts share.
///
/// # Errors
/// As [`interpolate`].
pub fn interpolate_within(
    text: &str,
    context: &Context,
    functions: &Functions<'_>,
    budget: &mut Budget,
) -> Result<String, ExpressionError> {
    let chars_to = |byte: usize| text[..byte].chars().count();
    let found = expressions_in(text)
        .map_err(|byte| ExpressionError::syntax(chars_to(byte), "`${{` is not closed by `}}`"))?;
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for range in found {
        let inside = inner(range.clone());
        let shifted = |error: ExpressionError| ExpressionError {
            offset: error.offset + chars_to(inside.start),
            ..error
        };
        out.push_str(&text[from..range.start]);
        let node =
            parser::parse(&text[inside.clone()], Some((context, functions))).map_err(shifted)?;
        if let Some(node) = node {
            let value = run(&node, context, functions, budget).map_err(shifted)?;
            let value = value.to_text();
            budget.make(value.len(), 0).map_err(shifted)?;
            out.push_str(&value);
        }
        from = range.end;
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// Whether an `if` holds. The text may stand within `${{ }}` or not; without a status function,
/// all before must have gone well, too.
///
/// # Errors
/// Says what is wrong and where, in characters of `text`. Text around `${{ }}` is refused,
/// because it would always hold.
pub fn condition(
    text: &str,
    context: &Context,
    functions: &Functions<'_>,
) -> Result<bool, ExpressionError> {
    condition_within(text, context, functions, &mut Budget::default())
}

/// The same, at the cost of a budget that several conditions share.
///
/// # Errors
/// As [`condition`].
pub fn condition_within(
    text: &str,
    context: &Context,
    functions: &Functions<'_>,
    budget: &mut Budget,
) -> Result<bool, ExpressionError> {
    let found = expressions_in(text).unwrap_or_default();
    let inside = match found.as_slice() {
        [] => 0..text.len(),
        [only] if text[..only.start].trim().is_empty() && text[only.end..].trim().is_empty() => {
            inner(only.clone())
        }
        _ => {
            let message = "text around `${{ }}` makes a condition that always holds; write the \
                           whole condition within `${{ }}` or without it";
            return Err(ExpressionError::syntax(0, message));
        }
    };
    let before = text[..inside.start].chars().count();
    let shifted =
        |error: ExpressionError| ExpressionError { offset: error.offset + before, ..error };
    let node = parser::parse(&text[inside], Some((context, functions))).map_err(shifted)?;
    let asks = node.as_ref().is_some_and(Node::asks_for_status);
    if !asks && functions.status.is_some_and(|status| status != Status::Success) {
        return Ok(false);
    }
    // An empty condition is none.
    let Some(node) = node else { return Ok(true) };
    let value = run(&node, context, functions, budget).map_err(shifted)?;
    Ok(value.is_truthy())
}

/// The range within the braces.
fn inner(range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    const OPEN_BYTES: usize = "${{".len();
    const CLOSE_BYTES: usize = "}}".len();
    range.start + OPEN_BYTES..range.end - CLOSE_BYTES
}

fn run(
    node: &Node,
    context: &Context,
    functions: &Functions<'_>,
    budget: &mut Budget,
) -> Result<Value, ExpressionError> {
    Evaluation { context, functions, budget }.value(node)
}
