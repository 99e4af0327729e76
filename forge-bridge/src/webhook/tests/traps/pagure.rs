//! Pagure's traps, in what a real one sent.

use super::*;

/// By the number of the capture; each is what a real Pagure sent.
#[test]
fn traps_of_pagure_in_what_a_real_one_sent() {
    let Some(real) = real_or_skip() else { return };
    let captured = |number: &str| {
        let found = real.iter().find(|one| one.name.starts_with(number));
        &found.unwrap_or_else(|| panic!("no capture {number}")).body
    };
    for (trap, number, means) in [
        (
            "the creation of the default branch is its first push",
            "03-",
            "branch_created heads/rawhide",
        ),
        ("…whose git.receive has a caret before its zeros", "04-", "ignored"),
        ("a branch at a known commit has no git.receive", "05-", "branch_created heads/"),
        ("…and the next one of the same push neither", "06-", "branch_created heads/f41"),
        ("a push is one delivery, whatever its commits", "07-", "push heads/f42"),
        ("…and another for each branch of it", "08-", "push heads/rawhide"),
        ("our own flag comes back", "09-", "ignored: a flag"),
        ("…and again when it is updated", "10-", "ignored: a flag"),
        ("a flag on a pull request is told of its commit", "16-", "ignored: a flag"),
        ("…and of the pull request", "17-", "ignored: a flag"),
        ("a fork's pull request", "14-", "pull "),
        ("a comment", "15-", "ignored: a comment without a command"),
        ("a push to a pull request comes as updated", "18-", "pull "),
        ("…and as a comment of the server", "19-", "pull "),
        ("a merge is a push first", "22-", "push heads/rawhide"),
        ("…then a comment", "23-", "ignored"),
        ("…then closed", "24-", "closed merged"),
        ("a tag", "25-", "tag_created tags/v1"),
        ("…that also poses as a branch", "26-", "ignored"),
        ("a forced push", "27-", "push heads/f42 2bb3..42ce forced"),
        ("a deleted branch has no git.receive", "28-", "branch_deleted heads/"),
        ("a branch that was merged into is pushed", "30-", "push heads/f42"),
        ("a fast forward is a push of that branch", "32-", "push heads/f43"),
        ("a hundred commits are told by their first and last", "33-", "push heads/rawhide"),
        ("a branch's name may have slashes", "34-", "branch_created heads/private-x/y"),
        ("…and files with spaces and letters beyond ASCII", "35-", "ignored"),
        ("project.edit", "01-", "ignored: topic `project.edit`"),
        ("project.user.added", "02-", "ignored: topic `project.user.added`"),
    ] {
        let event = decode(ForgeKind::Pagure, "", captured(number)).unwrap();
        let told = told(&event);
        assert!(told.starts_with(means), "{trap} ({number}): {told}");
    }
    let forced = real.iter().filter(|one| one.kind == ForgeKind::Pagure).filter_map(|one| {
        match decode(ForgeKind::Pagure, "", &one.body).unwrap() {
            Event::Push(push) if push.forced => Some(push),
            _ => None,
        }
    });
    for push in forced {
        assert!(push.before.is_some(), "a forced push counts from the merge base");
    }
    let event = |number| decode(ForgeKind::Pagure, "", captured(number)).unwrap();
    assert_eq!(event("18-").identity(), event("19-").identity(), "one push, told twice");
}

/// What none of the captures has.
#[test]
fn traps_of_pagure_as_its_messages_are_documented() {
    let told_of = |topic: &str, key: &str| {
        let pull = json!({"id": 7, "status": "Open", "branch": "f43", "branch_from": "fix",
            "commit_stop": TWO, "repo_from": null, "user": {"name": "guest"}, "comments": []});
        let mut msg = json!({"project_fullname": "containers/httpd", "agent": "mina"});
        msg[key] = pull;
        json!({"i": 1, "msg_id": "2026-1", "timestamp": 1, "topic": topic, "msg": msg})
    };
    all_hold(
        &[ForgeKind::Pagure],
        &[
            trap(
                "a tag of a pull request has another key for it",
                "",
                told_of("pull-request.tag.added", "pull_request"),
                "ignored: topic `pull-request.tag.added`",
            ),
            trap(
                "an edited description is no commit",
                "",
                told_of("pull-request.initial_comment.edited", "pullrequest"),
                "ignored: topic `pull-request.initial_comment.edited`",
            ),
            trap(
                "flags of pull requests come back, too",
                "",
                told_of("pull-request.flag.updated", "pull_request"),
                "ignored: a flag",
            ),
            trap(
                "a fork on another server has no name",
                "",
                told_of("pull-request.new", "pullrequest"),
                "pull 2222 f43 stranger",
            ),
            trap(
                "a rebase by the server is a new head",
                "",
                told_of("pull-request.rebased", "pullrequest"),
                "pull 2222 f43 stranger",
            ),
        ],
    );
}

#[test]
fn the_counter_of_a_process_names_no_delivery() {
    let read = |id: &str| {
        let body = json!({"i": 1, "msg_id": id, "topic": "git.receive",
            "msg": {"project_fullname": "containers/httpd"}});
        let body = body.to_string();
        crate::webhook::heading::read(ForgeKind::Pagure, &http::HeaderMap::new(), body.as_bytes())
    };
    let (one, other) = (read("2026-1").unwrap(), read("2026-2").unwrap());
    assert_ne!(one.delivery, other.delivery, "both are the first of their process");
    assert_eq!(one, read("2026-1").unwrap(), "sent to two addresses, it is one");
}
