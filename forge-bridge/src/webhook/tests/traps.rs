//! Every trap that is known of a forge's deliveries, by name, each on a delivery as the forge sends
//! it: a real one where one was captured or documented, else one of the documented shape.

mod gitlab;
mod pagure;
mod proofs;
mod told_twice;

use serde_json::json;
use workflows::event::{Event, Trust};

use super::*;
use crate::webhook::decode;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const NULL: &str = "0000000000000000000000000000000000000000";

/// What is told of an event: its kind, and of some what they hang on.
fn told(event: &Event) -> String {
    let short = |ref_name: &str| ref_name.replacen("refs/", "", 1);
    let id = |commit: Option<&str>| commit.map_or("-".to_owned(), |id| id[..4].to_owned());
    match event {
        Event::Push(push) => format!(
            "push {} {}..{}{}",
            short(push.ref_name.as_str()),
            id(push.before.as_ref().map(|one| one.as_str())),
            id(Some(push.after.as_str())),
            if push.forced { " forced" } else { "" }
        ),
        Event::BranchCreated(new) | Event::TagCreated(new) => format!(
            "{} {} {}",
            event.kind(),
            short(new.ref_name.as_str()),
            id(new.after.as_ref().map(|one| one.as_str()))
        ),
        Event::BranchDeleted(gone) | Event::TagDeleted(gone) => {
            format!("{} {}", event.kind(), short(gone.ref_name.as_str()))
        }
        Event::PullRequest(pull) => {
            let trust = if pull.trust() == Trust::Trusted { "trusted" } else { "stranger" };
            format!("pull {} {} {trust}", id(Some(pull.head.as_str())), pull.base_ref.short())
        }
        Event::PullRequestClosed(closed) => {
            format!("closed {}", if closed.merged { "merged" } else { "unmerged" })
        }
        Event::PullRequestCommented(said) => format!("said {} by {}", said.line, said.author),
        Event::Ignored(ignored) => format!("ignored: {}", ignored.reason),
        other => other.kind().to_owned(),
    }
}

struct Trap {
    name: &'static str,
    event: &'static str,
    body: Value,
    /// What [`told`] must begin with.
    means: &'static str,
}

fn trap(name: &'static str, event: &'static str, body: Value, means: &'static str) -> Trap {
    Trap { name, event, body, means }
}

fn all_hold(kinds: &[ForgeKind], traps: &[Trap]) {
    for Trap { name, event, body, means } in traps {
        for &kind in kinds {
            let decoded = decode(kind, event, body.to_string().as_bytes()).unwrap();
            let told = told(&decoded);
            assert!(told.starts_with(means), "{kind:?}, {name}: {told}");
        }
    }
}

fn with(mut body: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    body
}

fn push(before: &str, after: &str) -> Value {
    json!({
        "ref": "refs/heads/f43", "before": before, "after": after, "created": false,
        "deleted": false, "forced": false, "head_commit": null, "commits": [],
        "repository": {"id": 1, "full_name": "containers/httpd", "private": true},
        "pusher": {"name": "mina", "login": "mina"}, "sender": {"login": "mina"},
    })
}

fn pull(action: &str) -> Value {
    json!({
        "action": action, "number": 7, "repository": {"full_name": "containers/httpd"},
        "pull_request": {
            "user": {"login": "guest"}, "merge_commit_sha": "3333333333333333333333333333333333333333",
            "head": {"ref": "fix", "sha": TWO, "repo": {"full_name": "containers/httpd"}},
            "base": {"ref": "f43", "sha": ONE, "repo": {"full_name": "containers/httpd"}},
        },
        "sender": {"login": "guest"},
    })
}

fn comment() -> Value {
    json!({
        "action": "created", "repository": {"full_name": "containers/httpd"},
        "issue": {"number": 7, "pull_request": {"url": "x"}},
        "comment": {"id": 3, "body": "/retest", "user": {"login": "mina", "type": "User"}},
    })
}

fn change(ref_name: &str, kind: &str) -> Value {
    json!({"ref": ref_name, "ref_type": kind, "repository": {"full_name": "containers/httpd"}})
}

#[test]
fn traps_of_github() {
    let long = "0".repeat(64);
    all_hold(
        &[ForgeKind::Github],
        &[
            trap(
                "a new branch may have no commits",
                "push",
                push(NULL, TWO),
                "push heads/f43 -..2222",
            ),
            trap(
                "flags contradict the ids",
                "push",
                with(push(ONE, TWO), &[("/deleted", true.into()), ("/created", true.into())]),
                "push heads/f43 1111..2222",
            ),
            trap(
                "a deleted branch has no head_commit",
                "push",
                push(ONE, NULL),
                "branch_deleted heads/f43",
            ),
            trap(
                "zeros of a SHA-256 repository",
                "push",
                push(&long, &"a".repeat(64)),
                "push heads/f43 -..aaaa",
            ),
            trap(
                "a forced push",
                "push",
                with(push(ONE, TWO), &[("/forced", true.into())]),
                "push heads/f43 1111..2222 forced",
            ),
            trap(
                "an annotated tag's after is its own id",
                "push",
                with(push(NULL, TWO), &[("/ref", "refs/tags/v1".into())]),
                "tag_created tags/v1 2222",
            ),
            trap(
                "create has a short ref and no commit",
                "create",
                change("f43", "branch"),
                "branch_created heads/f43 -",
            ),
            trap(
                "a branch that is called like a ref",
                "create",
                change("refs/heads/x", "branch"),
                "branch_created heads/refs/heads/x",
            ),
            trap(
                "a created repository has no ref",
                "create",
                with(change("", "repository"), &[("/ref", Value::Null)]),
                "ignored: ref_type",
            ),
            trap("a ping of an organisation has no repository", "ping", json!({"zen": ""}), "ping"),
            trap(
                "the fork was deleted",
                "pull_request",
                with(pull("opened"), &[("/pull_request/head/repo", Value::Null)]),
                "pull 2222 f43 stranger",
            ),
            trap(
                "merge_commit_sha is stale: the head counts",
                "pull_request",
                pull("synchronize"),
                "pull 2222 f43 trusted",
            ),
            trap("Forgejo's word is not GitHub's", "pull_request", pull("synchronized"), "ignored"),
            trap("labels are no commit", "pull_request", pull("labeled"), "pull_request_activity"),
            trap(
                "another title is no commit",
                "pull_request",
                with(pull("edited"), &[("/changes", json!({"title": {"from": "x"}}))]),
                "pull_request_activity",
            ),
            trap(
                "another base is another change",
                "pull_request",
                with(pull("edited"), &[("/changes", json!({"base": {"ref": {"from": "f42"}}}))]),
                "pull 2222 f43 trusted",
            ),
            trap(
                "closed and merged",
                "pull_request",
                with(pull("closed"), &[("/pull_request/merged", true.into())]),
                "closed merged",
            ),
            trap(
                "a comment on an issue",
                "issue_comment",
                with(comment(), &[("/issue/pull_request", Value::Null)]),
                "ignored: a comment on an issue",
            ),
            trap(
                "an edited comment asks for nothing",
                "issue_comment",
                with(comment(), &[("/action", "edited".into())]),
                "ignored: comment action",
            ),
            trap(
                "an empty comment is null",
                "issue_comment",
                with(comment(), &[("/comment/body", Value::Null)]),
                "ignored: a comment without",
            ),
            trap("our own statuses come back", "status", push(ONE, TWO), "ignored: event `status`"),
            trap("our own check runs come back", "check_run", push(ONE, TWO), "ignored"),
            trap("a renamed repository", "repository", push(ONE, TWO), "ignored"),
        ],
    );
}

#[test]
fn traps_of_forgejo_and_gitea() {
    let agit = json!({"ref": "refs/pull/7/head", "sha": TWO,
        "repo": {"full_name": "containers/httpd"}});
    all_hold(
        &[ForgeKind::Forgejo, ForgeKind::Gitea],
        &[
            trap("the test delivery is a push of nothing", "push", push(ONE, ONE), "ping"),
            trap(
                "a new branch comes as create and as push",
                "create",
                with(change("f43", "branch"), &[("/sha", TWO.into())]),
                "branch_created heads/f43 2222",
            ),
            trap(
                "…and the push has zeros before",
                "push",
                push(NULL, TWO),
                "push heads/f43 -..2222",
            ),
            trap(
                "full refs in create, by the webhook's type",
                "create",
                with(change("refs/heads/f43", "branch"), &[("/sha", TWO.into())]),
                "branch_created heads/f43 2222",
            ),
            trap(
                "a deleted branch comes as delete alone",
                "delete",
                change("f43", "branch"),
                "branch_deleted heads/f43",
            ),
            trap(
                "a deleted tag comes as push too",
                "push",
                with(push(ONE, NULL), &[("/ref", "refs/tags/v1".into())]),
                "tag_deleted tags/v1",
            ),
            trap(
                "the flag of a forced push is nobody's word",
                "push",
                with(push(ONE, TWO), &[("/forced", true.into())]),
                "push heads/f43 1111..2222",
            ),
            trap(
                "commits may be null",
                "push",
                with(push(ONE, TWO), &[("/commits", Value::Null)]),
                "push heads/f43",
            ),
            trap(
                "synchronized, not synchronize",
                "pull_request",
                pull("synchronized"),
                "pull 2222",
            ),
            trap("GitHub's word is not Forgejo's", "pull_request", pull("synchronize"), "ignored"),
            trap(
                "an AGit pull request names the target as its source",
                "pull_request",
                with(pull("opened"), &[("/pull_request/head", agit)]),
                "pull 2222 f43 stranger",
            ),
            trap(
                "the base branch is gone",
                "pull_request",
                with(pull("opened"), &[("/pull_request/base/sha", "".into())]),
                "pull 2222 f43",
            ),
            trap(
                "labels come as label_updated",
                "pull_request",
                pull("label_updated"),
                "pull_request_activity",
            ),
            trap(
                "reviews are events of their own",
                "pull_request_approved",
                pull("reviewed"),
                "ignored",
            ),
            trap(
                "a comment does not tell a bot",
                "issue_comment",
                with(comment(), &[("/comment/user", json!({"login": "bot"}))]),
                "said /retest by bot",
            ),
        ],
    );
}

#[test]
fn traps_of_plain_git() {
    let update = |ref_name: &str, before: &str, after: &str| json!({"repository": "containers/httpd", "ref": ref_name, "before": before, "after": after});
    all_hold(
        &[ForgeKind::Git],
        &[
            trap(
                "a new branch",
                "push",
                update("refs/heads/f43", NULL, TWO),
                "push heads/f43 -..2222",
            ),
            trap(
                "a deleted branch",
                "push",
                update("refs/heads/f43", ONE, NULL),
                "branch_deleted heads/f43",
            ),
            trap(
                "our own notes come back",
                "push",
                update("refs/notes/strata", ONE, TWO),
                "ignored",
            ),
            trap("a push of nothing", "push", update("refs/heads/f43", ONE, ONE), "ignored"),
            trap(
                "the trial of a configuration",
                "ping",
                json!({"repository": "containers/httpd"}),
                "ping",
            ),
        ],
    );
}
