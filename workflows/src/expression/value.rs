//! Values of the expression language, and how each becomes another kind.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::number;

/// A value. Copies are cheap: they share what they hold.
///
/// Unlike JSON it knows numbers that are none, and it keeps the order of an object's keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number, also `NaN` and `Infinity`.
    Number(f64),
    /// Text.
    String(Arc<str>),
    /// A list.
    Array(Arc<[Value]>),
    /// Keys, which are found in any case of letters, and values.
    Object(Arc<[(Arc<str>, Value)]>),
}

impl Value {
    /// Whether it holds as a condition: not nothing, `false`, 0, `NaN` or empty text.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0 && !value.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// What it is, as GitHub names it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Bool(_) => "Boolean",
            Self::Number(_) => "Number",
            Self::String(_) => "String",
            Self::Array(_) => "Array",
            Self::Object(_) => "Object",
        }
    }

    /// As text; a list or an object is only named.
    #[must_use]
    pub fn to_text(&self) -> Arc<str> {
        match self {
            Self::Null => "".into(),
            Self::Bool(value) => value.to_string().into(),
            Self::Number(value) => number::to_text(*value).into(),
            Self::String(text) => Arc::clone(text),
            Self::Array(_) => "Array".into(),
            Self::Object(_) => "Object".into(),
        }
    }

    /// As JSON; a number that JSON cannot write becomes text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(value) => number_to_json(*value),
            Self::String(text) => Json::String(text.to_string()),
            Self::Array(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Object(entries) => {
                let entry = |(key, value): &(Arc<str>, Self)| (key.to_string(), value.to_json());
                Json::Object(entries.iter().map(entry).collect())
            }
        }
    }

    /// Neither a list nor an object.
    pub(super) fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    pub(super) fn to_number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number(value) => *value,
            Self::String(text) => number::of_text(text),
            Self::Array(_) | Self::Object(_) => f64::NAN,
        }
    }

    /// `==`: values of different kinds meet as numbers; lists and objects equal only themselves.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(left), Self::Array(right)) => Arc::ptr_eq(left, right),
            (Self::Object(left), Self::Object(right)) => Arc::ptr_eq(left, right),
            (Self::Null, Self::Null) => true,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// `<` and `>`: `None` when the values cannot be compared.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            _ if !self.is_primitive() || !other.is_primitive() => None,
            (Self::Null, Self::Null) => None,
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::String(left), Self::String(right)) => Some(folded(left).cmp(folded(right))),
            _ => self.to_number().partial_cmp(&other.to_number()),
        }
    }
}

/// Whole numbers are written without a fraction.
fn number_to_json(value: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return Json::from(value as i64);
    }
    serde_json::Number::from_f64(value)
        .map_or_else(|| Json::String(number::to_text(value)), Json::Number)
}

/// Characters without their case, as .NET's ordinal comparison sees them: one for one, and the
/// letters that only become ASCII by folding stay themselves.
pub(super) fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(one), None) if one.is_ascii() == c.is_ascii() => one,
            _ => c,
        }
    })
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => text.as_str().into(),
            Json::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let entry = |(key, value): (&String, &Json)| (key.as_str().into(), value.into());
                Self::Object(entries.iter().map(entry).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "the language has only such numbers")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "the language has only such numbers")]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list: Vec<(Arc<str>, Value)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            list.push((key.into(), value));
        }
        Ok(Value::Object(list.into()))
    }
}
