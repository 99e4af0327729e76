//! `strategy`: one job written once and run for each combination of values.

use serde_json::{Map, Number, Value as Json};

use super::raw::{Kind, Node, Scalar, Value};
use super::reader::{Fields, Reader};
use super::text::{Located, Position, Setting, Text};
use crate::diagnostic::quoted;

/// Most jobs that one matrix may run at a time.
const MAX_PARALLEL: u64 = 256;

/// `strategy` of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    /// Where it stands.
    pub at: Position,
    /// The values.
    pub matrix: Option<Matrix>,
    /// Whether the first failure stops the rest.
    pub fail_fast: Option<Setting<bool>>,
    /// How many run at a time.
    pub max_parallel: Option<Setting<u64>>,
}

/// `strategy.matrix`. Text within the values may hold expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matrix {
    /// `${{ fromJSON(…) }}`.
    Expression(Text),
    /// Written out.
    Written {
        /// The lists that are combined.
        axes: Vec<Axis>,
        /// Combinations to add to: a list of mappings, or an expression as text.
        include: Option<Located<Json>>,
        /// Combinations to leave out: a list of mappings, or an expression as text.
        exclude: Option<Located<Json>>,
    },
}

/// One list of a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// Its name, as in `matrix.name`.
    pub name: Located<String>,
    /// A list, or an expression as text.
    pub values: Located<Json>,
}

impl Strategy {
    /// Reads `strategy` of a job.
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Self> {
        let node = fields.get("strategy")?;
        let at = fields.place_of("strategy").unwrap_or(node.at);
        let path = fields.path_of("strategy");
        let fields = reader.fields(node, &path, &["matrix", "fail-fast", "max-parallel"])?;
        let matrix = fields
            .get("matrix")
            .and_then(|node| Matrix::read(reader, node, &fields.path_of("matrix")));
        let fail_fast = fields
            .get("fail-fast")
            .and_then(|node| reader.boolean(node, &fields.path_of("fail-fast")));
        let max_parallel = fields
            .get("max-parallel")
            .and_then(|node| reader.number(node, &fields.path_of("max-parallel"), MAX_PARALLEL));
        Some(Self { at, matrix, fail_fast, max_parallel })
    }
}

impl Matrix {
    fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return whole_expression(reader, node, path, "a mapping").map(Self::Expression);
        }
        let fields = reader.mapping(node, path)?;
        let mut axes = Vec::new();
        let (mut include, mut exclude) = (None, None);
        for (name, node) in fields.iter() {
            let path = fields.path_of(&name.value);
            let rows = matches!(name.value.as_str(), "include" | "exclude");
            let Some(values) = read_values(reader, node, &path, rows) else { continue };
            match name.value.as_str() {
                "include" => include = Some(values),
                "exclude" => exclude = Some(values),
                _ => axes.push(Axis { name, values }),
            }
        }
        if axes.is_empty() && include.is_none() && !reader.report.has_errors() {
            reader.report.error(node.at, format!("`{path}` must name at least one list of values"));
        }
        Some(Self::Written { axes, include, exclude })
    }
}

/// A list, of mappings when `rows`, or an expression.
fn read_values(reader: &mut Reader, node: &Node, path: &str, rows: bool) -> Option<Located<Json>> {
    let Value::List(items) = &node.value else {
        let text = whole_expression(reader, node, path, "a list")?;
        return Some(Located { value: Json::String(text.value), at: node.at });
    };
    if items.is_empty() && !rows {
        reader.report.error(node.at, format!("`{path}` must not be empty"));
    }
    for item in items {
        if rows && !matches!(item.value, Value::Map(_)) {
            reader.expected(item, path, "a list of mappings");
        }
    }
    Some(Located { value: json(reader, node, path), at: node.at })
}

fn whole_expression(reader: &mut Reader, node: &Node, path: &str, wanted: &str) -> Option<Text> {
    if let Value::Scalar(_) = &node.value {
        let text = reader.text(node, path)?;
        if text.as_expression().is_some() {
            return Some(text);
        }
    }
    reader.expected(node, path, &format!("{wanted} or an expression"));
    None
}

/// A value as expressions see it.
fn json(reader: &mut Reader, node: &Node, path: &str) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(scalar) => {
            // Reading it as text reports an expression without end.
            let text = reader.text(node, path).map(|text| text.value).unwrap_or_default();
            match scalar {
                Scalar { kind: Kind::Bool(value), .. } => Json::Bool(*value),
                Scalar { kind: Kind::Number, .. } => {
                    number(&text).map_or(Json::String(text), Json::Number)
                }
                Scalar { kind: Kind::Text, .. } => Json::String(text),
            }
        }
        Value::List(items) => {
            Json::Array(items.iter().map(|item| json(reader, item, path)).collect())
        }
        Value::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let Some(key) = reader.text(key, path) else { continue };
                let value = json(reader, value, path);
                if map.insert(key.value.clone(), value).is_some() {
                    let message = format!("{} is written twice in `{path}`", quoted(&key.value));
                    reader.report.error(key.at, message);
                }
            }
            Json::Object(map)
        }
    }
}

/// A number as YAML 1.2 writes it; what is none stays text.
pub(super) fn number(text: &str) -> Option<Number> {
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok())
    };
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(value.into());
    }
    if let Ok(value) = text.parse::<i64>() {
        return Some(value.into());
    }
    text.parse().ok().and_then(Number::from_f64)
}
