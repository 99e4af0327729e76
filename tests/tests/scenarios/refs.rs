//! Refs and commits that cause no run, and say why.

use scenarios::deliveries::{Delivery, NULL};
use scenarios::wait::{SHORT, until};
use scenarios::world::World;

#[tokio::test]
async fn a_branch_of_no_release_runs_nothing() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("topic", "httpd: Try something");

    httpd.push(&["topic"]);

    let event = world.decided().await;
    assert_eq!(event["state"], "skipped", "{event}");
    let why = "branch `topic` belongs to no release (configured: rawhide, f43)";
    assert_eq!(event["reason"], why);
    world.nothing_left().await;
}

#[tokio::test]
async fn tags_and_deletions_run_nothing() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("topic", "httpd: Import");
    httpd.push(&["topic"]);
    httpd.git(&["tag", "v1"]);

    httpd.push(&["v1"]);
    let tagged = world.decided().await;
    httpd.push(&[":topic"]);
    let deleted = world.decided().await;

    assert_eq!((&tagged["kind"], &tagged["state"]), (&"tag_created".into(), &"skipped".into()));
    assert_eq!(tagged["reason"], "a tag belongs to no release; only branches do");
    assert_eq!(deleted["kind"], "branch_deleted", "{deleted}");
    assert_eq!(deleted["state"], "skipped", "{deleted}");
    assert_eq!(world.runs().await.len(), 0);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_commit_that_is_gone_is_superseded() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    let gone = "2222222222222222222222222222222222222222";

    let ids = (NULL, gone);
    Delivery::plain("dist-git", httpd.name(), "refs/heads/rawhide", ids).accepted(&world).await;

    let event = world.decided().await;
    assert_eq!(event["state"], "given_up", "{event}");
    let why = event["reason"].as_str().expect("a reason");
    assert!(why.contains("superseded") && why.contains("forced push"), "{why}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_branch_that_goes_back_and_forth_is_built_each_time() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let first = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    assert_eq!(world.decided().await["state"], "planned");
    httpd.write("hello", "hello again\n");
    let second = httpd.commit("rawhide", "httpd: Say it again");
    for head in [&second, &first, &second, &first] {
        httpd.push(&["--force", &format!("{head}:refs/heads/rawhide")]);
        let event = world.decided().await;
        assert_eq!(event["state"], "planned", "{event}");
    }
    assert_eq!(world.runs().await.len(), 5);

    // An old delivery once more, in other bytes, as from a second webhook.
    let ids = (first.as_str(), second.as_str());
    let ref_name = "refs/heads/rawhide";
    Delivery::plain("dist-git", httpd.name(), ref_name, ids).accepted(&world).await;
    let event = world.decided().await;
    assert_eq!(event["state"], "duplicate", "{event}");
    let why = event["reason"].as_str().expect("a reason");
    assert!(why.ends_with(&format!("`rawhide` is at {} since", &first[..12])), "{why}");
    assert_eq!(world.runs().await.len(), 5);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_told_by_name() {
    let world = World::without_runner().await;
    let ids = (NULL, "3333333333333333333333333333333333333333");

    let ref_name = "refs/heads/rawhide";
    Delivery::plain("dist-git", "containers/nothing", ref_name, ids).accepted(&world).await;

    // It waits: a person may mend it.
    until("a word of the repository", SHORT, async || {
        let list = world.get("/api/v1/deliveries?limit=1").await;
        let event = &list["deliveries"][0]["event"];
        let why = event["reason"].as_str().unwrap_or_default();
        let is_told = event["state"] == "new" && why.contains("containers/nothing");
        if is_told { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
    world.nothing_left().await;
}

#[tokio::test]
async fn a_commit_message_can_ask_for_silence() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Correct a comment\n\n[skip ci]");

    httpd.push(&["rawhide"]);

    let event = world.decided().await;
    assert_eq!(event["reason"], "the commit message says [skip ci]");
    world.nothing_left().await;
}
