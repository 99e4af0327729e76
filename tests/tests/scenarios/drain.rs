//! SIGTERM drains: what runs ends well, and nothing new begins.

use scenarios::held::{HOLD, Held};
use scenarios::wait::{LONG, SHORT};
use scenarios::world::{World, dockerfile};

/// Pushes an image whose build stands still, and waits until it does.
async fn held_build(world: &World) -> Held {
    let httpd = world.layered_repository("httpd", "rawhide");
    let text = dockerfile("httpd", "rawhide").replace("RUN ", &format!("RUN {HOLD}; "));
    httpd.write("Dockerfile", text);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    world.held().await
}

#[tokio::test]
async fn a_runner_that_is_told_to_stop_finishes_its_job_first() {
    let mut world = World::start().await;
    let held = held_build(&world).await;

    let mut runner = world.take_runner();
    runner.terminate();
    runner.said("draining").await;
    held.release();

    assert_eq!(runner.ended(LONG).await, Some(0), "{}", world.ends_of_logs());
    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!(run["jobs"][0]["attempt"], 1);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_job_that_outlasts_the_drain_is_done_by_the_next_runner() {
    let mut world = World::prepare().await;
    world.configure_runners("drain_seconds = 1\n");
    world.start_bridge().await;
    world.start_runner();
    let held = held_build(&world).await;

    let mut runner = world.take_runner();
    runner.terminate();
    runner.said("the drain time is over").await;
    assert_eq!(runner.ended(LONG).await, Some(0), "{}", world.ends_of_logs());
    world.start_runner();
    world.held_again(&held).await.release();

    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{}", world.ends_of_logs());
    assert_eq!(run["jobs"][0]["attempt"], 2);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_bridge_that_is_told_to_stop_leaves_the_job_to_its_successor() {
    let mut world = World::start().await;
    let held = held_build(&world).await;

    let mut bridge = world.take_bridge();
    bridge.terminate();
    assert_eq!(bridge.ended(SHORT).await, Some(0), "{}", world.ends_of_logs());
    held.release();
    world.start_bridge().await;

    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!(run["jobs"][0]["attempt"], 1);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_push_while_the_bridge_is_down_is_told_by_the_next_one() {
    let mut world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    world.kill_bridge();
    let seen = httpd.push(&["rawhide"]);
    assert!(seen.contains("kept"), "the pusher saw: {seen}");

    world.start_bridge().await;
    httpd.commit("rawhide", "httpd: Again");
    httpd.push(&["rawhide"]);

    let runs = world.finished_runs(2).await;
    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    world.nothing_left().await;
}
