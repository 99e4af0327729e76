//! `steps`: one command or built-in action after the other.

use super::job::{MAX_TIMEOUT_MINUTES, check_key};
use super::raw::Node;
use super::read_env;
use super::reader::{Fields, Reader};
use super::text::{Located, Position, Setting, Table, Text};
use crate::diagnostic::quoted;

/// Most steps of one job, those that run side by side included.
pub const MAX_STEPS: usize = 256;

/// The keys that say what a step does; a step has exactly one of them.
const ACTIONS: [&str; 6] = ["run", "uses", "wait", "wait-all", "cancel", "parallel"];

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it stands.
    pub at: Position,
    /// How expressions name it.
    pub id: Option<Located<String>>,
    /// What people see.
    pub name: Option<Text>,
    /// `if`, with or without `${{ }}`.
    pub condition: Option<Text>,
    /// Its variables.
    pub env: Table,
    /// Whether its failure fails the job.
    pub continue_on_error: Option<Setting<bool>>,
    /// Wall time in minutes.
    pub timeout_minutes: Option<Setting<u64>>,
    /// Whether the next step begins at once; the place of `background: true`.
    pub background: Option<Position>,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It runs a script.
    Run {
        /// The script.
        script: Text,
        /// What reads it.
        shell: Option<Text>,
        /// Where it runs.
        working_directory: Option<Text>,
    },
    /// It runs an action.
    Uses {
        /// The action's name and version.
        action: Text,
        /// Its inputs.
        with: Table,
    },
    /// It waits for steps in the background.
    Wait(Vec<Text>),
    /// It waits for all steps in the background.
    WaitAll,
    /// It stops a step in the background.
    Cancel(Text),
    /// Its steps run side by side.
    Parallel(Vec<Step>),
}

impl Step {
    /// Reads `steps` of a job.
    pub(super) fn read_all(reader: &mut Reader, fields: &Fields<'_>) -> Vec<Self> {
        let Some(node) = fields.get("steps") else { return Vec::new() };
        let mut seen = Vec::new();
        let steps = Self::read_list(reader, node, &fields.path_of("steps"), &mut seen, true);
        if let Some(at) = seen.get(MAX_STEPS) {
            let message =
                format!("`{}` has {} steps; at most {MAX_STEPS}", fields.path, seen.len());
            reader.report.error(*at, message);
        }
        check_ids(reader, &steps);
        steps
    }

    /// `seen` gathers the places of all steps, `outer` is false within `parallel`.
    fn read_list(
        reader: &mut Reader,
        node: &Node,
        path: &str,
        seen: &mut Vec<Position>,
        outer: bool,
    ) -> Vec<Self> {
        let Some(items) = reader.strict_list(node, path) else { return Vec::new() };
        let mut steps = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            seen.push(item.at);
            steps.extend(Self::read(reader, item, &format!("{path}[{number}]"), seen, outer));
        }
        steps
    }

    fn read(
        reader: &mut Reader,
        node: &Node,
        path: &str,
        seen: &mut Vec<Position>,
        outer: bool,
    ) -> Option<Self> {
        const KEYS: [&str; 16] = [
            "id",
            "name",
            "if",
            "run",
            "uses",
            "with",
            "env",
            "shell",
            "working-directory",
            "continue-on-error",
            "timeout-minutes",
            "background",
            "wait",
            "wait-all",
            "cancel",
            "parallel",
        ];
        let fields = reader.fields(node, path, &KEYS)?;
        let id = fields
            .get("id")
            .and_then(|node| reader.plain_text(node, &fields.path_of("id")))
            .inspect(|id| check_key(reader, id, "step id"));
        let name =
            fields.get("name").and_then(|node| reader.text_or_empty(node, &fields.path_of("name")));
        let condition = reader.condition(&fields);
        let env = read_env(reader, &fields);
        let continue_on_error = fields
            .get("continue-on-error")
            .and_then(|node| reader.boolean(node, &fields.path_of("continue-on-error")));
        let timeout_minutes = fields.get("timeout-minutes").and_then(|node| {
            reader.number(node, &fields.path_of("timeout-minutes"), MAX_TIMEOUT_MINUTES)
        });
        let background = fields.get("background").and_then(|node| {
            let on = reader.plain_boolean(node, &fields.path_of("background"))?;
            on.then_some(node.at)
        });
        let action = Action::read(reader, &fields, seen, outer)?;
        Some(Self {
            at: node.at,
            id,
            name,
            condition,
            env,
            continue_on_error,
            timeout_minutes,
            background,
            action,
        })
    }
}

impl Action {
    fn read(
        reader: &mut Reader,
        fields: &Fields<'_>,
        seen: &mut Vec<Position>,
        outer: bool,
    ) -> Option<Self> {
        let found: Vec<&str> =
            ACTIONS.into_iter().filter(|key| fields.get(key).is_some()).collect();
        let &[key] = found.as_slice() else {
            if found.is_empty() && !ACTIONS.iter().all(|key| fields.lacks(key)) {
                return None;
            }
            let message = match found.as_slice() {
                [] => format!("`{}` needs `run` or `uses`", fields.path),
                several => {
                    format!("`{}` can have only one of {}", fields.path, several.join(", "))
                }
            };
            reader.report.error(fields.at, message);
            return None;
        };
        only_with(reader, fields, key, "run", &["shell", "working-directory"]);
        only_with(reader, fields, key, "uses", &["with"]);
        let path = fields.path_of(key);
        let node = fields.get(key)?;
        let text = |reader: &mut Reader, key: &str| {
            fields.get(key).and_then(|node| reader.filled_text(node, &fields.path_of(key)))
        };
        Some(match key {
            "run" => Self::Run {
                script: reader.text(node, &path)?,
                shell: text(reader, "shell"),
                working_directory: text(reader, "working-directory"),
            },
            "uses" => Self::Uses {
                action: reader.filled_text(node, &path)?,
                with: fields
                    .get("with")
                    .and_then(|node| reader.table(node, &fields.path_of("with")))
                    .unwrap_or_default(),
            },
            "wait" => Self::Wait(reader.texts(node, &path)?),
            "wait-all" => Self::WaitAll,
            "cancel" => Self::Cancel(reader.filled_text(node, &path)?),
            _ if outer => Self::Parallel(Step::read_list(reader, node, &path, seen, false)),
            _ => {
                reader.report.error(node.at, format!("`{path}` cannot stand within `parallel`"));
                return None;
            }
        })
    }
}

/// Reports keys that make no sense beside what the step does.
fn only_with(reader: &mut Reader, fields: &Fields<'_>, action: &str, owner: &str, keys: &[&str]) {
    for key in keys {
        if let (false, Some(at)) = (action == owner, fields.place_of(key)) {
            let message =
                format!("`{}` has `{key}`, which belongs to a step with `{owner}`", fields.path);
            reader.report.error(at, message);
        }
    }
}

/// Two steps with one `id` could not be told apart.
fn check_ids(reader: &mut Reader, steps: &[Step]) {
    let mut seen = std::collections::HashSet::new();
    let with_inner = |step: &'_ Step| -> Vec<Located<String>> {
        let inner = match &step.action {
            Action::Parallel(steps) => steps.as_slice(),
            _ => &[],
        };
        std::iter::once(step).chain(inner).filter_map(|step| step.id.clone()).collect()
    };
    for id in steps.iter().flat_map(with_inner) {
        if !seen.insert(id.value.to_ascii_lowercase()) {
            let message = format!("step id {} is used twice in this job", quoted(&id.value));
            reader.report.error(id.at, message);
        }
    }
}
