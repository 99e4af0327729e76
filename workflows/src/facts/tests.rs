//! What expressions can name of each event.

use super::*;
use crate::event::{PullRequestAction, PullRequestActivity, PullRequestClosed, Push};
use crate::expression::{Functions, interpolate};

fn release() -> ReleasePolicy {
    let text = r#"{"name": "f43", "branches": ["f43"], "registry": "r", "namespace": "n"}"#;
    serde_json::from_str(text).unwrap()
}

fn told(event: &Event, text: &str) -> String {
    let commit = CommitId::parse(&"b".repeat(40)).unwrap();
    let facts = Facts::new(event, &commit, Some("https://forge.example"), &release());
    let context = facts.contexts("ci", Some("build"), None, &json!({}));
    interpolate(text, &context, &Functions::default()).unwrap()
}

#[test]
fn a_push_fills_what_people_use() {
    let push = Event::Push(Push {
        repository: RepositoryName::parse("containers/web").unwrap(),
        ref_name: RefName::branch("f43").unwrap(),
        before: None,
        after: CommitId::parse(&"b".repeat(40)).unwrap(),
        forced: false,
        actor: Some("rose".to_owned()),
    });
    for (text, expected) in [
        (
            "${{ github.ref }} ${{ forge.ref_name }} ${{ github.ref_type }}",
            "refs/heads/f43 f43 branch",
        ),
        ("${{ github.event_name }} ${{ github.event.created }}", "push true"),
        ("${{ github.repository }} ${{ github.repository_owner }}", "containers/web containers"),
        ("${{ github.actor }} ${{ github.event.repository.name }}", "rose web"),
        (
            "${{ github.workflow }}/${{ github.job }} ${{ github.server_url }}",
            "ci/build https://forge.example",
        ),
        ("${{ release.name }} [${{ github.head_ref }}]", "f43 []"),
    ] {
        assert_eq!(told(&push, text), expected, "{text}");
    }
    assert_eq!(told(&push, "${{ github.sha }}"), "b".repeat(40));
}

#[test]
fn a_pull_request_names_both_sides() {
    let pull = Event::PullRequest(PullRequest {
        repository: RepositoryName::parse("containers/web").unwrap(),
        number: 7,
        action: PullRequestAction::Synchronized,
        head: CommitId::parse(&"c".repeat(40)).unwrap(),
        head_branch: "fix".to_owned(),
        head_repository: None,
        head_ref: None,
        base_ref: RefName::branch("f43").unwrap(),
        base: None,
        author: None,
    });
    for (text, expected) in [
        ("${{ github.base_ref }} ${{ github.head_ref }}", "f43 fix"),
        ("${{ github.event.action }} ${{ github.event.pull_request.number }}", "synchronize 7"),
        ("${{ github.ref }} ${{ github.ref_name }}", "refs/pull/7/head 7/head"),
        ("${{ github.event.pull_request.head.ref }}", "fix"),
    ] {
        assert_eq!(told(&pull, text), expected, "{text}");
    }
    let base = CommitId::parse(&"b".repeat(40)).unwrap();
    let facts = Facts::new(&pull, &base, None, &release());
    assert_eq!(facts.pull_request().as_deref(), Some("refs/pull/7/head"));
    let facts = facts.of_base(&RefName::branch("f43").unwrap());
    assert_eq!(facts.pull_request().as_deref(), Some("base of pull request 7"));
    let Event::PullRequest(mut request) = pull else { panic!("{pull:?}") };
    request.action = PullRequestAction::Labeled;
    let labeled = Event::PullRequestActivity(PullRequestActivity {
        pull: request.clone(),
        label: Some("ok".to_owned()),
        moment: "now".to_owned(),
        actor: Some("rose".to_owned()),
    });
    let text = "${{ github.event.action }} ${{ github.event.label.name }} ${{ github.actor }} ${{ github.event.pull_request.merged }}";
    assert_eq!(told(&labeled, text), "labeled ok rose false");
    assert_eq!(Facts::new(&labeled, &base, None, &release()).pull_request(), None);
    request.action = PullRequestAction::Closed;
    let closed = Event::PullRequestClosed(PullRequestClosed {
        repository: request.repository.clone(),
        number: 7,
        merged: true,
        moment: String::new(),
        actor: Some("rose".to_owned()),
        pull: Some(Box::new(request)),
    });
    assert_eq!(told(&closed, text), "closed  rose true");
    let context = facts.contexts("ci", None, None, &json!({}));
    let text = "${{ github.event_name }} ${{ github.ref }} ${{ github.ref_name }} ${{ github.sha == github.event.pull_request.head.sha }} ${{ github.head_ref }}";
    let told = interpolate(text, &context, &Functions::default()).unwrap();
    assert_eq!(told, "pull_request_target refs/heads/f43 f43 false fix");
}
