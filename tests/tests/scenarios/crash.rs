//! Kill -9 at any moment, then a restart: the same final statuses, one image a primary tag,
//! nothing left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use scenarios::dist_git::Repository;
use scenarios::held::HOLD;
use scenarios::parts::strata;
use scenarios::wait::{LONG, SHORT, until};
use scenarios::world::{World, dockerfile, text};

const CONTEXT: &str = "layered-image / build";
/// A lease without heartbeats, the pause before the next attempt, and the build itself.
const LOST_LEASE: Duration = Duration::from_secs(150);
/// Builds, and then stands still with the image pushed and not yet reported.
const HELD_AFTER_BUILD: &str = "    container: rawhide/base:latest\n    steps:\n      \
    - uses: strata/checkout\n      - uses: strata/layered-build\n      - run: ";

/// A repository whose build stands still in its RUN line.
fn held_in_build(world: &World) -> Repository {
    let httpd = world.layered_repository("httpd", "rawhide");
    let text = dockerfile("httpd", "rawhide").replace("RUN ", &format!("RUN {HOLD}; "));
    httpd.write("Dockerfile", text);
    httpd
}

/// A repository whose job stands still between the push of the image and its report.
fn held_after_build(world: &World) -> Repository {
    let workflow = format!(
        "name: layered-image\non: push\njobs:\n  build:\n    runs-on: docker\n\
         {HELD_AFTER_BUILD}{HOLD}\n"
    );
    world.write("workflows/layered-image.yml", &workflow);
    world.layered_repository("httpd", "rawhide")
}

/// The one truth, whatever was killed: one run, one image, one status that says success.
async fn all_ended_well(world: World, httpd: &Repository, commit: &str) {
    let runs = world.finished_runs_within(1, LOST_LEASE).await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0]["outcome"], "success", "{:#}\n{}", runs[0], world.ends_of_logs());
    assert_eq!(runs[0]["jobs"][0]["nvr"], "httpd-container-1.0-1.fc44");
    let status = httpd.status(commit, CONTEXT).await;
    assert_eq!(status["state"], "success", "{status}");
    let tags = world.registry.tags("rawhide/httpd").await;
    let primary: Vec<&String> = tags.iter().filter(|tag| tag.ends_with("fc44")).collect();
    assert_eq!(primary, ["1.0-1.fc44"], "{tags:?}");
    let digest = runs[0]["jobs"][0]["image"]["digest"].as_str();
    for tag in ["1.0-1.fc44", "1.0", "latest"] {
        assert_eq!(world.registry.digest("rawhide/httpd", tag).await.as_deref(), digest, "{tag}");
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn the_bridge_is_killed_right_after_it_took_the_delivery() {
    let mut world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let commit = httpd.commit("rawhide", "httpd: Import");

    httpd.push(&["rawhide"]);
    world.kill_bridge();
    world.start_bridge().await;

    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn the_bridge_is_killed_while_a_job_waits_for_the_registry() {
    let mut world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let commit = httpd.commit("rawhide", "httpd: Import");
    world.registry.stop();
    httpd.push(&["rawhide"]);
    world.status_says("Waiting for registry").await;

    world.kill_bridge();
    world.registry.resume().await;
    world.start_bridge().await;

    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn the_bridge_is_killed_in_the_middle_of_a_build() {
    let mut world = World::start().await;
    let httpd = held_in_build(&world);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let held = world.held().await;
    world.kill_bridge();
    held.release();
    world.start_bridge().await;

    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn the_bridge_is_killed_before_it_tagged_the_image() {
    let mut world = World::prepare().await;
    let httpd = held_after_build(&world);
    world.start_bridge().await;
    world.start_runner();
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let held = world.held().await;
    world.registry.stop();
    held.release();
    world.status_says("Built; tagging the image").await;
    world.kill_bridge();
    world.registry.resume().await;
    assert_eq!(world.registry.tags("rawhide/httpd").await.len(), 1, "the unique tag alone");
    world.start_bridge().await;

    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn the_bridge_is_killed_between_the_primary_and_the_floating_tags() {
    let mut world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let obstacles = ["1.0", "latest"].map(|tag| world.registry.refuse_tag("rawhide/httpd", tag));
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    until("a floating tag that cannot be put", LONG, async || {
        let log = world.bridge_log();
        if log.contains("cannot tag yet") { Ok(()) } else { Err(log) }
    })
    .await;
    let primary = world.registry.digest("rawhide/httpd", "1.0-1.fc44").await;
    assert!(primary.is_some(), "{}", world.bridge_log());

    world.kill_bridge();
    for obstacle in obstacles {
        std::fs::remove_file(obstacle).expect("the obstacle is there");
    }
    world.start_bridge().await;

    assert_eq!(world.registry.digest("rawhide/httpd", "1.0-1.fc44").await, primary);
    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn both_children_of_strata_up_are_killed_in_the_middle_of_a_build() {
    let mut world = World::prepare().await;
    world.start_up().await;
    let httpd = held_in_build(&world);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let first = world.held().await;
    world.kill_kept("bridge");
    world.kill_kept("runner");
    world.held_again(&first).await.release();

    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn strata_up_is_killed_in_the_middle_of_a_build_and_started_again() {
    let mut world = World::prepare().await;
    world.start_up().await;
    let httpd = held_in_build(&world);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let held = world.held().await;
    world.kill_bridge();
    world.start_up().await;
    held.release();

    let runs = world.finished_runs(1).await;
    assert_eq!(runs[0]["jobs"][0]["attempt"], 1, "the runner that was left behind ends its job");
    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn the_runner_is_killed_in_the_middle_of_a_build() {
    let mut world = World::start().await;
    let httpd = held_in_build(&world);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let first = world.held().await;
    world.kill_runner();
    world.start_runner();
    let second = world.held_again(&first).await;
    second.release();

    let runs = world.finished_runs(1).await;
    assert_eq!(runs[0]["jobs"][0]["attempt"], 2);
    let run = runs[0]["id"].to_string();
    let before = world.strata(&["logs", &run, "--attempt", "1"]);
    assert!(before.status.success(), "{}", text(&before));
    let none = world.strata(&["logs", &run, "--attempt", "3"]);
    assert!(text(&none).contains("has no attempt 3; it has 2"), "{}", text(&none));
    let page = world.page(&format!("/runs/{run}")).await;
    assert!(page.contains("/log?attempt=1\">1</a>"), "{page}");
    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn the_runner_is_killed_while_it_pushes() {
    let mut world = World::start().await;
    let httpd = held_in_build(&world);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let first = world.held().await;
    world.registry.stop();
    first.release();
    until("a push that has to be repeated", LONG, async || {
        let log = world.log(&world.runs().await[0], "build").await;
        if log.contains("cannot push") { Ok(()) } else { Err(log) }
    })
    .await;
    world.kill_runner();
    world.registry.resume().await;
    world.start_runner();
    world.held().await.release();

    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn the_runner_is_killed_between_push_and_report() {
    let mut world = World::prepare().await;
    let httpd = held_after_build(&world);
    world.start_bridge().await;
    world.start_runner();
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let first = world.held().await;
    world.kill_runner();
    world.start_runner();
    world.held_again(&first).await.release();

    all_ended_well(world, &httpd, &commit).await;
}

#[tokio::test]
async fn a_runner_that_never_comes_back_loses_its_lease_to_another() {
    let mut world = World::start().await;
    let httpd = held_in_build(&world);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let first = world.held().await;
    world.kill_runner();
    let mut second = world.another_runner();
    world.held_again(&first).await.release();
    let runs = world.finished_runs_within(1, LOST_LEASE).await;
    assert_eq!(runs[0]["jobs"][0]["runner"], "second");
    second.terminate();
    assert_eq!(second.ended(SHORT).await, Some(0));
    // What the first one left is its own to remove, once it is back.
    world.start_runner();

    all_ended_well(world, &httpd, &commit).await;
}

/// Processes of the machine whose command line has this.
fn processes_with(words: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(words) && !line.contains("build-image")).collect()
}

#[tokio::test]
async fn a_builder_that_is_killed_takes_its_command_with_it() {
    let passable = std::fs::Permissions::from_mode(0o711);
    let dir = tempfile::Builder::new().permissions(passable).tempdir().expect("a directory");
    let context = dir.path().join("context");
    std::fs::create_dir(&context).expect("a directory");
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).is_file());
    std::fs::copy(busybox.expect("busybox-static is installed"), context.join("sleep"))
        .expect("a copy");
    let sleep = format!("sleep {}", 1_000_000 + std::process::id());
    let words = sleep.replace(' ', "\", \"");
    let dockerfile = format!("FROM scratch\nCOPY sleep /bin/\nRUN [\"{words}\"]\n");
    std::fs::write(context.join("Dockerfile"), dockerfile).expect("a Dockerfile");
    // A mask that keeps others out does not keep the users of images out.
    let mut build = Command::new("sh");
    build.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(strata()).arg("build-image");
    build.arg("--store").arg(dir.path().join("store"));
    build.arg("--output").arg(format!("oci:{}", dir.path().join("out").display())).arg(&context);
    let mut build = build.spawn().expect("strata starts");
    until("the command runs", LONG, async || {
        let ended = build.try_wait().expect("a child");
        assert_eq!(ended, None, "it must not end by itself");
        if processes_with(&sleep).is_empty() { Err("no such process".to_owned()) } else { Ok(()) }
    })
    .await;

    build.kill().expect("it is killed");
    build.wait().expect("it has ended");

    until("the command is gone", LONG, async || match processes_with(&sleep) {
        left if left.is_empty() => Ok(()),
        left => Err(left.join("\n")),
    })
    .await;
}
