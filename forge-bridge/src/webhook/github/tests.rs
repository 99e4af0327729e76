use serde_json::{Value, json};
use workflows::event::{PullRequestAction, Trust};

use super::*;
use crate::config::ForgeKind;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const NULL: &str = "0000000000000000000000000000000000000000";

fn event(name: &str, body: &Value) -> Event {
    crate::webhook::decode(ForgeKind::Github, name, body.to_string().as_bytes()).unwrap()
}

fn ignored(name: &str, body: &Value) -> String {
    match event(name, body) {
        Event::Ignored(ignored) => ignored.reason,
        other => panic!("not ignored: {other:?}"),
    }
}

fn push_of(ref_name: &str, before: &str, after: &str) -> Value {
    json!({
        "ref": ref_name, "before": before, "after": after,
        "created": before == NULL, "deleted": after == NULL, "forced": false,
        "head_commit": null, "commits": [],
        "repository": {"id": 1, "full_name": "containers/httpd"},
        "pusher": {"name": "mina", "email": "m@example.org"}, "sender": {"login": "mina"},
    })
}

#[test]
fn a_push_keeps_what_a_run_needs() {
    let mut body = push_of("refs/heads/f43", ONE, TWO);
    body["forced"] = true.into();
    let Event::Push(push) = event("push", &body) else { panic!("no push") };
    assert_eq!(push.repository.as_str(), "containers/httpd");
    assert_eq!(push.ref_name.as_str(), "refs/heads/f43");
    assert_eq!(push.before.unwrap().as_str(), ONE);
    assert_eq!(push.after.as_str(), TWO);
    assert!(push.forced);
    assert_eq!(push.actor.as_deref(), Some("mina"));
}

#[test]
fn the_null_id_means_new_or_gone_in_both_hash_formats() {
    let (null, id) = ("0".repeat(64), "a".repeat(64));
    for (ref_name, before, after, kind) in [
        ("refs/heads/f43", NULL, TWO, "push"),
        ("refs/heads/f43", ONE, NULL, "branch_deleted"),
        ("refs/tags/v1", NULL, TWO, "tag_created"),
        ("refs/tags/v1", ONE, TWO, "tag_created"),
        ("refs/tags/v1", ONE, NULL, "tag_deleted"),
        ("refs/heads/f43", &null, &id, "push"),
        ("refs/heads/f43", &id, &null, "branch_deleted"),
    ] {
        assert_eq!(event("push", &push_of(ref_name, before, after)).kind(), kind, "{ref_name}");
    }
    let Event::Push(push) = event("push", &push_of("refs/heads/f43", NULL, TWO)) else {
        panic!("no push")
    };
    assert_eq!(push.before, None);
}

#[test]
fn create_names_a_short_ref_and_no_commit() {
    let body = json!({
        "ref": "f43", "ref_type": "branch", "master_branch": "rawhide",
        "repository": {"full_name": "containers/httpd"}, "sender": {"login": "mina"},
    });
    let Event::BranchCreated(created) = event("create", &body) else { panic!("not created") };
    assert_eq!((created.ref_name.as_str(), created.after), ("refs/heads/f43", None));
    let Event::BranchDeleted(deleted) = event("delete", &body) else { panic!("not deleted") };
    assert_eq!((deleted.ref_name.as_str(), deleted.before), ("refs/heads/f43", None));
}

#[test]
fn a_branch_whose_name_looks_like_a_ref_stays_that_branch() {
    let body = json!({
        "ref": "refs/heads/rawhide", "ref_type": "branch",
        "repository": {"full_name": "containers/httpd"},
    });
    let Event::BranchCreated(created) = event("create", &body) else { panic!("not created") };
    assert_eq!(created.ref_name.as_str(), "refs/heads/refs/heads/rawhide");
}

#[test]
fn a_created_repository_has_no_ref() {
    let body = json!({
        "ref": null, "ref_type": "repository", "repository": {"full_name": "containers/httpd"},
    });
    assert_eq!(ignored("create", &body), "ref_type `repository` is neither branch nor tag");
}

#[test]
fn an_organisations_ping_names_no_repository() {
    let of_organisation = json!({"zen": "Design for failure.", "hook": {"type": "Organization"}});
    assert_eq!(event("ping", &of_organisation), Event::Ping(Ping { repository: None }));
    let of_repository = json!({"zen": "", "repository": {"full_name": "containers/httpd"}});
    assert_eq!(event("ping", &of_repository).repository().unwrap().as_str(), "containers/httpd");
}

fn pull(action: &str, head_repo: &Value) -> Value {
    json!({
        "action": action, "number": 7, "repository": {"full_name": "containers/httpd"},
        "pull_request": {
            "number": 7, "user": {"login": "guest"}, "merge_commit_sha": null,
            "head": {"ref": "fix/tls", "sha": TWO, "repo": head_repo},
            "base": {"ref": "f43", "sha": ONE, "repo": {"full_name": "containers/httpd"}},
        },
    })
}

#[test]
fn a_pull_request_is_trusted_by_where_its_branch_is() {
    let own = json!({"full_name": "containers/httpd"});
    let fork = json!({"full_name": "guest/httpd", "fork": true});
    for (repo, trust) in
        [(own, Trust::Trusted), (fork, Trust::Untrusted), (Value::Null, Trust::Untrusted)]
    {
        let Event::PullRequest(pull) = event("pull_request", &pull("opened", &repo)) else {
            panic!("no pull request")
        };
        assert_eq!(pull.trust(), trust, "{repo}");
        assert_eq!((pull.head.as_str(), pull.head_branch.as_str()), (TWO, "fix/tls"));
        assert_eq!(pull.base_ref.as_str(), "refs/heads/f43");
        assert_eq!(pull.base.unwrap().as_str(), ONE);
        assert_eq!((pull.number, pull.author.as_deref()), (7, Some("guest")));
    }
}

#[test]
fn only_actions_that_bring_a_commit_count() {
    let own = json!({"full_name": "containers/httpd"});
    for (word, action) in [
        ("opened", PullRequestAction::Opened),
        ("synchronize", PullRequestAction::Synchronized),
        ("reopened", PullRequestAction::Reopened),
    ] {
        let Event::PullRequest(pull) = event("pull_request", &pull(word, &own)) else {
            panic!("{word} brings a commit")
        };
        assert_eq!(pull.action, action);
    }
    // Forgejo's word is not GitHub's.
    for word in ["auto_merge_enabled", "synchronized"] {
        let reason = ignored("pull_request", &pull(word, &own));
        assert_eq!(reason, format!("pull_request action `{word}` fires nothing"));
    }
}

#[test]
fn what_brings_no_commit_is_an_activity_with_its_time_and_label() {
    let own = json!({"full_name": "containers/httpd"});
    let at = |word: &str, label: Option<&str>, moment: &str| {
        let mut body = pull(word, &own);
        body["pull_request"]["updated_at"] = moment.into();
        body["label"] = label.map_or(Value::Null, |name| json!({"name": name}));
        body["sender"] = json!({"login": "rose"});
        event("pull_request", &body)
    };
    let labeled = at("labeled", Some("ok to test"), "2026-01-02T03:04:05Z");
    let Event::PullRequestActivity(activity) = &labeled else { panic!("{labeled:?}") };
    assert_eq!(activity.pull.action, PullRequestAction::Labeled);
    assert_eq!(
        (activity.label.as_deref(), activity.actor.as_deref()),
        (Some("ok to test"), Some("rose"))
    );
    // Told twice it is one happening; another label, another time or another word is not it.
    assert_eq!(labeled.identity(), at("labeled", Some("ok to test"), &activity.moment).identity());
    for other in [
        at("labeled", Some("wip"), "2026-01-02T03:04:05Z"),
        at("labeled", Some("ok to test"), "2026-01-02T03:04:06Z"),
        at("unlabeled", Some("ok to test"), "2026-01-02T03:04:05Z"),
        at("edited", None, "2026-01-02T03:04:05Z"),
        event("pull_request", &pull("opened", &own)),
    ] {
        assert_ne!(labeled.identity(), other.identity(), "{other:?}");
    }
    let untimed = event("pull_request", &pull("ready_for_review", &own));
    assert_eq!((untimed.kind(), untimed.identity()), ("pull_request_activity", None));
}

#[test]
fn the_end_of_a_pull_request_names_its_head_where_that_makes_sense() {
    let own = json!({"full_name": "containers/httpd"});
    let mut body = pull("closed", &own);
    body["pull_request"]["merged"] = true.into();
    let Event::PullRequestClosed(closed) = event("pull_request", &body) else { panic!("{body}") };
    let pull = closed.pull.unwrap();
    assert_eq!((pull.action, pull.number), (PullRequestAction::Closed, closed.number));
    body["pull_request"]["head"]["sha"] = "none".into();
    let Event::PullRequestClosed(closed) = event("pull_request", &body) else { panic!("{body}") };
    assert!(closed.merged && closed.pull.is_none(), "it ends all the same");
}

#[test]
fn hostile_names_are_ignored_with_the_reason() {
    let mut body = push_of("refs/heads/f43", ONE, TWO);
    body["repository"]["full_name"] = "../../etc/passwd".into();
    assert!(ignored("push", &body).starts_with("repository `../../etc/passwd` is not acceptable"));
    for ref_name in ["f43", "refs/heads/a..b", "refs/heads/a\u{1b}[2J", "refs/heads/-f"] {
        let reason = ignored("push", &push_of(ref_name, ONE, TWO));
        assert!(reason.starts_with("ref `"), "{reason}");
        assert!(!reason.contains('\u{1b}'), "{reason}");
    }
    assert!(
        ignored("push", &push_of("refs/heads/f43", "--upload-pack", TWO)).contains("commit id")
    );
    let mut request = pull("opened", &json!({"full_name": "guest/.git"}));
    assert!(ignored("pull_request", &request).starts_with("repository `guest/.git`"));
    request["pull_request"]["base"]["ref"] = "f43 --force".into();
    assert!(ignored("pull_request", &request).starts_with("ref `"));
}

#[test]
fn other_events_are_ignored_by_name() {
    let body = json!({"action": "created", "repository": {"full_name": "containers/httpd"}});
    assert_eq!(ignored("watch", &body), "event `watch` changes no commit");
    assert_eq!(ignored("status", &json!({})), "event `status` changes no commit");
}
