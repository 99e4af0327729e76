use serde_json::{Value, json};
use workflows::event::Trust;

use super::*;
use crate::config::ForgeKind;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const NULL: &str = "0000000000000000000000000000000000000000";

fn decoded(body: &Value) -> Event {
    // The name in the header is a stranger's word.
    let body = body.to_string();
    crate::webhook::decode(ForgeKind::Gitlab, "Note Hook", body.as_bytes()).unwrap()
}

fn push(kind: &str, ref_name: &str, before: &str, after: &str) -> Event {
    decoded(&json!({
        "object_kind": kind, "event_name": kind, "ref": ref_name, "before": before, "after": after,
        "checkout_sha": null, "user_username": "mina", "commits": [], "total_commits_count": 0,
        "project": {"id": 1, "path_with_namespace": "group/containers/httpd"},
    }))
}

fn merge(changes: Value) -> Event {
    let mut attributes = json!({"iid": 7, "action": "open", "target_branch": "f43",
        "source_branch": "fix", "author_id": 5, "last_commit": {"id": TWO},
        "source": {"path_with_namespace": "mina/httpd"},
        "target": {"path_with_namespace": "group/other"}});
    for (name, value) in changes.as_object().unwrap() {
        attributes[name] = value.clone();
    }
    decoded(&json!({"object_kind": "merge_request", "user": {"id": 5, "username": "mina"},
        "project": {"path_with_namespace": "group/containers/httpd"},
        "object_attributes": attributes}))
}

fn pull(changes: Value) -> PullRequest {
    match merge(changes) {
        Event::PullRequest(pull) => pull,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ref_that_moved_is_told_by_its_ids() {
    let long = ("1".repeat(64), "0".repeat(64));
    for (kind, ref_name, before, after, expected) in [
        ("push", "refs/heads/f43", ONE, TWO, "push"),
        // A new branch has no commits in its payload when it has none of its own.
        ("push", "refs/heads/f44", NULL, TWO, "push"),
        ("push", "refs/heads/f43", ONE, NULL, "branch_deleted"),
        ("push", "refs/heads/f43", long.0.as_str(), long.1.as_str(), "branch_deleted"),
        ("tag_push", "refs/tags/v1", NULL, TWO, "tag_created"),
        ("tag_push", "refs/tags/v1", ONE, NULL, "tag_deleted"),
        ("push", "refs/keep-around/1", ONE, TWO, "ignored"),
        ("push", "f43", ONE, TWO, "ignored"),
    ] {
        let event = push(kind, ref_name, before, after);
        assert_eq!(event.kind(), expected, "{kind} {ref_name} {before} {after}");
        assert_eq!(event.repository().unwrap().as_str(), "group/containers/httpd");
    }
    let Event::Push(push) = push("push", "refs/heads/f44", NULL, TWO) else { panic!("no push") };
    assert_eq!((push.before, push.actor.as_deref()), (None, Some("mina")));
}

#[test]
fn only_an_update_with_oldrev_has_a_new_head() {
    assert_eq!(pull(json!({})).action, PullRequestAction::Opened);
    assert_eq!(pull(json!({"action": "reopen"})).action, PullRequestAction::Reopened);
    let moved = pull(json!({"action": "update", "oldrev": ONE}));
    assert_eq!((moved.action, moved.head.as_str()), (PullRequestAction::Synchronized, TWO));
    for action in ["update", "approved", "approval", "unapproved", "unapproval"] {
        assert_eq!(merge(json!({"action": action})).kind(), "ignored", "{action}");
    }
    // The sample that "Test" sends.
    assert_eq!(merge(json!({"action": null})).kind(), "ignored");
    assert_eq!(merge(json!({"last_commit": null})).kind(), "ignored");
}

#[test]
fn a_merge_request_belongs_to_the_hooks_project_and_is_trusted_only_from_within() {
    let fork = pull(json!({}));
    assert_eq!(fork.repository.as_str(), "group/containers/httpd");
    assert_eq!(fork.trust(), Trust::Untrusted);
    assert_eq!(fork.fetch_ref(), "refs/merge-requests/7/head");
    assert_eq!(fork.author.as_deref(), Some("mina"));
    assert_eq!(pull(json!({"author_id": 6})).author, None, "who acts is not always the author");
    assert_eq!(pull(json!({"source": null})).trust(), Trust::Untrusted);
    let inside = json!({"source": {"path_with_namespace": "group/containers/httpd"}});
    assert_eq!(pull(inside).trust(), Trust::Trusted);
}

#[test]
fn what_changes_no_commit_is_ignored_with_its_name() {
    for body in [
        json!({"object_kind": "pipeline", "project": {"path_with_namespace": "group/httpd"}}),
        json!({"object_kind": "note"}),
        // What `strata forge check` has GitLab send.
        json!({"object_kind": "access_token", "project": {"path_with_namespace": "group/httpd"},
            "object_attributes": {"id": 1}, "event_name": "expiring_access_token"}),
        // A system hook.
        json!({"event_name": "repository_update", "project": {"path_with_namespace": "g/h"}}),
        json!({"object_kind": "push", "ref": "refs/heads/f43"}),
        json!({"object_kind": "push\n\u{1b}[31m", "project": null}),
    ] {
        let Event::Ignored(ignored) = decoded(&body) else { panic!("{body}") };
        assert!(!ignored.reason.contains('\u{1b}'), "{}", ignored.reason);
    }
}
