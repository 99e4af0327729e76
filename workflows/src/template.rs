//! Text of a workflow that is evaluated later than the run is planned.
//!
//! What stands on `needs` is known when the jobs before have ended, and to the bridge; what stands
//! on `steps`, `runner` or `secrets` is known while the job runs, and to the runner. Both evaluate
//! the same template by the same function.

use serde::{Deserialize, Serialize};

use crate::diagnostic::Position;
use crate::expression::{
    self, Budget, Context, ExpressionError, Functions, Part, Reference, Value,
};
use crate::workflow::expressions_in;

/// Text with expressions, and what is made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// As written.
    pub text: String,
    /// Where it begins.
    pub at: Position,
    /// What is made of it.
    pub kind: Kind,
}

/// What is made of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text: each `${{ … }}` gives its value as text.
    Text,
    /// Whatever its only expression gives, such as a list; other text is text.
    Value,
    /// Whether an `if` holds; without a status function, all before must have gone well.
    Condition,
}

/// The value of a template. `budget` is shared by all that are evaluated together.
///
/// # Errors
/// Says what is wrong and where, in characters of the text.
pub fn evaluate(
    template: &Template,
    context: &Context,
    functions: &Functions<'_>,
    budget: &mut Budget,
) -> Result<Value, ExpressionError> {
    let Template { text, kind, .. } = template;
    match kind {
        Kind::Condition => {
            expression::condition_within(text, context, functions, budget).map(Value::Bool)
        }
        Kind::Value => match lone(text) {
            Some(inside) => expression::evaluate_within(inside, context, functions, budget),
            None => interpolated(text, context, functions, budget),
        },
        Kind::Text => interpolated(text, context, functions, budget),
    }
}

fn interpolated(
    text: &str,
    context: &Context,
    functions: &Functions<'_>,
    budget: &mut Budget,
) -> Result<Value, ExpressionError> {
    let text = expression::interpolate_within(text, context, functions, budget)?;
    Ok(text.as_str().into())
}

/// The inside of the expression that a text wholly consists of.
fn lone(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    match expressions_in(trimmed).ok()?.as_slice() {
        [only] if *only == (0..trimmed.len()) => trimmed.strip_prefix("${{")?.strip_suffix("}}"),
        _ => None,
    }
}

impl Template {
    /// Its value as text, by what the contexts know alone.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn text(&self, context: &Context, budget: &mut Budget) -> Result<String, ExpressionError> {
        let value = evaluate(self, context, &Functions::default(), budget)?;
        Ok(value.to_text().to_string())
    }

    /// Whether its condition says itself what has to have gone before.
    #[must_use]
    pub fn asks_for_status(&self) -> bool {
        self.inside().iter().any(|inside| {
            expression::uses(inside)
                .is_ok_and(|uses| uses.calls.iter().any(|call| call.asks_for_status))
        })
    }

    /// The first name in it that cannot be told yet, such as `needs.build.result` or `failure()`;
    /// `None` when all is known.
    ///
    /// `inputs`, `vars`, `matrix` and `needs` are known as a whole: what they do not have is empty.
    /// Of any other context only the fields that are there are known.
    #[must_use]
    pub fn waits_for(&self, context: &Context) -> Option<String> {
        for inside in self.inside() {
            let uses = expression::uses(inside).unwrap_or_default();
            let outside =
                |call: &&expression::Call| call.asks_for_status || call.name == "hashFiles";
            if let Some(call) = uses.calls.iter().find(outside) {
                return Some(format!("{}()", call.name));
            }
            if let Some(unknown) = uses.references.iter().find(|one| !is_known(one, context)) {
                return Some(shown(unknown));
            }
        }
        None
    }

    fn inside(&self) -> Vec<&str> {
        let found = expressions_in(&self.text).unwrap_or_default();
        if found.is_empty() && self.kind == Kind::Condition {
            return vec![&self.text];
        }
        found.into_iter().map(|range| &self.text[range.start + 3..range.end - 2]).collect()
    }
}

/// Whether a reference has its final value in these contexts.
fn is_known(reference: &Reference, context: &Context) -> bool {
    const WHOLE: [&str; 4] = ["inputs", "vars", "matrix", "needs"];
    let Some(mut value) = context.get(&reference.context) else { return false };
    if WHOLE.iter().any(|name| reference.context.eq_ignore_ascii_case(name)) {
        return true;
    }
    for part in &reference.path {
        match (part, value) {
            (Part::Name(name), Value::Object(entries)) => {
                let found = entries.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                let Some((_, found)) = found else { return false };
                value = found;
            }
            // What stands behind a text or a number is nothing, and stays so.
            (Part::Name(_), Value::Array(_)) | (Part::Any, _) => return false,
            (Part::Name(_), _) => return true,
        }
    }
    // An object of which only some fields are known is not known.
    !matches!(value, Value::Object(_))
}

fn shown(reference: &Reference) -> String {
    let mut name = reference.context.clone();
    for part in &reference.path {
        name.push('.');
        name.push_str(match part {
            Part::Name(part) => part,
            Part::Any => "*",
        });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str, kind: Kind) -> Template {
        Template { text: text.to_owned(), at: Position { line: 1, column: 1 }, kind }
    }

    fn context() -> Context {
        let json = r#"{"github": {"ref": "x", "event": {"a": 1}}, "matrix": {"os": "f43"}}"#;
        let Value::Object(entries) = serde_json::from_str(json).unwrap() else { unreachable!() };
        entries.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    #[test]
    fn a_template_waits_for_what_is_not_known() {
        for (text, expected) in [
            ("${{ github.ref }} ${{ matrix.os }} ${{ matrix.none }}", None),
            ("${{ GitHub.Ref }}", None),
            ("${{ github.ref.x }}", None),
            ("${{ github.sha }}", Some("github.sha")),
            ("${{ toJSON(github) }}", Some("github")),
            ("${{ toJSON(github.event) }}", Some("github.event")),
            ("${{ github.event.a }}", None),
            ("${{ needs.a.outputs.b }}", Some("needs.a.outputs.b")),
            ("${{ matrix.os && hashFiles('x') }}", Some("hashFiles()")),
        ] {
            let waits = template(text, Kind::Text).waits_for(&context());
            assert_eq!(waits.as_deref(), expected, "{text}");
        }
        let condition = template("failure() || true", Kind::Condition);
        assert_eq!(condition.waits_for(&context()).as_deref(), Some("failure()"));
        assert!(condition.asks_for_status());
        assert!(!template("github.ref == 'x'", Kind::Condition).asks_for_status());
    }

    #[test]
    fn a_template_gives_what_its_kind_says() {
        let value = |text: &str, kind| {
            let (context, functions) = (context(), Functions::default());
            evaluate(&template(text, kind), &context, &functions, &mut Budget::default())
        };
        assert_eq!(value("a ${{ matrix.os }}", Kind::Text), Ok("a f43".into()));
        assert_eq!(value(" ${{ 1 == 1 }} ", Kind::Value), Ok(Value::Bool(true)));
        assert_eq!(value("a${{ 1 == 1 }}", Kind::Value), Ok("atrue".into()));
        assert_eq!(value("github.ref == 'x'", Kind::Condition), Ok(Value::Bool(true)));
        assert_eq!(value("${{ nope }}", Kind::Text).unwrap_err().offset, 4);
    }

    #[test]
    fn templates_share_a_budget() {
        let (context, functions) = (context(), Functions::default());
        let mut budget = Budget::default();
        let costly = template(&format!("${{{{ '{}' }}}}", "x".repeat(20_000)), Kind::Text);
        let spent = (0..100)
            .find_map(|_| evaluate(&costly, &context, &functions, &mut budget).err())
            .unwrap();
        assert_eq!(spent.message, "The maximum allowed memory size was exceeded");
    }
}
