//! A registry that is down makes a job wait and loses nothing.

use scenarios::world::World;

const CONTEXT: &str = "layered-image / build";

#[tokio::test]
async fn a_registry_that_comes_back_finds_the_job_waiting() {
    let mut world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let commit = httpd.commit("rawhide", "httpd: Import");
    let host = world.registry.host();
    world.registry.stop();

    httpd.push(&["rawhide"]);
    world.status_says(&format!("Waiting for registry {host}, which does not answer")).await;
    let waiting = httpd.status(&commit, CONTEXT).await;
    world.registry.resume().await;
    let run = world.finished_run().await;

    assert_eq!(waiting["state"], "pending", "{waiting}");
    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!(run["jobs"][0]["attempt"], 1);
    assert_eq!(httpd.status(&commit, CONTEXT).await["state"], "success");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_parent_that_moves_while_the_job_waits_does_not_change_the_build() {
    let mut world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    let before = world.registry.digest("rawhide/base", "latest").await;
    httpd.push(&["rawhide"]);
    world.status_says("Pinned; waiting for a runner").await;

    let after = world.registry.push_base("rawhide/base", "latest").await;
    world.start_runner();
    let run = world.finished_run().await;

    assert_ne!(before.as_ref(), Some(&after));
    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!(run["jobs"][0]["pins"][0]["digest"].as_str(), before.as_deref());
    let parent = world.registry.config("rawhide/base", before.as_deref().expect("a digest")).await;
    let child = world.registry.config("rawhide/httpd", "latest").await;
    assert_eq!(child["config"]["Labels"]["story"], parent["config"]["Labels"]["story"]);
    world.nothing_left().await;
}
