use serde_json::{Value, json};

use super::*;
use crate::config::ForgeKind;
use crate::webhook::decode;

const HEAD: &str = "1111111111111111111111111111111111111111";

fn event(name: &str, body: &Value) -> Event {
    decode(ForgeKind::Github, name, body.to_string().as_bytes()).unwrap()
}

/// What is asked for, or why nothing is.
fn told(name: &str, body: &Value) -> String {
    match event(name, body) {
        Event::Ignored(ignored) => ignored.reason,
        Event::RerunAsked(asked) => format!("{:?} of App {}", asked.check, asked.app),
        other => panic!("neither: {other:?}"),
    }
}

fn run(action: &str) -> Value {
    json!({
        "action": action,
        "check_run": {
            "id": 4, "name": "image / build", "head_sha": HEAD, "external_id": "image / build",
            "status": "completed", "conclusion": "failure", "app": {"id": 5, "slug": "strata"},
            "check_suite": {"id": 3, "head_sha": HEAD, "app": {"id": 5}}, "pull_requests": [],
        },
        "repository": {"full_name": "containers/httpd"},
        "sender": {"login": "rose", "type": "User"},
    })
}

fn suite(action: &str) -> Value {
    json!({
        "action": action,
        "check_suite": {"id": 3, "head_sha": HEAD, "app": {"id": 5}, "pull_requests": [{"number": 7}]},
        "repository": {"full_name": "containers/httpd"},
        "sender": {"login": "rose", "type": "User"},
    })
}

#[test]
fn a_button_names_the_check_the_commit_and_who_pressed_it() {
    let one = event("check_run", &run("rerequested"));
    let Event::RerunAsked(asked) = &one else { panic!("{one:?}") };
    assert_eq!(asked.repository.as_str(), "containers/httpd");
    assert_eq!((asked.head.as_str(), asked.check.as_deref()), (HEAD, Some("image / build")));
    assert_eq!((asked.app, asked.actor.as_str(), asked.is_bot), (5, "rose", false));
    // The same button again means it again, and only a delivery's id tells the two apart.
    assert_eq!((one.kind(), one.identity()), ("rerun_asked", None));

    let mut body = suite("rerequested");
    body["sender"] = json!({"login": "renovate[bot]", "type": "Bot"});
    let Event::RerunAsked(asked) = event("check_suite", &body) else { panic!("{body}") };
    assert_eq!((asked.head.as_str(), asked.check), (HEAD, None));
    assert!(asked.is_bot);
}

#[test]
fn what_comes_of_our_own_posts_and_of_buttons_that_we_do_not_make_asks_for_nothing() {
    for action in ["created", "completed", "requested_action", "x"] {
        let reason = format!("check_run action `{action}` asks for nothing");
        assert_eq!(told("check_run", &run(action)), reason);
    }
    for action in ["requested", "completed"] {
        let reason = format!("check_suite action `{action}` asks for nothing");
        assert_eq!(told("check_suite", &suite(action)), reason);
    }
    // Nothing else of what asks for nothing is read.
    let bare = json!({"action": "created", "repository": {"full_name": "containers/httpd"}});
    assert!(told("check_run", &bare).ends_with("asks for nothing"));
}

#[test]
fn what_is_not_as_we_made_it_is_ignored_with_the_reason() {
    let not_ours = "the check is not ours: it has another external id";
    let long = "x".repeat(MAX_CHECK_BYTES + 1);
    for (place, value, expected) in [
        ("/check_run/external_id", json!("31"), not_ours),
        ("/check_run/external_id", Value::Null, not_ours),
        ("/check_run/external_id", json!(""), not_ours),
        ("/check_run/external_id", json!(31), "`check_run` is not as the forge documents it"),
        ("/check_run/name", json!("another"), not_ours),
        ("/check_run/app", Value::Null, "no App is named that made the checks"),
        ("/check_run/app/id", json!("5"), "`check_run` is not as the forge documents it"),
        ("/check_run/app/id", json!(-5), "`check_run` is not as the forge documents it"),
        ("/check_run/head_sha", json!("--upload-pack"), "commit id"),
        ("/check_run/head_sha", json!("0".repeat(40)), "commit id"),
        ("/repository/full_name", json!("../etc"), "repository `../etc`"),
        ("/sender", Value::Null, "nobody is named who asked for the checks"),
        ("/sender/login", json!("\u{1b}"), "nobody is named who asked for the checks"),
        ("/check_run", json!([]), "`check_run` is not as the forge documents it"),
        ("/action", json!("x".repeat(5000)), "check_run action `xxx"),
    ] {
        let mut body = run("rerequested");
        *body.pointer_mut(place).unwrap() = value.clone();
        let reason = told("check_run", &body);
        assert!(reason.contains(expected), "{place} {value}: {reason}");
        assert!(reason.chars().count() < 320, "{reason}");
    }
    for name in [&long, ""] {
        let mut body = run("rerequested");
        body["check_run"]["name"] = name.into();
        body["check_run"]["external_id"] = name.into();
        assert_eq!(told("check_run", &body), not_ours, "{} bytes", name.len());
    }
    // No longer than the longest that may be ours.
    let mut body = run("rerequested");
    body["check_run"]["name"] = long[1..].into();
    body["check_run"]["external_id"] = long[1..].into();
    assert!(told("check_run", &body).ends_with("of App 5"));
    assert!(told("check_run", &json!({"action": "rerequested"})).contains("missing field"));
}

#[test]
fn only_github_has_checks() {
    for kind in [ForgeKind::Forgejo, ForgeKind::Gitea] {
        let body = run("rerequested").to_string();
        let event = decode(kind, "check_run", body.as_bytes()).unwrap();
        assert_eq!(event.kind(), "ignored", "{kind:?}");
    }
}
