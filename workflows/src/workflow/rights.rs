//! `permissions` and `concurrency`: what runs may do, and which exclude each other.
//!
//! No job gets a token of a forge. What `permissions` decides here is whether a job may push its
//! image; the other scopes are read, checked and carried along, and give nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::raw::{Node, Value};
use super::reader::{Fields, Reader, join};
use super::text::{Located, Position, Setting, Text};
use crate::diagnostic::{nearest, quoted};

/// Parts of a forge that a token may reach, as GitHub names them.
const SCOPES: [&str; 19] = [
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "code-quality",
    "contents",
    "copilot-requests",
    "deployments",
    "discussions",
    "id-token",
    "issues",
    "models",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
    "vulnerability-alerts",
];
/// The scope with which images are pushed.
const PACKAGES: &str = "packages";

/// How far a token reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Not at all.
    None,
    /// It may look.
    Read,
    /// It may change.
    Write,
}

/// `permissions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permissions {
    /// `read-all` or `write-all`.
    All(Access),
    /// Scope by scope; what is not named is [`Access::None`].
    Each(BTreeMap<String, Access>),
}

/// `concurrency`: runs or jobs of one group exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// Where it stands.
    pub at: Position,
    /// The group's name.
    pub group: Text,
    /// Whether a new one stops the one that runs.
    pub cancel_in_progress: Option<Setting<bool>>,
    /// Whether those that wait replace each other (`single`) or line up (`max`).
    pub queue: Option<Text>,
}

impl Permissions {
    /// Reads `permissions` of a workflow or a job.
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Self> {
        let node = fields.get("permissions")?;
        let path = fields.path_of("permissions");
        let permissions = match &node.value {
            Value::Map(_) => Self::read_scopes(reader, node, &path)?,
            _ => {
                let word = reader.plain_text(node, &path)?;
                match word.value.as_str() {
                    "read-all" => Self::All(Access::Read),
                    "write-all" => Self::All(Access::Write),
                    other => {
                        let message = format!(
                            "`{path}` must be `read-all`, `write-all` or a mapping, not {}",
                            quoted(other)
                        );
                        reader.report.error(word.at, message);
                        return None;
                    }
                }
            }
        };
        Some(permissions)
    }

    /// How far they reach in a scope.
    #[must_use]
    pub fn access(&self, scope: &str) -> Access {
        match self {
            Self::All(access) => *access,
            Self::Each(each) => each.get(scope).copied().unwrap_or(Access::None),
        }
    }

    /// No more than both give: a called workflow never gets more than its caller, and the change
    /// of a stranger never more than to read.
    #[must_use]
    pub fn at_most(&self, other: &Self) -> Self {
        if let (Self::All(one), Self::All(two)) = (self, other) {
            return Self::All(*one.min(two));
        }
        let scope = |scope: &str| (scope.to_owned(), self.access(scope).min(other.access(scope)));
        let each = SCOPES.into_iter().map(scope);
        Self::Each(each.filter(|(_, access)| *access > Access::None).collect())
    }

    /// Whether a job with these may push its image.
    #[must_use]
    pub fn lets_push(&self) -> bool {
        self.access(PACKAGES) == Access::Write
    }

    fn read_scopes(reader: &mut Reader, node: &Node, path: &str) -> Option<Self> {
        let fields = reader.fields(node, path, &SCOPES)?;
        let mut each = BTreeMap::new();
        for (scope, node) in fields.iter() {
            let path = join(path, &scope.value);
            let Some(Located { value, at }) = reader.plain_text(node, &path) else { continue };
            let access = match value.as_str() {
                "none" => Access::None,
                "read" => Access::Read,
                "write" => Access::Write,
                other => {
                    let message = format!(
                        "`{path}` must be `read`, `write` or `none`, not {}",
                        quoted(other)
                    );
                    match nearest(other, ["read", "write", "none"]) {
                        Some(meant) => {
                            let hint = format!("did you mean `{meant}`?");
                            reader.report.error_with_hint(at, message, hint);
                        }
                        None => reader.report.error(at, message),
                    }
                    continue;
                }
            };
            if access == Access::Write && scope.value != PACKAGES {
                let message =
                    format!("no job of Strata gets a forge token; `{path}` gives nothing");
                reader.report.warning(at, message);
            }
            each.insert(scope.value, access);
        }
        Some(Self::Each(each))
    }
}

impl Concurrency {
    /// Reads `concurrency` of a workflow or a job.
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Self> {
        let node = fields.get("concurrency")?;
        let at = fields.place_of("concurrency").unwrap_or(node.at);
        let path = fields.path_of("concurrency");
        let Value::Map(_) = &node.value else {
            let group = reader.filled_text(node, &path)?;
            return Some(Self { at, group, cancel_in_progress: None, queue: None });
        };
        let fields = reader.fields(node, &path, &["group", "cancel-in-progress", "queue"])?;
        let Some(group) = fields.get("group") else {
            reader.report.error(at, format!("`{path}` needs a `group`"));
            return None;
        };
        let group = reader.filled_text(group, &fields.path_of("group"))?;
        let cancel_in_progress = fields
            .get("cancel-in-progress")
            .and_then(|node| reader.boolean(node, &fields.path_of("cancel-in-progress")));
        let queue = fields.get("queue").and_then(|node| {
            let path = fields.path_of("queue");
            let text = reader.filled_text(node, &path)?;
            if !text.has_expression() && !["single", "max"].contains(&text.value.as_str()) {
                let message = format!("`{path}` must be `single` or `max`");
                reader.report.error(text.at, message);
            }
            Some(text)
        });
        Some(Self { at, group, cancel_in_progress, queue })
    }
}
