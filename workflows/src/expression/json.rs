//! `toJSON` and `fromJSON`.

use super::evaluate::Evaluation;
use super::{ExpressionError, Value};

impl Evaluation<'_> {
    /// Writes JSON with two blanks a level. Recursion is bounded, because a value is no deeper
    /// than the JSON that it was read from.
    pub(super) fn write_json(
        &mut self,
        offset: usize,
        value: &Value,
        level: usize,
        out: &mut String,
    ) -> Result<(), ExpressionError> {
        let (open, close, count) = match value {
            Value::Array(items) => ('[', ']', items.len()),
            Value::Object(entries) => ('{', '}', entries.len()),
            leaf => return self.append(offset, &leaf_as_json(leaf), out),
        };
        let line = |level: usize| format!("\n{}", "  ".repeat(level));
        out.push(open);
        for place in 0..count {
            let comma = if place == 0 { "" } else { "," };
            self.append(offset, &format!("{comma}{}", line(level + 1)), out)?;
            match value {
                Value::Array(items) => self.write_json(offset, &items[place], level + 1, out)?,
                Value::Object(entries) => {
                    let (key, item) = &entries[place];
                    self.append(offset, &format!("{}: ", in_quotes(key)), out)?;
                    self.write_json(offset, item, level + 1, out)?;
                }
                _ => {}
            }
        }
        if count > 0 {
            self.append(offset, &line(level), out)?;
        }
        out.push(close);
        Ok(())
    }

    fn append(
        &mut self,
        offset: usize,
        text: &str,
        out: &mut String,
    ) -> Result<(), ExpressionError> {
        self.budget.step(1, offset)?;
        self.budget.make(text.len(), offset)?;
        out.push_str(text);
        Ok(())
    }

    pub(super) fn read_json(
        &mut self,
        offset: usize,
        value: &Value,
    ) -> Result<Value, ExpressionError> {
        let text = value.to_text();
        self.budget.make(text.len(), offset)?;
        serde_json::from_str(&text).map_err(|error| {
            ExpressionError::evaluation(offset, format!("fromJSON got no JSON: {error}"))
        })
    }
}

fn in_quotes(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn leaf_as_json(leaf: &Value) -> String {
    match leaf {
        Value::Null => "null".to_owned(),
        Value::String(text) => in_quotes(text),
        other => other.to_text().to_string(),
    }
}
