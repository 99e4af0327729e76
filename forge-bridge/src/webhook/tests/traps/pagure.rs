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
        ("our own flag comes back", "09-", "ignored: a flag"),
        ("…and again when it is updated", "10-", "ignored: a flag"),
        ("a flag on a pull request is told twice", "17-", "ignored: a flag"),
        ("a fork's pull request", "14-", "pull "),
        ("a push to a pull request comes as updated", "18-", "pull "),
        ("…and as a comment of the server", "19-", "pull "),
        ("a merge is a push first", "22-", "push heads/"),
        ("…then closed", "24-", "closed merged"),
        ("a tag", "25-", "tag_created tags/v1"),
        ("…that also poses as a branch", "26-", "ignored"),
        ("a deleted branch has no git.receive", "28-", "branch_deleted heads/"),
        ("project.edit", "01-", "ignored: topic `project.edit`"),
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
