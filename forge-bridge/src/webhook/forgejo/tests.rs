use serde_json::{Value, json};
use workflows::event::{PullRequestAction, Trust};

use super::*;
use crate::config::ForgeKind;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const NULL: &str = "0000000000000000000000000000000000000000";

fn event(name: &str, body: &Value) -> Event {
    let text = body.to_string();
    let forgejo = crate::webhook::decode(ForgeKind::Forgejo, name, text.as_bytes()).unwrap();
    let gitea = crate::webhook::decode(ForgeKind::Gitea, name, text.as_bytes()).unwrap();
    assert_eq!(forgejo, gitea);
    forgejo
}

fn push_of(ref_name: &str, before: &str, after: &str) -> Value {
    json!({
        "ref": ref_name, "before": before, "after": after, "compare_url": "", "total_commits": 0,
        "commits": null, "head_commit": null,
        "repository": {"id": 1, "full_name": "containers/httpd", "name": "httpd"},
        "pusher": {"id": 2, "login": "mina", "username": "mina"},
        "sender": {"id": 2, "login": "mina", "username": "mina"},
    })
}

fn ref_change(ref_type: &str, name: &str, sha: Option<&str>) -> Value {
    let mut body = json!({
        "ref": name, "ref_type": ref_type, "repository": {"full_name": "containers/httpd"},
        "sender": {"login": "mina"},
    });
    if let Some(sha) = sha {
        body["sha"] = sha.into();
    }
    body
}

#[test]
fn a_push_has_no_flags_and_needs_none() {
    for (ref_name, before, after, kind) in [
        ("refs/heads/f43", ONE, TWO, "push"),
        ("refs/heads/f43", NULL, TWO, "push"),
        ("refs/tags/v1", NULL, TWO, "tag_created"),
        ("refs/tags/v1", ONE, NULL, "tag_deleted"),
    ] {
        let event = event("push", &push_of(ref_name, before, after));
        assert_eq!(event.kind(), kind, "{ref_name} {before} {after}");
        if let Event::Push(push) = event {
            assert!(!push.forced);
            assert_eq!(push.actor.as_deref(), Some("mina"));
        }
    }
}

#[test]
fn a_test_delivery_is_a_push_of_nothing() {
    let event = event("push", &push_of("refs/heads/rawhide", ONE, ONE));
    let Event::Ping(ping) = event else { panic!("no ping: {event:?}") };
    assert_eq!(ping.repository.unwrap().as_str(), "containers/httpd");
}

#[test]
fn short_and_full_refs_name_the_same_branch() {
    for name in ["f43", "refs/heads/f43"] {
        let event = event("create", &ref_change("branch", name, Some(TWO)));
        let Event::BranchCreated(created) = event else { panic!("not created: {event:?}") };
        assert_eq!(created.ref_name.as_str(), "refs/heads/f43");
        assert_eq!(created.after.unwrap().as_str(), TWO);
    }
    for name in ["f43", "refs/heads/f43"] {
        assert_eq!(event("delete", &ref_change("branch", name, None)).kind(), "branch_deleted");
    }
    for name in ["v1", "refs/tags/v1"] {
        let event = event("create", &ref_change("tag", name, Some(TWO)));
        let Event::TagCreated(created) = event else { panic!("not created: {event:?}") };
        assert_eq!(created.ref_name.as_str(), "refs/tags/v1");
    }
    assert_eq!(event("delete", &ref_change("tag", "v1", None)).kind(), "tag_deleted");
}

#[test]
fn the_create_and_the_push_of_a_new_branch_are_one_happening() {
    let create = event("create", &ref_change("branch", "f43", Some(TWO)));
    let push = event("push", &push_of("refs/heads/f43", NULL, TWO));
    assert!(create.identity().is_some());
    assert_eq!(create.identity(), push.identity());
}

fn pull(action: &str, head: &Value) -> Value {
    json!({
        "action": action, "number": 3, "repository": {"full_name": "containers/httpd"},
        "pull_request": {
            "number": 3, "user": {"login": "guest"}, "head": head,
            "base": {"label": "f43", "ref": "f43", "sha": ONE, "repo": {"full_name": "containers/httpd"}},
        },
    })
}

#[test]
fn a_moved_head_is_spelt_synchronized_here() {
    let head = json!({"label": "fix", "ref": "fix", "sha": TWO, "repo": {"full_name": "containers/httpd"}});
    let decoded = event("pull_request", &pull("synchronized", &head));
    let Event::PullRequest(request) = decoded else { panic!("no pull request: {decoded:?}") };
    assert_eq!(request.action, PullRequestAction::Synchronized);
    assert_eq!(request.trust(), Trust::Trusted);
    for action in ["synchronize", "reviewed"] {
        assert_eq!(event("pull_request", &pull(action, &head)).kind(), "ignored", "{action}");
    }
    for (word, action) in [
        ("label_updated", PullRequestAction::Labeled),
        ("label_cleared", PullRequestAction::Unlabeled),
        ("edited", PullRequestAction::Edited),
    ] {
        let told = event("pull_request", &pull(word, &head));
        assert_eq!(told.pull_request().map(|pull| pull.action), Some(action));
        assert_eq!(told.kind(), "pull_request_activity");
    }
    for name in ["pull_request_approved", "pull_request_comment", "repository"] {
        assert_eq!(event(name, &pull("reviewed", &head)).kind(), "ignored", "{name}");
    }
}

#[test]
fn an_agit_pull_request_is_not_trusted_although_it_names_the_target_as_its_source() {
    let head = json!({
        "label": "", "ref": "refs/pull/3/head", "sha": TWO, "repo_id": 1,
        "repo": {"full_name": "containers/httpd"},
    });
    let decoded = event("pull_request", &pull("opened", &head));
    let Event::PullRequest(request) = decoded else { panic!("no pull request: {decoded:?}") };
    assert_eq!(request.trust(), Trust::Untrusted);
    assert_eq!(request.head_repository, None);
    assert_eq!(request.head_branch, "refs/pull/3/head");
}

#[test]
fn a_vanished_fork_and_a_vanished_base_branch_are_survived() {
    let head =
        json!({"label": "fix", "ref": "refs/pull/3/head", "sha": TWO, "repo_id": -1, "repo": null});
    let mut body = pull("opened", &head);
    body["pull_request"]["base"]["sha"] = "".into();
    let decoded = event("pull_request", &body);
    let Event::PullRequest(request) = decoded else { panic!("no pull request: {decoded:?}") };
    assert_eq!((request.trust(), request.base), (Trust::Untrusted, None));
}
