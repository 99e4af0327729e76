//! `runs-on` and `environment`: where a job runs, and where it deploys to.

use super::raw::Value;
use super::reader::{Fields, Reader};
use super::text::{Located, Position, Text};

/// `runs-on`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunsOn {
    /// Where it stands.
    pub at: Position,
    /// A group of runners, which only GitHub has.
    pub group: Option<Text>,
    /// Labels that the runner must offer, all of them.
    pub labels: Vec<Text>,
}

/// `environment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Where it stands.
    pub at: Position,
    /// Its name.
    pub name: Text,
    /// What people may open when the job is done.
    pub url: Option<Text>,
}

impl RunsOn {
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>, key: &Located<String>) -> Self {
        let path = fields.path_of("runs-on");
        let Some(node) = fields.get("runs-on") else {
            if fields.lacks("runs-on") {
                let message =
                    format!("job `{}` needs `runs-on`, the labels of its runner", key.value);
                reader.report.error(key.at, message);
            }
            return Self::default();
        };
        let at = node.at;
        if !matches!(node.value, Value::Map(_)) {
            let labels = reader.texts(node, &path).unwrap_or_default();
            if labels.is_empty() && !reader.report.has_errors() {
                reader.report.error(at, format!("`{path}` must name at least one label"));
            }
            return Self { at, group: None, labels };
        }
        let Some(fields) = reader.fields(node, &path, &["group", "labels"]) else {
            return Self::default();
        };
        let group =
            fields.get("group").and_then(|node| reader.filled_text(node, &fields.path_of("group")));
        let labels = fields
            .get("labels")
            .and_then(|node| reader.texts(node, &fields.path_of("labels")))
            .unwrap_or_default();
        Self { at, group, labels }
    }
}

impl Environment {
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Self> {
        let node = fields.get("environment")?;
        let at = fields.place_of("environment").unwrap_or(node.at);
        let path = fields.path_of("environment");
        if !matches!(node.value, Value::Map(_)) {
            let name = reader.filled_text(node, &path)?;
            return Some(Self { at, name, url: None });
        }
        let fields = reader.fields(node, &path, &["name", "url", "deployment"])?;
        let Some(name) = fields.get("name") else {
            reader.report.error(at, format!("`{path}` needs a `name`"));
            return None;
        };
        let name = reader.filled_text(name, &fields.path_of("name"))?;
        let url = fields.get("url").and_then(|node| reader.text(node, &fields.path_of("url")));
        Some(Self { at, name, url })
    }
}
