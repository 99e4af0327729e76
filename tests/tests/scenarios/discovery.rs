//! Repositories that nobody told of: found by pattern, followed through renames.

use scenarios::deliveries::pull_request_body;
use scenarios::forge::Kind;
use scenarios::wait::{LONG, until};
use scenarios::world::World;

use super::forges::{prepared, proposed};

const PATTERN: &str = "repositories = [\"containers/*\"]\n[sweep]\ninterval_seconds = 2\n\
    settle_seconds = 1\ndiscovery_interval_seconds = 2\n";

/// Waits until the branches of all known repositories have been read again.
async fn swept(world: &World) {
    let count = async || {
        let metrics = world.page("/metrics").await;
        let line =
            metrics.lines().find(|line| line.starts_with("strata_sweeps_total{result=\"read"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = count().await;
    until("two looks at the branches", LONG, async || {
        let now = count().await;
        if now >= before + 2 { Ok(()) } else { Err(format!("{before} and {now}")) }
    })
    .await;
}

async fn is_found_by_its_pattern_and_followed(kind: Kind) {
    let (mut world, forge, httpd) = prepared(kind, "", PATTERN).await;
    forge.name_repository(7, "containers/httpd");
    forge.name_repository(8, "private/notes");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    world.start_bridge().await;
    world.start_runner();
    swept(&world).await;
    assert!(world.runs().await.is_empty(), "what was there before is no news");

    // The first push of a branch that matches a release, of which no webhook tells.
    httpd.push_silently(&["rawhide:f43"]);
    let run = world.finished_run().await;
    assert_eq!((&run["release"], &run["outcome"]), (&"f43".into(), &"success".into()), "{run:#}");
    let swept_in = world.get("/api/v1/deliveries?source=sweep").await;
    assert_eq!(swept_in["deliveries"].as_array().map(Vec::len), Some(1), "{swept_in:#}");

    // Renamed: the forge knows it by its id, and its history goes along.
    let moved = httpd.bare().with_file_name("web.git");
    std::fs::rename(httpd.bare(), &moved).expect("a directory to rename");
    forge.name_repository(7, "containers/web");
    until("the run under the new name", LONG, async || {
        let runs = world.get("/api/v1/runs?repository=containers/web").await;
        let count = runs["runs"].as_array().map_or(0, Vec::len);
        if count == 1 { Ok(()) } else { Err(format!("{runs:#}\n{}", world.ends_of_logs())) }
    })
    .await;
    httpd.git(&["remote", "set-url", "origin", moved.to_str().expect("utf-8")]);
    httpd.write("hello", "under another name\n");
    let commit = httpd.commit("f43", "web: Go on");
    std::fs::remove_file(moved.join("hooks/post-receive")).expect("a hook");
    httpd.push(&["f43"]);
    let runs = world.finished_runs(2).await;
    assert_eq!(runs.len(), 2, "no second history: {runs:#?}");
    assert_eq!((&runs[0]["commit"], &runs[0]["outcome"]), (&commit.into(), &"success".into()));
    assert_eq!(runs[0]["repository"], "containers/web");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_of_github_is_found_by_its_pattern_and_followed() {
    is_found_by_its_pattern_and_followed(Kind::Github).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_of_forgejo_is_found_by_its_pattern_and_followed() {
    is_found_by_its_pattern_and_followed(Kind::Forgejo).await;
}

async fn a_pull_request_that_nobody_told_is_tested_and_ended(kind: Kind) {
    let (mut world, forge, httpd) = prepared(kind, "", PATTERN).await;
    forge.name_repository(7, "containers/httpd");
    let (base, head) = proposed(&httpd);
    world.start_bridge().await;
    world.start_runner();
    swept(&world).await;

    let inside = "containers/httpd";
    forge.propose(&pull_request_body(inside, inside, "rawhide", (&base, &head)));
    let runs = world.finished_runs(2).await;
    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    let context = "layered-image / build";
    until("the status of the head", LONG, async || {
        let status = forge.status_of(&head, context).unwrap_or_default();
        if status["state"] == "success" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;

    forge.close(1);
    until("the end that nobody told", LONG, async || {
        let swept_in = world.get("/api/v1/deliveries?source=sweep").await;
        let list = swept_in["deliveries"].as_array().expect("deliveries");
        let kinds: Vec<&str> =
            list.iter().filter_map(|one| one["event"]["kind"].as_str()).collect();
        let expected = ["pull_request_closed", "pull_request"];
        if kinds == expected { Ok(()) } else { Err(format!("{swept_in:#}")) }
    })
    .await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_of_github_that_nobody_told_is_tested_and_ended() {
    a_pull_request_that_nobody_told_is_tested_and_ended(Kind::Github).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_of_forgejo_that_nobody_told_is_tested_and_ended() {
    a_pull_request_that_nobody_told_is_tested_and_ended(Kind::Forgejo).await;
}
