//! Schedules of release branches, by the real clock.

use std::time::{Duration, SystemTime};

use scenarios::wait::until;
use scenarios::world::World;

/// A minute until the next time, and a busy machine.
const A_MINUTE_AND_MORE: Duration = Duration::from_secs(90);
/// Lateness from which on a run says that it is late, and a second.
const LATE: Duration = Duration::from_secs(61);
const EVERY_MINUTE: &str = "name: nightly\non:\n  schedule:\n    - cron: \"* * * * *\"\njobs:\n  \
    look:\n    runs-on: docker\n    container: f43/base:latest\n    steps:\n      - run: echo on time\n";
/// So that the push itself runs nothing.
const SILENT: &str = "name: silent\non: pull_request\njobs:\n  build:\n    runs-on: docker\n    \
    steps:\n      - uses: strata/checkout\n";

/// Pushes a branch that has a schedule and is not the repository's default branch.
async fn scheduled(world: &World) {
    world.write("workflows/layered-image.yml", SILENT);
    let httpd = world.layered_repository("httpd", "f43");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    httpd.write(".strata/workflows/nightly.yml", EVERY_MINUTE);
    httpd.commit("f43", "httpd: Look every minute");
    httpd.push(&["f43"]);
    let event = world.decided().await;
    assert_eq!(event["runs"].as_array().map(Vec::len), Some(0), "{event}");
}

#[tokio::test]
async fn a_branch_that_is_not_the_default_one_runs_on_time() {
    let world = World::start().await;

    scheduled(&world).await;
    let runs = world.finished_runs_within(1, A_MINUTE_AND_MORE).await;

    let cause = runs[0]["cause"].as_str().expect("a cause");
    assert_eq!(cause, "schedule `* * * * *` of .strata/workflows/nightly.yml");
    assert_eq!(runs[0]["ref"], "refs/heads/f43");
    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    assert!(world.log(&runs[0], "look").await.contains("on time"));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_release_runs_its_default_workflows_by_its_own_schedule() {
    let mut world = World::prepare().await;
    world.configure_releases("schedule = \"* * * * *\"\n");
    world.start_bridge().await;
    world.start_runner();
    let httpd = world.layered_repository("httpd", "f43");
    httpd.commit("f43", "httpd: Import");
    httpd.push(&["f43"]);

    let runs = world.finished_runs_within(2, A_MINUTE_AND_MORE).await;

    let causes: Vec<_> = runs.iter().map(|run| run["cause"].as_str().expect("a cause")).collect();
    assert!(causes.contains(&"schedule `* * * * *` of layered-image.yml"), "{causes:?}");
    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_time_that_was_missed_runs_once_and_says_how_late_it_is() {
    let mut world = World::without_runner().await;

    scheduled(&world).await;
    world.kill_bridge();
    let next_minute = next_minute();
    until("the missed time to be long ago", LATE + A_MINUTE_AND_MORE, async || {
        match SystemTime::now().duration_since(next_minute) {
            Ok(late) if late > LATE => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    world.start_bridge().await;

    until("the run of the missed time", A_MINUTE_AND_MORE, async || {
        let runs = world.runs().await;
        let late: Vec<_> = runs.iter().filter(|run| is_late(run)).collect();
        if late.is_empty() { Err(format!("{runs:?}")) } else { Ok(late.len()) }
    })
    .await;
    let runs = world.runs().await;
    assert_eq!(runs.iter().filter(|run| is_late(run)).count(), 1, "{runs:#?}");
    world.nothing_left().await;
}

fn is_late(run: &serde_json::Value) -> bool {
    run["cause"].as_str().is_some_and(|cause| cause.ends_with(" s late"))
}

fn next_minute() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    SystemTime::UNIX_EPOCH + Duration::from_secs((since.as_secs() / 60 + 1) * 60)
}
