//! What a forge tells in two deliveries, and what is told and is nothing to build.

use super::*;

fn identity(kind: ForgeKind, event: &str, body: &Value) -> Option<String> {
    decode(kind, event, body.to_string().as_bytes()).unwrap().identity()
}

#[test]
fn a_new_ref_comes_as_create_and_as_push_and_is_one_happening() {
    for kind in [ForgeKind::Forgejo, ForgeKind::Gitea] {
        for (ref_type, short, full) in
            [("branch", "f43", "refs/heads/f43"), ("tag", "v1", "refs/tags/v1")]
        {
            let pushed = with(push(NULL, TWO), &[("/ref", full.into())]);
            let pushed = identity(kind, "push", &pushed);
            assert!(pushed.is_some());
            // The webhook's type decides how long the name is.
            for name in [short, full] {
                let made = with(change(name, ref_type), &[("/sha", TWO.into())]);
                assert_eq!(identity(kind, "create", &made), pushed, "{kind:?} {name}");
            }
        }
    }
}

#[test]
fn what_github_tells_once_more() {
    let of_app = with(push(ONE, TWO), &[("/installation", json!({"id": 5}))]);
    let told = identity(ForgeKind::Github, "push", &of_app);
    assert_eq!(told, identity(ForgeKind::Github, "push", &push(ONE, TWO)), "by the App, too");
    // Newest first or last, and never more than a bound.
    let cut = with(of_app, &[("/commits", json!([{"id": NULL, "modified": ["x"]}]))]);
    assert_eq!(identity(ForgeKind::Github, "push", &cut), told);
    all_hold(
        &[ForgeKind::Github],
        &[
            trap(
                "a deleted branch comes as delete, too",
                "delete",
                change("f43", "branch"),
                "branch_deleted heads/f43",
            ),
            trap(
                "a deleted tag comes as a push",
                "push",
                with(push(ONE, NULL), &[("/ref", "refs/tags/v1".into())]),
                "tag_deleted tags/v1",
            ),
            trap("…and as delete", "delete", change("v1", "tag"), "tag_deleted tags/v1"),
            trap(
                "an App hears of its installation, which names no repository",
                "installation",
                json!({"action": "created", "installation": {"id": 5}, "repositories": []}),
                "ignored: event `installation`",
            ),
            trap(
                "…and which repositories it may see",
                "installation_repositories",
                json!({"action": "added", "installation": {"id": 5}}),
                "ignored: event `installation_repositories`",
            ),
        ],
    );
}

#[test]
fn words_about_a_pull_request_that_bring_no_commit() {
    for kind in [ForgeKind::Forgejo, ForgeKind::Gitea] {
        for action in [
            "edited",
            "label_updated",
            "label_cleared",
            "assigned",
            "unassigned",
            "milestoned",
            "demilestoned",
            "review_requested",
            "review_request_removed",
        ] {
            let means = "pull_request_activity";
            all_hold(&[kind], &[trap(action, "pull_request", pull(action), means)]);
        }
        all_hold(&[kind], &[trap("a review", "pull_request", pull("reviewed"), "ignored")]);
        for event in ["pull_request_approved", "pull_request_rejected", "pull_request_comment"] {
            all_hold(&[kind], &[trap(event, event, pull("reviewed"), "ignored: event")]);
        }
    }
    for (action, means) in [
        ("ready_for_review", "pull_request_activity"),
        ("converted_to_draft", "pull_request_activity"),
        ("review_requested", "pull_request_activity"),
        ("auto_merge_enabled", "ignored"),
    ] {
        let body = pull(action);
        all_hold(&[ForgeKind::Github], &[trap(action, "pull_request", body, means)]);
    }
}

#[test]
fn zeros_are_no_commit_whatever_their_length() {
    let long = "0".repeat(64);
    let id = "a".repeat(64);
    for kind in [ForgeKind::Github, ForgeKind::Forgejo, ForgeKind::Gitea] {
        for zeros in [NULL, long.as_str(), "0", "0000000"] {
            let of = |before: &str, after: &str| push(before, after);
            all_hold(
                &[kind],
                &[
                    trap("a new branch", "push", of(zeros, &id), "push heads/f43 -..aaaa"),
                    trap("a deleted one", "push", of(&id, zeros), "branch_deleted heads/f43"),
                    trap(
                        "a new one by create",
                        "create",
                        with(change("f43", "branch"), &[("/sha", id.clone().into())]),
                        "branch_created heads/f43 aaaa",
                    ),
                ],
            );
        }
    }
}
