//! The functions of the expression language.

use super::evaluate::Evaluation;
use super::node::Node;
use super::value::folded;
use super::{ExpressionError, Functions, Status, Value};

/// Most arguments of one call.
const MAX_ARGUMENTS: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Contains,
    StartsWith,
    EndsWith,
    Format,
    Join,
    ToJson,
    FromJson,
    Case,
    HashFiles,
    Success,
    Failure,
    Cancelled,
    Always,
}

impl Function {
    /// The function of a name in any case, when this place has it; `None` for any place.
    pub(super) fn named(name: &str, functions: Option<&Functions<'_>>) -> Option<Self> {
        let function = match name.to_ascii_lowercase().as_str() {
            "contains" => Self::Contains,
            "startswith" => Self::StartsWith,
            "endswith" => Self::EndsWith,
            "format" => Self::Format,
            "join" => Self::Join,
            "tojson" => Self::ToJson,
            "fromjson" => Self::FromJson,
            "case" => Self::Case,
            "hashfiles" => Self::HashFiles,
            "success" => Self::Success,
            "failure" => Self::Failure,
            "cancelled" => Self::Cancelled,
            "always" => Self::Always,
            _ => return None,
        };
        let Some(functions) = functions else { return Some(function) };
        let there = match function {
            Self::HashFiles => functions.hash_files.is_some(),
            function if function.asks_for_status() => functions.status.is_some(),
            _ => true,
        };
        there.then_some(function)
    }

    /// As GitHub spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Format => "format",
            Self::Join => "join",
            Self::ToJson => "toJSON",
            Self::FromJson => "fromJSON",
            Self::Case => "case",
            Self::HashFiles => "hashFiles",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Always => "always",
        }
    }

    /// Whether it tells how things went before.
    pub(super) fn asks_for_status(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Cancelled | Self::Always)
    }

    /// Fewest and most arguments.
    pub(super) fn arity(self) -> (usize, usize) {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith => (2, 2),
            Self::Format | Self::HashFiles => (1, MAX_ARGUMENTS),
            Self::Join => (1, 2),
            Self::ToJson | Self::FromJson => (1, 1),
            Self::Case => (3, MAX_ARGUMENTS),
            Self::Success | Self::Failure | Self::Cancelled | Self::Always => (0, 0),
        }
    }
}

impl Evaluation<'_> {
    pub(super) fn call(
        &mut self,
        offset: usize,
        function: Function,
        arguments: &[Node],
    ) -> Result<Value, ExpressionError> {
        let status = |wanted| Value::Bool(self.functions.status == Some(wanted));
        match function {
            Function::Always => return Ok(Value::Bool(true)),
            Function::Success => return Ok(status(Status::Success)),
            Function::Failure => return Ok(status(Status::Failure)),
            Function::Cancelled => return Ok(status(Status::Cancelled)),
            // Only the argument that is chosen is evaluated.
            Function::Case => return self.case(arguments),
            _ => {}
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        for value in &values {
            self.pay_for_text(value, offset)?;
        }
        match (function, values.as_slice()) {
            (Function::Contains, [place, item]) => {
                if let Value::Array(items) = place {
                    self.budget.step(items.len(), offset)?;
                    items.iter().try_for_each(|item| self.pay_for_text(item, offset))?;
                }
                Ok(Value::Bool(contains(place, item)))
            }
            (Function::StartsWith, [text, part]) => {
                Ok(Value::Bool(compared(text, part, |text, part| text.starts_with(part))))
            }
            (Function::EndsWith, [text, part]) => {
                Ok(Value::Bool(compared(text, part, |text, part| text.ends_with(part))))
            }
            (Function::Format, [pattern, rest @ ..]) => self.format(offset, pattern, rest),
            (Function::Join, [list, rest @ ..]) => self.join(offset, list, rest.first()),
            (Function::ToJson, [value]) => {
                let mut out = String::new();
                self.write_json(offset, value, 0, &mut out)?;
                Ok(out.as_str().into())
            }
            (Function::FromJson, [value]) => self.read_json(offset, value),
            (Function::HashFiles, patterns) => self.hash_files(offset, patterns),
            // The parser has counted the arguments.
            _ => Ok(Value::Null),
        }
    }

    fn case(&mut self, arguments: &[Node]) -> Result<Value, ExpressionError> {
        let mut pairs = arguments.chunks_exact(2);
        for pair in pairs.by_ref() {
            match self.value(&pair[0])? {
                Value::Bool(true) => return self.value(&pair[1]),
                Value::Bool(false) => {}
                _ => {
                    let message = "case predicate must evaluate to a boolean value";
                    return Err(ExpressionError::evaluation(pair[0].offset, message));
                }
            }
        }
        match pairs.remainder() {
            [default] => self.value(default),
            _ => Ok(Value::Null),
        }
    }

    fn format(
        &mut self,
        offset: usize,
        pattern: &Value,
        arguments: &[Value],
    ) -> Result<Value, ExpressionError> {
        let pattern = pattern.to_text();
        let invalid = |what: &str| {
            let shown = super::lexer::shown(&pattern);
            let message = format!("The following format string {what}: {shown}");
            ExpressionError::evaluation(offset, message)
        };
        let mut out = String::new();
        let mut rest = &*pattern;
        while let Some(brace) = rest.find(['{', '}']) {
            out.push_str(&rest[..brace]);
            let (found, after) = rest[brace..].split_at(1);
            if let Some(after) = after.strip_prefix(found) {
                out.push_str(found);
                rest = after;
                continue;
            }
            let inside = if found == "{" { after.split_once('}') } else { None };
            let (index, after) = inside.ok_or_else(|| invalid("is invalid"))?;
            let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
            let index: usize = if digits { index.parse().ok() } else { None }
                .ok_or_else(|| invalid("is invalid"))?;
            let argument = arguments
                .get(index)
                .ok_or_else(|| invalid("references more arguments than were supplied"))?
                .to_text();
            self.budget.make(argument.len(), offset)?;
            out.push_str(&argument);
            rest = after;
        }
        out.push_str(rest);
        self.budget.make(pattern.len(), offset)?;
        Ok(out.as_str().into())
    }

    fn join(
        &mut self,
        offset: usize,
        list: &Value,
        separator: Option<&Value>,
    ) -> Result<Value, ExpressionError> {
        let separator = match separator {
            Some(separator) if separator.is_primitive() => separator.to_text(),
            Some(_) | None => ",".into(),
        };
        let items = match list {
            Value::Array(items) => items,
            Value::Object(_) => return Ok("".into()),
            primitive => return Ok(Value::String(primitive.to_text())),
        };
        let mut out = String::new();
        for (place, item) in items.iter().enumerate() {
            let item = item.to_text();
            self.budget.step(1, offset)?;
            self.budget.make(item.len() + separator.len(), offset)?;
            if place > 0 {
                out.push_str(&separator);
            }
            out.push_str(&item);
        }
        Ok(out.as_str().into())
    }

    fn hash_files(&mut self, offset: usize, patterns: &[Value]) -> Result<Value, ExpressionError> {
        let Some(hash_files) = self.functions.hash_files else { return Ok(Value::Null) };
        let patterns: Vec<String> =
            patterns.iter().map(|pattern| pattern.to_text().to_string()).collect();
        match hash_files(&patterns) {
            Ok(hash) => Ok(hash.as_str().into()),
            Err(why) => Err(ExpressionError::evaluation(offset, why)),
        }
    }
}

/// Whether a list has an element, or a text a part.
fn contains(place: &Value, item: &Value) -> bool {
    match place {
        Value::Array(items) => items.iter().any(|element| element.equals(item)),
        place => compared(place, item, |text, part| text.contains(part)),
    }
}

/// Compares two texts without their case; lists and objects are no texts.
fn compared(text: &Value, part: &Value, test: fn(&str, &str) -> bool) -> bool {
    let fold = |value: &Value| folded(&value.to_text()).collect::<String>();
    text.is_primitive() && part.is_primitive() && test(&fold(text), &fold(part))
}
