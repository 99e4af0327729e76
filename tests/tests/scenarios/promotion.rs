//! Candidate and stable: what a build moves, and what only a promotion moves.

use std::process::Command;

use scenarios::parents::{REBUILDS, causes};
use scenarios::parts::{strata, succeed};
use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};

#[tokio::test]
async fn a_child_at_stable_is_built_again_by_a_promotion_and_not_by_a_candidate() {
    let rules = format!("stable_tags = [\"stable\"]\n{REBUILDS}propagate = \"stable\"\n");
    let world = World::with_rebuilds(&rules).await;
    let lower = world.image_on("lower", "base");
    let upper = world.image_on("upper", "lower");
    world.first_build(&lower).await;
    let first = world.latest("lower").await;
    let promoted = text(&world.strata(&["promote", "lower-container-1.0-1.fc44"]));
    assert!(promoted.contains("rawhide/lower:stable now."), "{promoted}");
    assert_eq!(world.registry.digest("rawhide/lower", "stable").await, Some(first.clone()));
    world.first_build(&upper).await;
    world.all_current(2).await;

    // A new candidate of the parent: nobody above hears of it, whatever the Dockerfile names.
    world.move_base("rawhide/base").await;
    let runs = world.all_current(3).await;
    assert_eq!(causes(&runs)[2].0, "lower");
    let second = world.latest("lower").await;
    assert_ne!(second, first);
    assert_eq!(world.parent_of("upper").await, first);

    // A push builds on what is promoted too, or it would be stale at once.
    upper.commit("rawhide", "Again");
    upper.push(&["rawhide"]);
    let runs = world.all_current(4).await;
    assert_eq!(world.parent_of("upper").await, first);
    let log = text(&world.strata(&["logs", &runs[0]["id"].to_string()]));
    assert!(log.contains("lower:latest is taken as") && log.contains("lower:stable"), "{log}");

    // The promotion moves the tag by the same bytes, and what stands on it is built again.
    let asked = world.strata(&[
        "promote",
        "lower-container-1.0-2.fc44",
        "--reason",
        "the tests of f44",
        "--json",
    ]);
    let promotion: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    assert_eq!(promotion["state"], "done", "{promotion:#}");
    assert_eq!((&promotion["by"], &promotion["digest"]), (&"operator".into(), &(*second).into()));
    let runs = world.all_current(5).await;
    let cause = &causes(&runs)[4];
    assert_eq!(cause.0, "upper");
    assert!(cause.1.contains("rawhide/lower:stable moved from"), "{}", cause.1);
    assert_eq!(world.parent_of("upper").await, second);
    let page = world.page("/builds/lower-container-1.0-2.fc44").await;
    assert!(page.contains("the tests of f44") && page.contains("operator"), "{page}");
    let shown = text(&world.strata(&["show", "lower-container-1.0-2.fc44"]));
    assert!(shown.contains("by operator: the tests of f44"), "{shown}");

    // Back to the older build only when somebody says so.
    let refused = text(&world.strata(&["promote", "lower-container-1.0-1.fc44"]));
    assert!(refused.contains("--back"), "{refused}");
    let back = text(&world.strata(&["promote", "lower-container-1.0-1.fc44", "--back"]));
    assert!(back.contains("stable now."), "{back}");
    world.all_current(6).await;
    assert_eq!(world.parent_of("upper").await, first);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_promotion_waits_for_its_registry_and_refuses_what_is_no_release_build() {
    let mut world = World::prepare().await;
    world.configure_releases("stable_tags = [\"stable\"]\n");
    world.start_bridge().await;
    world.start_runner();
    let httpd = world.layered_repository("httpd", "rawhide");
    world.first_build(&httpd).await;

    world.registry.stop();
    let waits = text(&world.strata(&["promote", "1", "--timeout", "1"]));
    assert!(waits.contains("the registry has not all of"), "{waits}");
    world.kill_bridge();
    world.registry.resume().await;
    world.start_bridge().await;
    until("the tag of a promotion that a kill met", LONG, async || {
        let stable = world.registry.digest("rawhide/httpd", "stable").await;
        let latest = world.registry.digest("rawhide/httpd", "latest").await;
        if stable.is_some() && stable == latest { Ok(()) } else { Err(format!("{stable:?}")) }
    })
    .await;

    let mut scratch = Command::new(strata());
    scratch
        .arg("scratch-build")
        .current_dir(httpd.clone_dir())
        .env("XDG_CONFIG_HOME", world.dir().join("config"))
        .env("STRATA_BRIDGE", world.url())
        .env("STRATA_TOKEN_FILE", world.dir().join("secrets/operator"));
    succeed(&mut scratch);
    world.finished_runs(2).await;
    let refused = text(&world.strata(&["promote", "2"]));
    assert!(refused.contains("no release build"), "{refused}");
    world.nothing_left().await;
}
