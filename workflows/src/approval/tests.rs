use super::*;
use crate::event::PullRequestAction;
use crate::names::{CommitId, RefName, RepositoryName};

fn pull(source: Option<&str>, author: Option<&str>) -> PullRequest {
    PullRequest {
        repository: RepositoryName::parse("containers/httpd").unwrap(),
        number: 1,
        action: PullRequestAction::Opened,
        head: CommitId::parse(&"a".repeat(40)).unwrap(),
        head_branch: "fix".to_owned(),
        head_repository: source.map(|name| RepositoryName::parse(name).unwrap()),
        head_ref: None,
        base_ref: RefName::branch("f43").unwrap(),
        base: None,
        author: author.map(ToOwned::to_owned),
    }
}

#[test]
fn who_could_push_the_same_code_anyway_does_not_wait() {
    let asked = || Wait::UnlessWriter("rose".to_owned());
    for (source, author, expected) in [
        (Some("containers/httpd"), Some("rose"), Wait::No),
        (Some("rose/httpd"), Some("rose"), asked()),
        (Some("forks/rose/containers/httpd"), Some("rose"), asked()),
        // Its owner may push to it after the writer has opened the pull request.
        (Some("mallory/httpd"), Some("rose"), Wait::Yes),
        (Some("forks/mallory/rose/httpd"), Some("rose"), Wait::Yes),
        (Some("rose/httpd"), None, Wait::Yes),
        (Some("rose"), Some("rose"), Wait::Yes),
        (None, Some("rose"), Wait::Yes),
    ] {
        let wait = wait(PullRequestPolicy::default(), &pull(source, author));
        assert_eq!(wait, expected, "{source:?} by {author:?}");
    }
}

#[test]
fn a_release_may_ask_for_more_or_for_less() {
    let fork = pull(Some("rose/httpd"), Some("rose"));
    let inside = pull(Some("containers/httpd"), Some("rose"));
    assert_eq!(wait(PullRequestPolicy::ApproveForks, &fork), Wait::Yes);
    assert_eq!(wait(PullRequestPolicy::Open, &fork), Wait::No);
    for policy in [PullRequestPolicy::ApproveForks, PullRequestPolicy::ApproveUnknown] {
        assert_eq!(wait(policy, &inside), Wait::No, "{policy:?}");
    }
}

#[test]
fn only_the_right_to_write_counts() {
    let rights = [Permission::None, Permission::Read, Permission::Write, Permission::Admin];
    assert_eq!(rights.map(is_writer), [false, false, true, true]);
}

#[test]
fn policies_are_named_as_documented() {
    for (word, policy) in [
        ("approve-unknown", PullRequestPolicy::ApproveUnknown),
        ("approve-forks", PullRequestPolicy::ApproveForks),
        ("open", PullRequestPolicy::Open),
    ] {
        let read: PullRequestPolicy = serde_json::from_value(word.into()).unwrap();
        assert_eq!(read, policy);
    }
}
