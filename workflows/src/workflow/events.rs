//! The events that a workflow file may name, and the activity types that each of them has.
//!
//! Strata knows all that GitHub documents, so that a file written for GitHub is read and its
//! author is told which of its events never come here.

/// An event without filters of its own: its name and its activity types.
pub(super) struct KnownEvent {
    pub(super) name: &'static str,
    pub(super) types: &'static [&'static str],
}

const fn event(name: &'static str, types: &'static [&'static str]) -> KnownEvent {
    KnownEvent { name, types }
}

/// Activity types of `pull_request` and `pull_request_target`.
pub(super) const PULL_REQUEST_TYPES: &[&str] = &[
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "converted_to_draft",
    "ready_for_review",
    "locked",
    "unlocked",
    "milestoned",
    "demilestoned",
    "enqueued",
    "dequeued",
    "review_requested",
    "review_request_removed",
    "auto_merge_enabled",
    "auto_merge_disabled",
];

/// Every event that Strata reads and never fires.
pub(super) const FOREIGN_EVENTS: &[KnownEvent] = &[
    event("branch_protection_rule", &["created", "edited", "deleted"]),
    event("check_run", &["created", "rerequested", "completed", "requested_action"]),
    event("check_suite", &["completed", "requested", "rerequested"]),
    event("create", &[]),
    event("delete", &[]),
    event("deployment", &[]),
    event("deployment_status", &[]),
    event(
        "discussion",
        &[
            "created",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "category_changed",
            "answered",
            "unanswered",
        ],
    ),
    event("discussion_comment", &["created", "edited", "deleted"]),
    event("fork", &[]),
    event("gollum", &[]),
    event("image_version", &[]),
    event("issue_comment", &["created", "edited", "deleted"]),
    event(
        "issues",
        &[
            "opened",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "closed",
            "reopened",
            "assigned",
            "unassigned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "milestoned",
            "demilestoned",
            "typed",
            "untyped",
        ],
    ),
    event("label", &["created", "edited", "deleted"]),
    event("merge_group", &["checks_requested"]),
    event("milestone", &["created", "closed", "opened", "edited", "deleted"]),
    event("page_build", &[]),
    event("project", &["created", "updated", "closed", "reopened", "edited", "deleted"]),
    event("project_card", &["created", "moved", "converted", "edited", "deleted"]),
    event("project_column", &["created", "updated", "moved", "deleted"]),
    event("public", &[]),
    event("pull_request_review", &["submitted", "edited", "dismissed"]),
    event("pull_request_review_comment", &["created", "edited", "deleted"]),
    event("registry_package", &["published", "updated"]),
    event(
        "release",
        &["published", "unpublished", "created", "edited", "deleted", "prereleased", "released"],
    ),
    // The types of this event are the senders' own words, so that none is listed here.
    event("repository_dispatch", &[]),
    event("status", &[]),
    event("watch", &["started"]),
    event("workflow_run", &["completed", "requested", "in_progress"]),
];
