use serde_json::{Value, json};
use workflows::event::Event;

use super::is_gitlab_bot;
use crate::config::ForgeKind;
use crate::webhook::decode;

fn decoded(kind: ForgeKind, name: &str, body: &Value) -> Event {
    decode(kind, name, body.to_string().as_bytes()).unwrap()
}

fn why_ignored(kind: ForgeKind, name: &str, body: &Value) -> String {
    match decoded(kind, name, body) {
        Event::Ignored(ignored) => {
            assert_eq!(ignored.repository.unwrap().as_str(), "containers/httpd");
            ignored.reason
        }
        other => panic!("not ignored: {other:?}"),
    }
}

/// What GitHub sends for a comment on a pull request; Forgejo has no `type` and adds `is_pull`.
fn issue_comment() -> Value {
    json!({
        "action": "created",
        "issue": {"number": 4, "user": {"login": "stranger"}, "state": "open",
                  "pull_request": {"url": "https://forge.example/pulls/4", "merged_at": null}},
        "comment": {"id": 99, "user": {"login": "rose", "type": "User"},
                    "body": "Looks good.\r\n\r\n/ok-to-test 1234567\r\n"},
        "repository": {"full_name": "containers/httpd"}, "sender": {"login": "rose"},
    })
}

#[test]
fn github_and_forgejo_tell_a_command_by_its_line_alone() {
    for kind in [ForgeKind::Github, ForgeKind::Forgejo, ForgeKind::Gitea] {
        let event = decoded(kind, "issue_comment", &issue_comment());
        let identity = event.identity().unwrap();
        let Event::PullRequestCommented(said) = event else { panic!("no comment: {event:?}") };
        assert_eq!((said.number, said.comment, said.is_bot), (4, 99, false));
        assert_eq!((said.author.as_str(), said.line.as_str()), ("rose", "/ok-to-test 1234567"));
        assert_eq!(identity, "containers/httpd pull 4 comment 99");
    }
}

#[test]
fn a_bot_is_told_from_a_person_where_the_forge_tells() {
    let mut body = issue_comment();
    body["comment"]["user"] = json!({"login": "dependabot[bot]", "type": "Bot"});
    let event = decoded(ForgeKind::Github, "issue_comment", &body);
    let Event::PullRequestCommented(said) = event else { panic!("no comment: {event:?}") };
    assert!(said.is_bot);
    assert!(is_gitlab_bot("project_17_bot_1a2b") && is_gitlab_bot("group_3_bot"));
    for person in ["project_manager", "bot", "project_17_bottom", "rose"] {
        assert!(!is_gitlab_bot(person), "{person}");
    }
}

#[test]
fn edited_comments_issues_and_talk_ask_for_nothing() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 5] = [
        (|body| body["action"] = "edited".into(), "comment action `edited`"),
        (|body| body["action"] = "deleted".into(), "comment action `deleted`"),
        (|body| body["issue"]["pull_request"] = Value::Null, "on an issue"),
        (|body| body["comment"]["body"] = Value::Null, "without a command"),
        (|body| body["comment"]["user"] = Value::Null, "nobody is named"),
    ];
    for (change, reason) in changes {
        let mut body = issue_comment();
        change(&mut body);
        let told = why_ignored(ForgeKind::Github, "issue_comment", &body);
        assert!(told.contains(reason), "{told}");
    }
}

fn note() -> Value {
    json!({
        "object_kind": "note", "event_type": "note",
        "user": {"id": 1, "username": "rose"},
        "project": {"path_with_namespace": "containers/httpd"},
        "object_attributes": {"id": 7, "note": "/retest", "noteable_type": "MergeRequest",
                              "action": "create", "system": false},
        "merge_request": {"iid": 4, "source_branch": "fix", "target_branch": "f43"},
    })
}

#[test]
fn gitlab_tells_a_command_in_a_note_on_a_merge_request() {
    let event = decoded(ForgeKind::Gitlab, "Note Hook", &note());
    let Event::PullRequestCommented(said) = event else { panic!("no comment: {event:?}") };
    assert_eq!((said.number, said.comment), (4, 7));
    assert_eq!((said.author.as_str(), said.line.as_str()), ("rose", "/retest"));
    let mut edited = note();
    edited["object_attributes"]["action"] = "update".into();
    assert!(why_ignored(ForgeKind::Gitlab, "Note Hook", &edited).contains("edited"));
    let mut own = note();
    own["object_attributes"]["system"] = true.into();
    assert!(why_ignored(ForgeKind::Gitlab, "Note Hook", &own).contains("GitLab's own"));
    let mut elsewhere = note();
    elsewhere["merge_request"] = Value::Null;
    assert!(why_ignored(ForgeKind::Gitlab, "Note Hook", &elsewhere).contains("no merge request"));
}

fn pagure(topic: &str, comment: &str) -> Value {
    json!({"topic": topic, "msg_id": "2026-1", "i": 1, "msg": {
        "project_fullname": "containers/httpd", "agent": "rose", "merged": true,
        "pullrequest": {
            "id": 4, "status": "Open", "branch": "f43", "branch_from": "fix",
            "commit_stop": "a".repeat(40), "repo_from": null, "user": {"name": "stranger"},
            "closed_at": "1795406951.38936",
            "comments": [{"id": 1, "comment": "first", "user": {"name": "stranger"}},
                         {"id": 2, "comment": comment, "notification": false,
                          "user": {"name": "rose"}}],
        },
    }})
}

#[test]
fn pagure_tells_a_command_in_the_newest_comment() {
    let body = pagure("pull-request.comment.added", "/cancel\n");
    let event = decoded(ForgeKind::Pagure, "", &body);
    let Event::PullRequestCommented(said) = event else { panic!("no comment: {event:?}") };
    assert_eq!((said.number, said.comment), (4, 2));
    assert_eq!((said.author.as_str(), said.line.as_str()), ("rose", "/cancel"));
    let talk = pagure("pull-request.comment.added", "I do not like it");
    assert!(why_ignored(ForgeKind::Pagure, "", &talk).contains("without a command"));
}

#[test]
fn every_forge_tells_that_a_pull_request_is_over() {
    let github = |merged: bool| {
        json!({
            "action": "closed", "number": 4, "repository": {"full_name": "containers/httpd"},
            "pull_request": {"merged": merged, "closed_at": "2026-01-02T03:04:05Z"},
            "sender": {"login": "rose"},
        })
    };
    let gitlab = |action: &str| {
        json!({
            "object_kind": "merge_request", "user": {"id": 1, "username": "rose"},
            "project": {"path_with_namespace": "containers/httpd"},
            "object_attributes": {"iid": 4, "action": action, "target_branch": "f43",
                                  "source_branch": "fix", "updated_at": "2026-01-02 03:04:05 UTC"},
        })
    };
    for (kind, name, body, merged) in [
        (ForgeKind::Github, "pull_request", github(true), true),
        (ForgeKind::Forgejo, "pull_request", github(false), false),
        (ForgeKind::Gitlab, "Merge Request Hook", gitlab("merge"), true),
        (ForgeKind::Gitlab, "Merge Request Hook", gitlab("close"), false),
        (ForgeKind::Pagure, "", pagure("pull-request.closed", "done"), true),
    ] {
        let event = decoded(kind, name, &body);
        let Event::PullRequestClosed(closed) = event else { panic!("not closed: {event:?}") };
        assert_eq!((closed.number, closed.merged), (4, merged), "{kind:?}");
        assert_eq!(closed.actor.as_deref(), Some("rose"), "{kind:?}");
        assert!(!closed.moment.is_empty(), "{kind:?}: one closing is told from the next");
    }
}
