//! A real Pagure, which `./test` starts where its packages can be had.
//!
//! A push to it takes some seconds, so that each story tells many things of one project.

use scenarios::deliveries::NULL;
use scenarios::pagure::{Story, checked};
use scenarios::wait::{LONG, until};
use scenarios::world::text;
use serde_json::Value;

const CONTEXT: &str = "layered-image / build";

/// `topic state` of every delivery of a forge, oldest first.
async fn told(story: &Story) -> Vec<String> {
    let list = story.world.get("/api/v1/deliveries?limit=100&source=forge").await;
    let deliveries = list["deliveries"].as_array().expect("deliveries");
    let words = deliveries.iter().rev().map(|delivery| {
        let name = delivery["event_name"].as_str().unwrap_or_default();
        let state = delivery["event"]["state"].as_str().unwrap_or("waiting");
        format!("{name} {state}")
    });
    words.collect()
}

/// The kinds of events that a look found, newest first; a slow webhook makes it find more.
async fn swept(story: &Story) -> Vec<String> {
    let list = story.world.get("/api/v1/deliveries?source=sweep").await;
    let deliveries = list["deliveries"].as_array().expect("deliveries");
    deliveries.iter().filter_map(|one| Some(one["event"]["kind"].as_str()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branches_forced_pushes_and_tags_are_built_as_what_they_are() {
    let Some(story) = Story::begin("httpd").await else { return };
    let clone = &story.clone;

    let first = clone.commit("rawhide", "httpd: Import");
    clone.push(&["rawhide"]);
    story.built("rawhide", &first).await;
    story.flagged(&first, "success", "Built httpd-container-1.0-1.fc44").await;
    let flags = story.flags(&first).await;
    assert_eq!(flags.len(), 1, "later flags replace earlier ones: {flags:#?}");
    assert_eq!(flags[0]["username"], CONTEXT);

    clone.write("hello", "hello again\n");
    let second = clone.commit("rawhide", "httpd: Say it again");
    clone.push(&["rawhide"]);
    story.built("rawhide", &second).await;

    // Pagure tells of a branch at a known commit only that it was made.
    clone.push(&[&format!("{first}:refs/heads/f43")]);
    let run = story.built("f43", &first).await;
    assert_eq!(run["release"], "f43");

    clone.git(&["checkout", "-q", "-B", "f43", &first]);
    clone.write("hello", "rewritten\n");
    let other = clone.commit("f43", "httpd: Another way");
    clone.push(&["f43"]);
    story.built("f43", &other).await;
    clone.git(&["checkout", "-q", "-B", "f43", &first]);
    clone.write("hello", "rewritten once more\n");
    let forced = clone.commit("f43", "httpd: A third way");
    clone.push(&["--force", "f43"]);
    story.built("f43", &forced).await;

    clone.git(&["tag", "-a", "-m", "v1", "v1"]);
    clone.push(&["v1"]);
    until("the tag's delivery", LONG, async || {
        let told = told(&story).await;
        let is_there = told.contains(&"git.tag.creation skipped".to_owned());
        if is_there { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    let runs = story.world.finished_runs(5).await;
    assert_eq!(runs.len(), 5, "neither a tag nor our own flags start anything: {runs:#?}");
    let told = told(&story).await;
    assert!(told.iter().any(|one| one.starts_with("commit.flag.")), "flags come back: {told:?}");
    story.world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pushed_while_the_service_was_away_is_built_afterwards() {
    let Some(mut story) = Story::begin("nginx").await else { return };
    let first = story.clone.commit("rawhide", "nginx: Import");
    story.clone.push(&["rawhide"]);
    story.built("rawhide", &first).await;
    // What was there before the first look is no news, so that there has to have been one.
    until("a look at the branches", LONG, async || {
        let log = story.world.bridge_log();
        let metrics = story.world.page("/metrics").await;
        let is_read = metrics.lines().any(|line| {
            line.starts_with("strata_sweeps") && line.contains("read") && !line.ends_with(" 0")
        });
        if is_read { Ok(()) } else { Err(format!("{metrics}\n{log}")) }
    })
    .await;

    let before = swept(&story).await;
    story.world.kill_bridge();
    let topics = ["git.receive", "git.branch.creation"];
    let push = async || {
        story.clone.write("hello", "pushed to nobody\n");
        let missed = story.clone.commit("rawhide", "nginx: While nobody listens");
        story.clone.push(&["rawhide", &format!("{first}:refs/heads/f43")]);
        missed
    };
    let missed = story.while_away(&topics, push).await;
    story.world.start_bridge().await;

    story.built("rawhide", &missed).await;
    story.built("f43", &first).await;
    let found = swept(&story).await;
    assert_eq!(found.len(), before.len() + 2, "{found:?} after {before:?}");
    story.flagged(&missed, "success", "Built nginx-container-1.0-2.fc44").await;
    story.world.nothing_left().await;
}

/// Waits until the branches have been listed as often.
async fn looked(story: &Story, count: u64) {
    until("looks at the branches", LONG, async || {
        let metrics = story.world.page("/metrics").await;
        let line =
            metrics.lines().find(|line| line.starts_with("strata_sweeps_total{result=\"read"));
        let read = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).unwrap_or(0);
        if read >= count { Ok(()) } else { Err(format!("{read}\n{}", story.world.bridge_log())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_proposed_while_the_service_was_away_is_found_and_so_is_its_end() {
    let Some(mut story) = Story::begin("valkey").await else { return };
    let first = story.clone.commit("rawhide", "valkey: Import");
    story.clone.push(&["rawhide"]);
    story.built("rawhide", &first).await;
    // With the second look the first one has seen the pull requests, too.
    looked(&story, 2).await;

    story.world.kill_bridge();
    let head = story.while_away(&["pull-request.new"], async || proposed(&story).await).await;
    story.world.start_bridge().await;
    story.flagged(&head, "pending", "Waiting for approval by somebody with write access").await;

    story.world.kill_bridge();
    let comment = format!("{}/pull-request/1/comment", story.project);
    let form = format!("comment=%2Fok-to-test+{head}");
    let say = async || story.pagure.ask("releng", &comment, Some(&form)).await;
    story.while_away(&["pull-request.comment.added"], say).await;
    story.world.start_bridge().await;
    story.flagged(&head, "success", "").await;

    story.world.kill_bridge();
    let close = format!("{}/pull-request/1/close", story.project);
    let close = async || story.pagure.ask("releng", &close, Some("")).await;
    story.while_away(&["pull-request.closed"], close).await;
    story.world.start_bridge().await;
    until("the end that nobody told", LONG, async || {
        let found = swept(&story).await;
        let expected = ["pull_request_closed", "pull_request_commented", "pull_request"];
        let is_found = found.iter().take(3).eq(&expected);
        if is_found { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let runs = story.world.finished_runs(2).await;
    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    story.world.nothing_left().await;
}

/// A stranger forks the project, pushes to the fork and proposes that; the answer is the head.
async fn proposed(story: &Story) -> String {
    let Story { pagure, project, clone, .. } = story;
    let (_, name) = project.split_once('/').expect("a namespace");
    let form = format!("repo={name}&namespace=containers&wait=1");
    pagure.ask("stranger", "fork", Some(&form)).await;
    clone.write("hello", "a proposal\n");
    let head = clone.commit("fix", "redis: Propose");
    let fork = pagure.remote("stranger", &format!("forks/stranger/{project}"));
    clone.git(&["push", "-q", &fork, "fix"]);
    let form = format!(
        "title=A+proposal&branch_to=rawhide&branch_from=fix&repo_from={name}\
         &repo_from_username=stranger&repo_from_namespace=containers"
    );
    pagure.ask("stranger", &format!("{project}/pull-request/new"), Some(&form)).await;
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_of_a_fork_waits_is_tested_and_is_built_once_it_is_merged() {
    let Some(story) = Story::begin("redis").await else { return };
    let first = story.clone.commit("rawhide", "redis: Import");
    story.clone.push(&["rawhide"]);
    story.built("rawhide", &first).await;

    let head = proposed(&story).await;
    story.flagged(&head, "pending", "Waiting for approval by somebody with write access").await;
    let comment = format!("{}/pull-request/1/comment", story.project);
    story.pagure.ask("releng", &comment, Some("comment=%2Fok-to-test")).await;
    story.flagged(&head, "success", "").await;
    let runs = story.world.finished_runs(2).await;
    assert_eq!((&runs[0]["trust"], &runs[0]["outcome"]), (&"untrusted".into(), &"success".into()));
    assert_eq!(story.flags(&head).await.len(), 1, "one flag, whatever it said before");

    let merge = format!("{}/pull-request/1/merge", story.project);
    story.pagure.ask("releng", &merge, Some("wait=1")).await;
    let runs = story.world.finished_runs(3).await;
    assert_eq!(runs[0]["ref"], "refs/heads/rawhide", "{:#}", runs[0]);
    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    assert_ne!(runs[0]["commit"], NULL);
    let tags = story.world.registry.tags("rawhide/redis").await;
    assert!(tags.contains(&"1.0-2.fc44".to_owned()), "{tags:?}");
    story.world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_proves_itself_or_says_what_to_do() {
    let Some(story) = Story::begin("busybox").await else { return };
    checked(&story.world, &story.project, &["--json"]).await;
    let proved = until("a proof without a name", LONG, async || {
        let proved = story.world.strata(&["forge", "check", "pagure", "--json"]);
        if proved.status.success() { Ok(proved) } else { Err(text(&proved)) }
    })
    .await;
    let found: Value = serde_json::from_slice(&proved.stdout).expect("JSON");
    assert_eq!(found["repository"], story.project.as_str(), "one that is watched");
    let parts = found["parts"].as_array().expect("parts");
    let names: Vec<&str> = parts.iter().filter_map(|part| part["part"].as_str()).collect();
    let all = ["api", "repository", "statuses", "comments", "members", "branches", "key", "hook"];
    assert!(names.starts_with(&all), "{names:?}");
    let last = parts.last().map(|part| (&part["part"], &part["state"]));
    assert_eq!(last, Some((&"test".into(), &"skipped".into())), "it sends none");

    // A project of others, of which the token's user is no member.
    let port = story.world.url().rsplit_once(':').expect("a port").1.to_owned();
    let form = format!("name=closed-{port}&namespace=containers&description=closed&wait=1");
    story.pagure.ask("releng", "new", Some(&form)).await;
    let closed = format!("containers/closed-{port}");
    let refused = story.world.strata(&["forge", "check", "pagure", "--repository", &closed]);
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("only keys of what `repositories` names are fetched"), "{said}");
    assert!(said.contains("there is no key to sign a delivery with"), "{said}");
    story.world.nothing_left().await;
}
