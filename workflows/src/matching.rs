//! Whether an event fires a workflow, or the reason why not in words.

mod pattern;
#[cfg(test)]
mod tests;

pub use pattern::{Filter, FilterKind, MAX_PATTERN_BYTES, MAX_PATTERNS, Matcher, Pattern};

use crate::diagnostic::quoted;
use crate::event::PullRequestAction;
use crate::workflow::{On, PullRequestTrigger, PushTrigger};

/// What an event offers to the filters of `on:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occasion {
    /// A branch has new commits.
    Push {
        /// Its short name.
        branch: String,
        /// What the commits changed.
        paths: ChangedPaths,
    },
    /// A tag came into being or moved. Paths are not looked at, as on GitHub.
    Tag {
        /// Its short name.
        tag: String,
    },
    /// A pull request has a head to check.
    PullRequest {
        /// What happened to it.
        action: PullRequestAction,
        /// The short name of the branch that it would go into.
        base_branch: String,
        /// What it changes.
        paths: ChangedPaths,
    },
    /// The same, for a run of the branch that it would go into.
    PullRequestTarget {
        /// What happened to it.
        action: PullRequestAction,
        /// The short name of that branch.
        base_branch: String,
        /// What the pull request changes.
        paths: ChangedPaths,
    },
    /// A schedule came due.
    Schedule {
        /// The five fields as the workflow has them.
        cron: String,
    },
    /// A person asked for a run.
    Dispatch,
    /// A parent image changed.
    ParentImage {
        /// Its reference, without digest.
        image: String,
    },
}

/// The paths that a change touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangedPaths {
    /// Exactly these.
    Known(Vec<String>),
    /// They cannot be told; to build too much is better than to miss a change.
    Everything {
        /// Why not, in words: a new branch, rewritten history, too many files.
        reason: String,
    },
}

/// Commit messages that hold one of these, in any case, ask that nothing runs.
const SKIP_MARKERS: [&str; 5] =
    ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];

/// Activity types of `pull_request` that fire when the workflow names none.
const DEFAULT_PULL_REQUEST_TYPES: [&str; 3] = ["opened", "synchronize", "reopened"];

/// Most patterns that a reason repeats.
const MAX_SHOWN_PATTERNS: usize = 5;

/// Decides whether an occasion fires a workflow.
///
/// # Errors
/// The reason why it does not, in words for the person who asks why nothing ran.
pub fn fires(on: &On, occasion: &Occasion) -> Result<(), String> {
    let missing = |event: &str| format!("the workflow has no `{event}` under `on`");
    match occasion {
        Occasion::Push { branch, paths } => {
            push_fires(on.push.as_ref().ok_or_else(|| missing("push"))?, branch, paths)
        }
        Occasion::Tag { tag } => tag_fires(on.push.as_ref().ok_or_else(|| missing("push"))?, tag),
        Occasion::PullRequest { action, base_branch, paths } => {
            let trigger = on.pull_request.as_ref().ok_or_else(|| missing("pull_request"))?;
            pull_request_fires("pull_request", trigger, *action, base_branch, paths)
        }
        Occasion::PullRequestTarget { action, base_branch, paths } => {
            let event = "pull_request_target";
            let trigger = on.pull_request_target.as_ref().ok_or_else(|| missing(event))?;
            pull_request_fires(event, trigger, *action, base_branch, paths)
        }
        Occasion::Schedule { cron } => {
            let known = on.schedule.iter().any(|entry| entry.cron.value == *cron);
            known
                .then_some(())
                .ok_or_else(|| format!("the workflow has no schedule {} under `on`", quoted(cron)))
        }
        Occasion::Dispatch => {
            on.workflow_dispatch.as_ref().map(|_| ()).ok_or_else(|| missing("workflow_dispatch"))
        }
        Occasion::ParentImage { image } => {
            let trigger = on.parent_image.as_ref().ok_or_else(|| missing("parent-image"))?;
            name_passes("image", "images", trigger.images.as_ref(), image)
        }
    }
}

/// Whether the changed paths make a difference; finding them costs a look into the repository.
#[must_use]
pub fn needs_paths(on: &On) -> bool {
    let mut pulls = on.pull_request.iter().chain(&on.pull_request_target);
    on.push.as_ref().is_some_and(|push| push.paths.is_some())
        || pulls.any(|pull_request| pull_request.paths.is_some())
}

/// Bytes that the filters of a workflow read to decide about these paths, at most: each pattern is
/// tried on each path.
pub(crate) fn cost(on: &On, paths: &[String]) -> u64 {
    let bytes: u64 = paths.iter().map(|path| path.len() as u64 + 1).sum();
    let pulls = on.pull_request.iter().chain(&on.pull_request_target);
    let filters = on.push.iter().map(|push| &push.paths).chain(pulls.map(|pull| &pull.paths));
    let patterns: usize = filters.flatten().map(|filter| filter.patterns().len()).sum();
    bytes.saturating_mul(patterns as u64)
}

/// The marker in a commit message that asks for no run, as it is written there: one in brackets, or
/// GitHub's trailer `skip-checks: true` in the last line.
#[must_use]
pub fn skip_marker(message: &str) -> Option<&str> {
    let last = message.trim_end().lines().next_back().unwrap_or_default();
    let trailer = last.split_once(':').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("skip-checks") && value.trim().eq_ignore_ascii_case("true")
    });
    if trailer {
        return Some(last);
    }
    // Lower case in ASCII keeps every byte at its place.
    let lower = message.to_ascii_lowercase();
    SKIP_MARKERS
        .iter()
        .filter_map(|marker| lower.find(marker).map(|start| (start, marker.len())))
        .min()
        .map(|(start, len)| &message[start..start + len])
}

fn push_fires(trigger: &PushTrigger, branch: &str, paths: &ChangedPaths) -> Result<(), String> {
    if trigger.branches.is_none() && trigger.tags.is_some() {
        return Err("`push` names tags only, and this is a branch".to_owned());
    }
    name_passes("branch", "branches", trigger.branches.as_ref(), branch)?;
    paths_pass(trigger.paths.as_ref(), paths)
}

fn tag_fires(trigger: &PushTrigger, tag: &str) -> Result<(), String> {
    if trigger.tags.is_none() && trigger.branches.is_some() {
        return Err("`push` names branches only, and this is a tag".to_owned());
    }
    name_passes("tag", "tags", trigger.tags.as_ref(), tag)
}

fn pull_request_fires(
    event: &str,
    trigger: &PullRequestTrigger,
    action: PullRequestAction,
    base_branch: &str,
    paths: &ChangedPaths,
) -> Result<(), String> {
    let action = action.activity_type();
    let wanted = match &trigger.types {
        Some(types) => types.iter().any(|name| name.value == action),
        None => DEFAULT_PULL_REQUEST_TYPES.contains(&action),
    };
    if !wanted && trigger.types.is_none() {
        return Err(format!("`{action}` fires only what names it in `types` of `{event}`"));
    }
    if !wanted {
        return Err(format!("`types` of `{event}` has no `{action}`"));
    }
    name_passes("base branch", "branches", trigger.branches.as_ref(), base_branch)?;
    paths_pass(trigger.paths.as_ref(), paths)
}

fn name_passes(what: &str, key: &str, filter: Option<&Filter>, name: &str) -> Result<(), String> {
    match filter {
        Some(filter) if !filter.accepts(name) => {
            Err(format!("{what} {} {}", quoted(name), refusal(key, filter)))
        }
        _ => Ok(()),
    }
}

fn paths_pass(filter: Option<&Filter>, paths: &ChangedPaths) -> Result<(), String> {
    let (Some(filter), ChangedPaths::Known(paths)) = (filter, paths) else {
        return Ok(());
    };
    if filter.accepts_any(paths.iter().map(String::as_str)) {
        return Ok(());
    }
    let all = match paths.as_slice() {
        [] => return Err("`paths` is set and no file changed".to_owned()),
        [one] => format!("the only changed file {}", quoted(one)),
        [first, rest @ ..] => {
            format!("each of {} changed files, such as {},", rest.len() + 1, quoted(first))
        }
    };
    Err(format!("{all} {}", refusal("paths", filter)))
}

fn refusal(key: &str, filter: &Filter) -> String {
    let mut shown: Vec<String> = filter
        .patterns()
        .iter()
        .take(MAX_SHOWN_PATTERNS)
        .map(|pattern| quoted(pattern.as_str()))
        .collect();
    if filter.patterns().len() > MAX_SHOWN_PATTERNS {
        shown.push("…".to_owned());
    }
    let shown = shown.join(", ");
    match filter.kind() {
        FilterKind::Only => format!("does not match `{key}`: {shown}"),
        FilterKind::Except => format!("matches `{key}-ignore`: {shown}"),
    }
}
