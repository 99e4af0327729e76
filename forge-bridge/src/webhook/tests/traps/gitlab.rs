//! GitLab's traps.

use super::*;

#[test]
fn traps_of_gitlab() {
    let project = json!({"id": 1, "path_with_namespace": "group/sub/httpd"});
    let push = |kind: &str, ref_name: &str, before: &str, after: &str| {
        json!({"object_kind": kind, "ref": ref_name, "before": before, "after": after,
            "checkout_sha": null, "project": project, "user_username": "mina", "commits": []})
    };
    let merge = |attributes: Value| {
        let mut body = json!({"object_kind": "merge_request", "project": project,
            "user": {"id": 5, "username": "mina"}, "object_attributes": {"iid": 7,
            "action": "open", "target_branch": "f43", "source_branch": "fix", "author_id": 5,
            "source": {"path_with_namespace": "mina/httpd"}, "last_commit": {"id": TWO}}});
        for (name, value) in attributes.as_object().unwrap() {
            body["object_attributes"][name] = value.clone();
        }
        body
    };
    let note = |attributes: Value| {
        json!({"object_kind": "note", "project": project, "user": {"username": "mina"},
            "object_attributes": attributes, "merge_request": {"iid": 7}})
    };
    let long = "0".repeat(64);
    all_hold(
        &[ForgeKind::Gitlab],
        &[
            trap(
                "the header's event is not signed: the body decides",
                "Tag Push Hook",
                push("push", "refs/heads/f43", ONE, TWO),
                "push heads/f43 1111..2222",
            ),
            trap(
                "a new branch without commits of its own",
                "",
                push("push", "refs/heads/f43", NULL, TWO),
                "push heads/f43 -..2222",
            ),
            trap(
                "a deleted branch has checkout_sha null",
                "",
                push("push", "refs/heads/f43", ONE, NULL),
                "branch_deleted heads/f43",
            ),
            trap(
                "an annotated tag",
                "",
                push("tag_push", "refs/tags/v1", NULL, TWO),
                "tag_created tags/v1 2222",
            ),
            trap(
                "refs that are neither",
                "",
                push("push", "refs/keep-around/1", ONE, TWO),
                "ignored",
            ),
            trap(
                "an update without oldrev is metadata",
                "",
                merge(json!({"action": "update"})),
                "ignored",
            ),
            trap(
                "an update with oldrev is a new head",
                "",
                merge(json!({"action": "update", "oldrev": ONE})),
                "pull 2222 f43 stranger",
            ),
            trap(
                "another target is another change",
                "",
                with(
                    merge(json!({"action": "update"})),
                    &[("/changes", json!({"target_branch": {"previous": "f42"}}))],
                ),
                "pull 2222 f43 stranger",
            ),
            trap("approvals are no commit", "", merge(json!({"action": "approved"})), "ignored"),
            trap(
                "the sample of `Test` has no action",
                "",
                merge(json!({"action": null})),
                "ignored",
            ),
            trap("the fork is gone", "", merge(json!({"source": null})), "pull 2222 f43 stranger"),
            trap(
                "from within",
                "",
                merge(json!({"source": {"path_with_namespace": "group/sub/httpd"}})),
                "pull 2222 f43 trusted",
            ),
            trap("merge is a close", "", merge(json!({"action": "merge"})), "closed merged"),
            trap(
                "GitLab's own notes",
                "",
                note(json!({"id": 1, "note": "/retest", "system": true})),
                "ignored",
            ),
            trap(
                "an edited note",
                "",
                note(json!({"id": 1, "note": "/retest", "action": "update"})),
                "ignored",
            ),
            trap(
                "a note of old versions has no action",
                "",
                note(json!({"id": 1, "note": "/retest"})),
                "said /retest by mina",
            ),
            trap(
                "our own statuses come back as pipelines",
                "",
                json!({"object_kind": "pipeline", "project": project}),
                "ignored: object_kind `pipeline`",
            ),
            trap(
                "…and as builds",
                "",
                json!({"object_kind": "build", "project": project}),
                "ignored",
            ),
            trap(
                "a custom template says it in its own words",
                "Push Hook",
                json!({"text": "mina pushed to f43", "project": project}),
                "ignored: missing field `object_kind`",
            ),
            trap(
                "…or leaves out what was pushed",
                "Push Hook",
                json!({"object_kind": "push", "project": project}),
                "ignored: ",
            ),
            trap(
                "a system hook tells of a push as a project does",
                "System Hook",
                push("push", "refs/heads/f43", ONE, TWO),
                "push heads/f43 1111..2222",
            ),
            trap(
                "zeros of a SHA-256 repository",
                "",
                push("push", "refs/heads/f43", &long, &"a".repeat(64)),
                "push heads/f43 -..aaaa",
            ),
            trap(
                "a deleted tag",
                "",
                push("tag_push", "refs/tags/v1", ONE, NULL),
                "tag_deleted tags/v1",
            ),
            trap("closed and not merged", "", merge(json!({"action": "close"})), "closed unmerged"),
            trap(
                "a merge request that has no commit",
                "",
                merge(json!({"last_commit": null})),
                "ignored: the merge request has no commit",
            ),
            trap(
                "a release is made of a tag that was told",
                "Release Hook",
                json!({"object_kind": "release", "project": project}),
                "ignored: object_kind `release`",
            ),
            trap(
                "a system hook without object_kind",
                "",
                json!({"event_name": "project_create", "project": null}),
                "ignored: missing field",
            ),
        ],
    );
}
