//! `on`: what fires a workflow.

use super::events::{FOREIGN_EVENTS, PULL_REQUEST_TYPES};
use super::filters::{read_filter, read_patterns, read_types};
use super::inputs::{Call, Input, read_call, read_dispatch};
use super::raw::{Node, Value};
use super::reader::{Reader, join};
use super::text::{Located, Position};
use crate::diagnostic::{nearest, quoted};
use crate::matching::{Filter, FilterKind};
use crate::schedule::Schedule;

/// Most schedules of one workflow; each is a row that the scheduler looks at.
pub const MAX_SCHEDULES: usize = 20;

/// Events that Strata fires.
const OWN_EVENTS: [&str; 7] = [
    "push",
    "pull_request",
    "pull_request_target",
    "schedule",
    "workflow_dispatch",
    "workflow_call",
    "parent-image",
];

/// Everything that fires a workflow.
#[derive(Debug, Clone, Default)]
pub struct On {
    /// A push of commits or of a tag.
    pub push: Option<PushTrigger>,
    /// A pull request has a head to check.
    pub pull_request: Option<PullRequestTrigger>,
    /// The same, for a run of the branch that the change would go into.
    pub pull_request_target: Option<PullRequestTrigger>,
    /// Times.
    pub schedule: Vec<ScheduleEntry>,
    /// A person's request, and what it may say.
    pub workflow_dispatch: Option<Vec<Input>>,
    /// Another workflow's call.
    pub workflow_call: Option<Call>,
    /// A parent image changed.
    pub parent_image: Option<ParentImageTrigger>,
    /// Names of events that other forges have and Strata never fires.
    pub foreign: Vec<Located<String>>,
}

/// `on.push`.
#[derive(Debug, Clone, Default)]
pub struct PushTrigger {
    /// `branches` or `branches-ignore`.
    pub branches: Option<Filter>,
    /// `tags` or `tags-ignore`.
    pub tags: Option<Filter>,
    /// `paths` or `paths-ignore`.
    pub paths: Option<Filter>,
}

/// `on.pull_request` and `on.pull_request_target`.
#[derive(Debug, Clone, Default)]
pub struct PullRequestTrigger {
    /// Activity types; `None` for GitHub's default of three.
    pub types: Option<Vec<Located<String>>>,
    /// `branches` or `branches-ignore`, about the branch that the change would go into.
    pub branches: Option<Filter>,
    /// `paths` or `paths-ignore`.
    pub paths: Option<Filter>,
}

/// One entry of `on.schedule`.
#[derive(Debug, Clone)]
pub struct ScheduleEntry {
    /// The five fields as written.
    pub cron: Located<String>,
    /// IANA time zone; UTC when none was written.
    pub timezone: String,
}

/// `on.parent-image`, which other forges do not have.
#[derive(Debug, Clone, Default)]
pub struct ParentImageTrigger {
    /// `images`: patterns of the references that count; `None` for every image that the
    /// repository stands on.
    pub images: Option<Filter>,
}

impl On {
    fn is_empty(&self) -> bool {
        self.push.is_none()
            && self.pull_request.is_none()
            && self.pull_request_target.is_none()
            && self.schedule.is_empty()
            && self.workflow_dispatch.is_none()
            && self.workflow_call.is_none()
            && self.parent_image.is_none()
            && self.foreign.is_empty()
    }

    /// Reads one event name, a list of them, or a mapping with filters.
    pub(super) fn read(reader: &mut Reader, node: &Node) -> Self {
        let mut on = Self::default();
        match &node.value {
            Value::Map(_) => {
                if let Some(fields) = reader.mapping(node, "on") {
                    for (name, filters) in fields.iter() {
                        on.read_event(reader, &name, Some(filters));
                    }
                }
            }
            Value::Scalar(_) | Value::List(_) => {
                for item in reader.list(node, "on").unwrap_or_default() {
                    if let Some(name) = reader.plain_text(item, "on") {
                        on.read_event(reader, &name, None);
                    }
                }
            }
            Value::Null => {
                reader.expected(node, "on", "an event, a list of events or a mapping");
                return on;
            }
        }
        if on.is_empty() && !reader.report.has_errors() {
            reader.report.error(node.at, "`on` must name at least one event");
        }
        on
    }

    fn read_event(&mut self, reader: &mut Reader, name: &Located<String>, filters: Option<&Node>) {
        let path = join("on", &name.value);
        // `push:` with nothing behind it is the same as `push` in a list.
        let filters = filters.filter(|node| !node.is_null());
        match name.value.as_str() {
            "push" => self.push = Some(read_push(reader, filters, &path)),
            "pull_request" => self.pull_request = Some(read_pull_request(reader, filters, &path)),
            "pull_request_target" => {
                self.pull_request_target = Some(read_pull_request(reader, filters, &path));
            }
            "schedule" => match filters {
                Some(node) => self.schedule = read_schedules(reader, node, &path),
                None => {
                    reader.report.error(name.at, "`on.schedule` needs a list of `cron` entries")
                }
            },
            "workflow_dispatch" => {
                self.workflow_dispatch = Some(read_dispatch(reader, filters, &path));
            }
            "workflow_call" => self.workflow_call = Some(read_call(reader, filters, &path)),
            "parent-image" => {
                self.parent_image = Some(read_parent_image(reader, filters, &path));
            }
            _ => self.read_foreign(reader, name, filters, &path),
        }
    }

    fn read_foreign(
        &mut self,
        reader: &mut Reader,
        name: &Located<String>,
        filters: Option<&Node>,
        path: &str,
    ) {
        let Some(event) = FOREIGN_EVENTS.iter().find(|event| event.name == name.value) else {
            let message = format!("unknown event {} in `on`", quoted(&name.value));
            let known = OWN_EVENTS.into_iter().chain(FOREIGN_EVENTS.iter().map(|event| event.name));
            let hint = match nearest(&name.value, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("Strata fires {}", OWN_EVENTS.join(", ")),
            };
            return reader.report.error_with_hint(name.at, message, hint);
        };
        if let Some(node) = filters {
            let keys: &[&str] = match event.name {
                "workflow_run" => &["types", "workflows", "branches", "branches-ignore"],
                "image_version" => &["names", "versions"],
                "merge_group" => &["types", "branches", "branches-ignore"],
                _ => &["types"],
            };
            if let Some(fields) = reader.fields(node, path, keys) {
                let any_type = event.name == "repository_dispatch";
                read_types(reader, &fields, (!any_type).then_some(event.types));
            }
        }
        reader.report.warning(
            name.at,
            format!("Strata never fires `{}`; the entry changes nothing here", event.name),
        );
        self.foreign.push(name.clone());
    }
}

fn read_push(reader: &mut Reader, node: Option<&Node>, path: &str) -> PushTrigger {
    const KEYS: [&str; 6] =
        ["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"];
    let Some(fields) = node.and_then(|node| reader.fields(node, path, &KEYS)) else {
        return PushTrigger::default();
    };
    if let Some(at) = fields.place_of("tags").or_else(|| fields.place_of("tags-ignore")) {
        let message = "images are built from the branches of a release; a tag starts no run";
        reader.report.warning(at, message);
    }
    PushTrigger {
        branches: read_filter(reader, &fields, "branches", "branches-ignore"),
        tags: read_filter(reader, &fields, "tags", "tags-ignore"),
        paths: read_filter(reader, &fields, "paths", "paths-ignore"),
    }
}

fn read_pull_request(reader: &mut Reader, node: Option<&Node>, path: &str) -> PullRequestTrigger {
    const KEYS: [&str; 5] = ["types", "branches", "branches-ignore", "paths", "paths-ignore"];
    let Some(fields) = node.and_then(|node| reader.fields(node, path, &KEYS)) else {
        return PullRequestTrigger::default();
    };
    PullRequestTrigger {
        types: read_types(reader, &fields, Some(PULL_REQUEST_TYPES)),
        branches: read_filter(reader, &fields, "branches", "branches-ignore"),
        paths: read_filter(reader, &fields, "paths", "paths-ignore"),
    }
}

fn read_parent_image(reader: &mut Reader, node: Option<&Node>, path: &str) -> ParentImageTrigger {
    let Some(fields) = node.and_then(|node| reader.fields(node, path, &["images"])) else {
        return ParentImageTrigger::default();
    };
    let read = |node| read_patterns(reader, node, &fields.path_of("images"));
    let images = fields.get("images").and_then(read);
    ParentImageTrigger { images: images.map(|list| Filter::new(FilterKind::Only, list)) }
}

fn read_schedules(reader: &mut Reader, node: &Node, path: &str) -> Vec<ScheduleEntry> {
    let Some(items) = reader.strict_list(node, path) else { return Vec::new() };
    if items.len() > MAX_SCHEDULES {
        let message = format!("`{path}` has {} entries; at most {MAX_SCHEDULES}", items.len());
        reader.report.error(node.at, message);
        return Vec::new();
    }
    items.iter().filter_map(|item| read_schedule(reader, item, path)).collect()
}

fn read_schedule(reader: &mut Reader, node: &Node, path: &str) -> Option<ScheduleEntry> {
    let fields = reader.fields(node, path, &["cron", "timezone"])?;
    let Some(cron) = fields.get("cron") else {
        reader.report.error(node.at, format!("an entry of `{path}` needs `cron`"));
        return None;
    };
    let cron = reader.plain_text(cron, &fields.path_of("cron"))?;
    let timezone = match fields.get("timezone") {
        Some(node) => reader.plain_text(node, &fields.path_of("timezone"))?,
        None => Located { value: "UTC".to_owned(), at: Position::default() },
    };
    if let Err(error) = Schedule::parse(&cron.value, &timezone.value) {
        let at = if error.is_about_timezone() { timezone.at } else { cron.at };
        reader.report.error(at, format!("in `{path}`: {error}"));
        return None;
    }
    Some(ScheduleEntry { cron, timezone: timezone.value })
}
