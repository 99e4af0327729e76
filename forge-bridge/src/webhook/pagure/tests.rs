use std::collections::{BTreeMap, HashSet};

use chrono::Utc;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::config::ForgeKind;
use crate::webhook::decode::tests::shared;
use crate::webhook::{heading, signature};

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const NEW: &str = "^0000000000000000000000000000000000000000";

fn decoded(topic: &str, msg: Value) -> Event {
    let mut msg = msg;
    msg["project_fullname"] = "containers/httpd".into();
    let body = json!({"i": 1, "msg_id": "2026-1", "timestamp": 1, "topic": topic, "msg": msg});
    // The name in a header is a stranger's word.
    crate::webhook::decode(ForgeKind::Pagure, "git.receive", body.to_string().as_bytes()).unwrap()
}

fn received(branch: &str, before: &str, forced: bool) -> Event {
    let msg = json!({"branch": branch, "old_commit": before, "end_commit": TWO, "start_commit": ONE,
        "forced": forced, "agent": "mina", "total_commits": 1, "changed_files": {}});
    decoded("git.receive", msg)
}

fn pull(topic: &str, changes: Value) -> Event {
    let mut pull = json!({"id": 7, "status": "Open", "branch": "f43", "branch_from": "fix",
        "commit_stop": TWO, "user": {"name": "mina"}, "comments": [],
        "project": {"fullname": "containers/other"},
        "repo_from": {"fullname": "forks/mina/containers/httpd"}});
    for (name, value) in changes.as_object().unwrap() {
        pull[name] = value.clone();
    }
    decoded(topic, json!({"pullrequest": pull, "agent": "pagure"}))
}

/// What each captured delivery means, by its number: the 35 of a day with a real Pagure.
fn captured(number: usize) -> &'static str {
    match number {
        3 | 5 | 6 | 29 | 34 => "branch_created",
        7 | 8 | 22 | 27 | 30..=33 => "push",
        // 19 and 21 are the comments that the server writes about 18 and 20.
        14 | 18..=21 => "pull_request",
        24 => "pull_request_closed",
        25 => "tag_created",
        28 => "branch_deleted",
        // Among them 4, 26 and 35: pushes of new refs, told by their creation.
        _ => "ignored",
    }
}

#[test]
fn every_captured_delivery_verifies_and_means_what_happened() {
    let Some(directory) = shared("payloads/pagure") else {
        eprintln!("skipped: set STRATA_SHARED to test deliveries captured from a Pagure");
        return;
    };
    let key = std::fs::read_to_string(directory.join("HOOK_TOKEN.txt")).unwrap();
    let (mut counts, mut identities) = (BTreeMap::new(), HashSet::new());
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some((number, topic)) = stem.split_once('-') else { continue };
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let capture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let pair = |pair: &Value| {
            let text = |n: usize| pair[n].as_str().unwrap().to_ascii_lowercase();
            let value = HeaderValue::from_str(pair[1].as_str().unwrap()).unwrap();
            (HeaderName::from_bytes(text(0).as_bytes()).unwrap(), value)
        };
        let headers: HeaderMap = capture["headers"].as_array().unwrap().iter().map(pair).collect();
        let body = capture["body_raw"].as_str().unwrap().as_bytes().to_vec();
        let keys = [key.trim().into()];
        let verified =
            signature::verify(ForgeKind::Pagure, &headers, body, &keys, Utc::now()).unwrap();
        let heading = heading::read(ForgeKind::Pagure, &headers, verified.body()).unwrap();
        assert_eq!(heading.event_name, topic, "{stem}");
        let event = decode(verified.body()).unwrap();
        assert_eq!(event.kind(), captured(number.parse().unwrap()), "{stem}: {event:?}");
        assert_eq!(event.repository().unwrap().as_str(), "containers/toolbox", "{stem}");
        *counts.entry(event.kind()).or_insert(0) += 1;
        identities.extend(event.identity());
    }
    eprintln!("captured deliveries of Pagure: {counts:?}");
    assert_eq!(counts.values().sum::<i32>(), 35);
    // Two pushes to the pull request are told twice each.
    assert_eq!(identities.len(), 5 + 8 + 3 + 1 + 1);
}

#[test]
fn a_push_of_a_new_ref_is_left_to_the_delivery_that_says_what_the_ref_is() {
    // `v1` is an annotated tag here, and nothing in this delivery shows it.
    let Event::Ignored(ignored) = received("v1", NEW, false) else { panic!("not ignored") };
    assert!(ignored.reason.contains("creation"), "{}", ignored.reason);
    let tag = decoded("git.tag.creation", json!({"tag": "v1", "rev": ONE, "agent": "mina"}));
    let Event::TagCreated(tag) = tag else { panic!("no tag") };
    assert_eq!((tag.ref_name.as_str(), tag.after.unwrap().as_str()), ("refs/tags/v1", ONE));
}

#[test]
fn a_branch_created_at_a_known_commit_is_built_though_no_push_follows() {
    let event = decoded("git.branch.creation", json!({"branch": "f44", "rev": ONE, "agent": "a"}));
    let Event::BranchCreated(created) = event else { panic!("no branch") };
    assert_eq!(created.ref_name.as_str(), "refs/heads/f44");
    assert_eq!(created.after.unwrap().as_str(), ONE);
}

#[test]
fn a_forced_push_says_so_and_counts_from_the_merge_base() {
    let Event::Push(push) = received("f43", ONE, true) else { panic!("no push") };
    assert_eq!((push.forced, push.before.unwrap().as_str()), (true, ONE));
    assert_eq!((push.after.as_str(), push.actor.as_deref()), (TWO, Some("mina")));
    assert_eq!(push.ref_name.as_str(), "refs/heads/f43");
}

#[test]
fn a_tag_that_moved_has_its_full_name_and_a_branch_its_slashes() {
    assert_eq!(received("refs/tags/v1", ONE, true).kind(), "tag_created");
    let Event::Push(push) = received("private-x/y", ONE, false) else { panic!("no push") };
    assert_eq!(push.ref_name.as_str(), "refs/heads/private-x/y");
}

#[test]
fn deletions_name_what_was_there() {
    let branch = decoded("git.branch.deletion", json!({"branch": "f41", "rev": ONE, "agent": "a"}));
    let Event::BranchDeleted(gone) = branch else { panic!("no branch") };
    assert_eq!(gone.before.unwrap().as_str(), ONE);
    assert_eq!(decoded("git.tag.deletion", json!({"tag": "v1", "rev": ONE})).kind(), "tag_deleted");
}

#[test]
fn flags_and_what_changes_no_commit_are_ignored() {
    for topic in [
        "commit.flag.added",
        "commit.flag.updated",
        "pull-request.flag.added",
        "pull-request.tag.added",
        "project.edit",
        "issue.new",
    ] {
        assert_eq!(decoded(topic, json!({"agent": "strata"})).kind(), "ignored", "{topic}");
    }
}

#[test]
fn a_pull_request_from_a_fork_is_untrusted_and_belongs_to_the_signed_project() {
    use workflows::event::Trust;
    let Event::PullRequest(new) = pull("pull-request.new", json!({})) else { panic!("none") };
    assert_eq!(new.repository.as_str(), "containers/httpd");
    assert_eq!((new.number, new.head.as_str(), new.base_ref.short()), (7, TWO, "f43"));
    assert_eq!((new.trust(), new.author.as_deref()), (Trust::Untrusted, Some("mina")));
    assert_eq!(new.fetch_ref(), "refs/pull/7/head");
    let same = json!({"repo_from": {"fullname": "containers/httpd"}});
    let Event::PullRequest(same) = pull("pull-request.new", same) else { panic!("none") };
    assert_eq!(same.trust(), Trust::Trusted);
    // A deleted fork, or a change from another server.
    let gone = json!({"repo_from": null, "branch_from": null});
    let Event::PullRequest(gone) = pull("pull-request.new", gone) else { panic!("none") };
    assert_eq!((gone.trust(), gone.head_branch.as_str()), (Trust::Untrusted, ""));
}

#[test]
fn a_push_to_a_pull_request_is_one_happening_however_often_it_is_told() {
    let told = json!({"comments": [{"notification": false}, {"notification": true}]});
    let said = json!({"comments": [{"notification": true}, {"notification": false}]});
    let updated = pull("pull-request.updated", json!({}));
    assert_eq!(pull("pull-request.comment.added", told).identity(), updated.identity());
    assert_eq!(pull("pull-request.rebased", json!({})).identity(), updated.identity());
    assert_eq!(pull("pull-request.comment.added", said).kind(), "ignored");
    assert_eq!(pull("pull-request.reopened", json!({})).kind(), "pull_request");
    for closed in ["Merged", "Closed"] {
        let event = pull("pull-request.updated", json!({"status": closed}));
        assert_eq!(event.kind(), "ignored", "{closed}");
    }
    assert_eq!(pull("pull-request.new", json!({"commit_stop": null})).kind(), "ignored");
}
