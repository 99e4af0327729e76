//! What a list says has the identity of the delivery of the same happening.

use proptest::prelude::*;
use serde_json::json;
use workflows::event::{Event, Trust};

use super::*;
use crate::webhook::decode;

const HEAD: &str = "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a";
const BASE: &str = "2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b";

fn httpd() -> RepositoryName {
    RepositoryName::parse("containers/httpd").unwrap()
}

/// A change from a fork, as GitHub and Forgejo show it everywhere.
fn pull() -> Value {
    json!({
        "number": 7, "state": "open", "merged": false, "closed_at": null, "title": "x",
        "user": {"login": "mina", "name": null},
        "head": {"sha": HEAD, "ref": "fix", "repo": {"full_name": "mina/httpd"}},
        "base": {"sha": BASE, "ref": "f43", "repo": {"full_name": "containers/httpd"}},
    })
}

fn pagure_pull() -> Value {
    json!({
        "id": 7, "status": "Open", "branch": "f43", "branch_from": "fix", "commit_stop": HEAD,
        "repo_from": {"fullname": "forks/mina/containers/httpd"}, "user": {"name": "mina"},
        "comments": [], "closed_at": null,
    })
}

/// The row of a list, and the delivery of the opening.
fn openings() -> Vec<(ForgeKind, &'static str, Value, Value)> {
    let opened = json!({"action": "opened", "number": 7, "pull_request": pull(),
        "repository": {"full_name": "containers/httpd"}});
    let merge = json!({
        "iid": 7, "state": "opened", "sha": HEAD, "source_branch": "fix", "target_branch": "f43",
        "source_project_id": 9, "target_project_id": 1, "author": {"id": 3, "username": "mina"},
    });
    let merge_opened = json!({
        "object_kind": "merge_request", "user": {"id": 3, "username": "mina"},
        "project": {"path_with_namespace": "containers/httpd"},
        "object_attributes": {"iid": 7, "action": "open", "source_branch": "fix",
            "target_branch": "f43", "author_id": 3, "last_commit": {"id": HEAD},
            "source": {"path_with_namespace": "mina/httpd"}},
    });
    let pagure = json!({"topic": "pull-request.new", "msg_id": "2026-1",
        "msg": {"project_fullname": "containers/httpd", "pullrequest": pagure_pull()}});
    vec![
        (ForgeKind::Github, "pull_request", pull(), opened.clone()),
        (ForgeKind::Forgejo, "pull_request", pull(), opened.clone()),
        (ForgeKind::Gitea, "pull_request", pull(), opened),
        (ForgeKind::Gitlab, "", merge, merge_opened),
        (ForgeKind::Pagure, "", pagure_pull(), pagure),
    ]
}

#[test]
fn a_row_is_the_same_happening_as_its_delivery() {
    for (kind, name, row, delivery) in openings() {
        let delivered = decode(kind, name, delivery.to_string().as_bytes()).unwrap();
        let found = listed(kind, &httpd(), &row).unwrap_or_else(|| panic!("{kind:?}"));
        let event = Event::PullRequest(found.pull.clone());
        assert_eq!(event.identity(), delivered.identity(), "{kind:?}");
        assert!(event.identity().is_some());
        assert_eq!(found.pull.trust(), Trust::Untrusted, "{kind:?}");
        assert_eq!(found.pull.author.as_deref(), Some("mina"), "{kind:?}");
        assert_eq!(found.source, (kind == ForgeKind::Gitlab).then_some(9), "{kind:?}");
        let Event::PullRequest(mut delivered) = delivered else { panic!("{delivered:?}") };
        if kind == ForgeKind::Gitlab {
            delivered.head_repository = None;
        }
        assert_eq!(found.pull, delivered, "{kind:?}");
    }
}

#[test]
fn an_end_is_the_same_happening_as_its_delivery() {
    let mut over = pull();
    over["state"] = "closed".into();
    over["merged"] = true.into();
    over["closed_at"] = "2026-01-02T03:04:05Z".into();
    let closed = json!({"action": "closed", "number": 7, "pull_request": over,
        "repository": {"full_name": "containers/httpd"}, "sender": {"login": "rose"}});
    let merge = |at: &str| {
        json!({
            "object_kind": "merge_request", "user": {"id": 4, "username": "rose"},
            "project": {"path_with_namespace": "containers/httpd"},
            "object_attributes": {"iid": 7, "action": "merge", "source_branch": "fix",
                "target_branch": "f43", "updated_at": at},
        })
    };
    let merge_over = json!({"iid": 7, "state": "merged", "updated_at": "2026-01-02T03:04:05.678Z"});
    let mut pagure_over = pagure_pull();
    pagure_over["status"] = "Merged".into();
    pagure_over["closed_at"] = "1767323045".into();
    let pagure_closed = json!({"topic": "pull-request.closed", "msg_id": "2026-2",
        "msg": {"project_fullname": "containers/httpd", "merged": true, "agent": "rose",
            "pullrequest": pagure_over}});
    for (kind, name, shown, delivery) in [
        (ForgeKind::Github, "pull_request", over.clone(), closed.clone()),
        (ForgeKind::Forgejo, "pull_request", over, closed),
        (ForgeKind::Gitlab, "", merge_over.clone(), merge("2026-01-02 03:04:05 UTC")),
        (ForgeKind::Gitlab, "", merge_over, merge("2026-01-02T03:04:05Z")),
        (ForgeKind::Pagure, "", pagure_over, pagure_closed),
    ] {
        let delivered = decode(kind, name, delivery.to_string().as_bytes()).unwrap();
        let end = ended(kind, &httpd(), 7, &shown).unwrap().unwrap_or_else(|| panic!("{kind:?}"));
        assert!(end.merged, "{kind:?}");
        assert!(!end.moment.is_empty(), "{kind:?}");
        let event = Event::PullRequestClosed(end);
        assert_eq!(event.identity(), delivered.identity(), "{kind:?}");
    }
}

#[test]
fn what_is_open_has_not_ended() {
    for (kind, _, row, _) in openings() {
        assert_eq!(ended(kind, &httpd(), 7, &row).unwrap(), None, "{kind:?}");
        assert!(ended(kind, &httpd(), 7, &json!([1])).is_err(), "{kind:?}");
    }
    let locked = json!({"iid": 7, "state": "locked"});
    assert_eq!(ended(ForgeKind::Gitlab, &httpd(), 7, &locked).unwrap(), None, "it is being merged");
}

#[test]
fn a_branch_of_the_repository_itself_is_trusted_and_nothing_else_is() {
    let inside = json!({
        "iid": 7, "sha": HEAD, "source_branch": "fix", "target_branch": "f43",
        "source_project_id": 1, "target_project_id": 1, "author": null,
    });
    let found = listed(ForgeKind::Gitlab, &httpd(), &inside).unwrap();
    assert_eq!((found.pull.trust(), found.source), (Trust::Trusted, None));
    let mut gone = inside;
    gone["source_project_id"] = Value::Null;
    let found = listed(ForgeKind::Gitlab, &httpd(), &gone).unwrap();
    assert_eq!((found.pull.trust(), found.source), (Trust::Untrusted, None));
    // An AGit change of Forgejo names the target as its source.
    let mut agit = pull();
    agit["head"]["ref"] = "refs/pull/7/head".into();
    agit["head"]["repo"]["full_name"] = "containers/httpd".into();
    let found = listed(ForgeKind::Forgejo, &httpd(), &agit).unwrap();
    assert_eq!(found.pull.trust(), Trust::Untrusted);
}

#[test]
fn rows_that_cannot_be_built_are_left_out() {
    for (kind, _, row, _) in openings() {
        assert_eq!(listed(kind, &httpd(), &json!(null)), None, "{kind:?}");
        assert_eq!(listed(kind, &httpd(), &json!({"number": 7})), None, "{kind:?}");
        let hostile = row.to_string().replace(HEAD, "../../etc/passwd");
        let hostile: Value = serde_json::from_str(&hostile).unwrap();
        assert_eq!(listed(kind, &httpd(), &hostile), None, "{kind:?}");
    }
    let mut empty = pagure_pull();
    empty["commit_stop"] = "".into();
    assert_eq!(listed(ForgeKind::Pagure, &httpd(), &empty), None, "it has no commit yet");
    let preparing = json!({"iid": 7, "sha": null, "source_branch": "a", "target_branch": "f43",
        "source_project_id": 1, "target_project_id": 1});
    assert_eq!(listed(ForgeKind::Gitlab, &httpd(), &preparing), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,60}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from))
}

#[test]
fn a_comment_of_a_list_is_the_same_happening_as_its_delivery() {
    let text = "Fine.\n\n/retest";
    let (at, of) = ("2026-01-02T03:04:05Z", json!({"full_name": "containers/httpd"}));
    let comment = json!({"id": 9, "body": text, "user": {"login": "rose", "username": "rose"},
        "created_at": at, "updated_at": at});
    let delivered = json!({"action": "created", "issue": {"number": 7, "pull_request": {}},
        "comment": comment, "repository": of});
    let note = json!({"id": 9, "body": text, "author": {"username": "rose"}, "system": false,
        "created_at": "2026-01-02T03:04:05.678Z", "updated_at": "2026-01-02T03:04:06.012Z"});
    let noted = json!({"object_kind": "note", "user": {"username": "rose"},
        "project": {"path_with_namespace": "containers/httpd"}, "merge_request": {"iid": 7},
        "object_attributes": {"id": 9, "note": text, "action": "create",
            "created_at": "2026-01-02 03:04:05 UTC"}});
    let said = json!({"id": 9, "comment": text, "user": {"name": "rose"}, "notification": false,
        "date_created": "1767323045.677215", "edited_on": null});
    let mut told = pagure_pull();
    told["comments"] = json!([said]);
    let told = json!({"topic": "pull-request.comment.added", "msg_id": "2026-2",
        "msg": {"project_fullname": "containers/httpd", "pullrequest": told}});
    for (kind, name, row, delivery) in [
        (ForgeKind::Github, "issue_comment", &comment, &delivered),
        (ForgeKind::Forgejo, "issue_comment", &comment, &delivered),
        (ForgeKind::Gitlab, "", &note, &noted),
        (ForgeKind::Pagure, "", &said, &told),
    ] {
        let delivered = decode(kind, name, delivery.to_string().as_bytes()).unwrap();
        let found = listed_command(kind, &httpd(), 7, row).unwrap_or_else(|| panic!("{kind:?}"));
        assert_eq!(found.written_at, at.parse().ok(), "{kind:?}");
        assert!(found.is_found);
        let found = PullRequestCommented { is_found: false, ..found };
        assert_eq!(Event::PullRequestCommented(found), delivered, "{kind:?}");
    }
    for (kind, row, field, value) in [
        (ForgeKind::Forgejo, &comment, "updated_at", json!("2026-01-02T03:05:05Z")),
        (ForgeKind::Gitlab, &note, "updated_at", json!("2026-01-02T03:05:05Z")),
        (ForgeKind::Gitlab, &note, "system", json!(true)),
        (ForgeKind::Pagure, &said, "edited_on", json!("1767323050.1")),
        (ForgeKind::Pagure, &said, "notification", json!(true)),
    ] {
        let mut row = row.clone();
        row[field] = value;
        assert_eq!(listed_command(kind, &httpd(), 7, &row), None, "{kind:?} {field}");
    }
}

proptest! {
    #[test]
    fn a_row_with_one_part_of_it_bent_is_survived(
        which in 0..5_usize, part in any::<prop::sample::Index>(), bent in any_json(),
    ) {
        let (kind, _, mut row, _) = openings().remove(which);
        let fields = row.as_object_mut().unwrap();
        let name = part.get(&fields.keys().cloned().collect::<Vec<_>>()).clone();
        fields.insert(name, bent);
        if let Some(found) = listed(kind, &httpd(), &row) {
            prop_assert!(Event::PullRequest(found.pull).identity().is_some());
        }
        let _ = ended(kind, &httpd(), 7, &row);
        if let Some(said) = listed_command(kind, &httpd(), 7, &row) {
            prop_assert!(Event::PullRequestCommented(said).identity().is_some());
        }
    }
}
