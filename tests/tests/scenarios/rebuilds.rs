//! Parent images move, and what stands on them is built again, once and in order.

use scenarios::forge::Kind;
use scenarios::parents::{REBUILDS, causes, on};
use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};

use super::forges;

#[tokio::test]
async fn a_chain_of_three_is_built_again_from_its_base_up() {
    let world = World::with_rebuilds(REBUILDS).await;
    let lower = world.image_on("lower", "base");
    let middle = world.image_on("middle", "lower");
    let upper = world.image_on("upper", "middle");
    for repository in [&lower, &middle] {
        world.first_build(repository).await;
    }
    let commit = world.first_build(&upper).await;
    world.all_current(3).await;

    let base = world.move_base("rawhide/base").await;

    let runs = world.all_current(6).await;
    let causes = causes(&runs);
    let built: Vec<&str> = causes[3..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(built, ["lower", "middle", "upper"]);
    assert!(causes[3].1.starts_with("parent "), "{}", causes[3].1);
    assert!(causes[3].1.contains("rawhide/base:latest moved from"), "{}", causes[3].1);
    let chain = &causes[5].1;
    assert!(chain.contains("(chain: containers/middle@rawhide ← parent"), "{chain}");
    assert!(chain.contains("containers/lower@rawhide ←"), "{chain}");
    assert_eq!(world.parent_of("lower").await, base);
    assert_eq!(world.parent_of("middle").await, world.latest("lower").await);
    assert_eq!(world.parent_of("upper").await, world.latest("middle").await);
    let newest = &runs[0];
    assert_eq!(newest["commit"], commit.as_str(), "the commit that was built last");
    assert_eq!(newest["jobs"][0]["nvr"], "upper-container-1.0-2.fc44", "a new release number");
    assert_eq!(upper.status(&commit, "layered-image / build").await["state"], "success");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_diamond_whose_parents_both_move_is_built_once() {
    let world = World::with_rebuilds(&format!("{REBUILDS}builders = true\n")).await;
    let left = world.image_on("left", "base");
    let right = world.image_on("right", "base");
    let top = world.repository("containers/top");
    top.write(
        "Dockerfile",
        on("top", "left")
            .replace("RUN ", "COPY --from=rawhide/right:latest /etc/built /right\nRUN "),
    );
    for repository in [&left, &right, &top] {
        world.first_build(repository).await;
    }
    world.all_current(3).await;

    world.move_base("rawhide/base").await;

    let runs = world.all_current(6).await;
    let causes = causes(&runs);
    assert_eq!(causes[5].0, "top", "{causes:?}");
    let cause = &causes[5].1;
    assert!(cause.starts_with("parent ") && cause.contains(":latest moved"), "{cause}");
    assert_eq!(world.parent_of("top").await, world.latest("left").await);
    world.nothing_left().await;
}

#[tokio::test]
async fn two_parents_that_move_at_once_are_one_build() {
    let world = World::with_rebuilds(&format!("{REBUILDS}builders = true\n")).await;
    let tool = world.image_on("tool", "base");
    world.registry.push_base("rawhide/compiler", "latest").await;
    let text = on("tool", "base")
        .replace("RUN ", "COPY --from=rawhide/compiler:latest /etc/passwd /etc/compiled\nRUN ");
    let mounted = "RUN --mount=from=rawhide/compiler:latest,target=/compiler cmp /compiler/etc/passwd /etc/compiled\n";
    tool.write("Dockerfile", text + mounted);
    world.first_build(&tool).await;
    world.all_current(1).await;

    for repository in ["rawhide/compiler", "rawhide/base"] {
        world.registry.push_base(repository, "latest").await;
    }
    for repository in ["rawhide/compiler", "rawhide/base"] {
        world.registry_tells(repository, "latest").await;
    }

    let runs = world.all_current(2).await;
    let base = world.registry.digest("rawhide/base", "latest").await;
    assert_eq!(Some(world.parent_of("tool").await), base);
    assert_eq!(runs[0]["jobs"][0]["nvr"], "tool-container-1.0-2.fc44");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_builder_image_counts_where_the_release_says_so() {
    for (rules, expected) in [(REBUILDS.to_owned() + "builders = true\n", 2), (REBUILDS.into(), 1)]
    {
        let world = World::with_rebuilds(&rules).await;
        let tool = world.repository("containers/tool");
        world.registry.push_base("rawhide/compiler", "latest").await;
        tool.write(
            "Dockerfile",
            on("tool", "base")
                .replace("FROM ", "FROM rawhide/compiler:latest AS compiler\nFROM ")
                .replace("RUN ", "COPY --from=compiler /etc/passwd /etc/compiled\nRUN "),
        );
        world.first_build(&tool).await;
        world.all_current(1).await;
        world.registry.push_base("rawhide/compiler", "latest").await;
        let told = world.registry_tells("rawhide/compiler", "latest").await;
        assert_eq!(told["due"], expected - 1, "watched only where it counts");
        world.all_current(expected).await;
        world.nothing_left().await;
    }
}

#[tokio::test]
async fn what_a_registry_does_not_say_and_what_it_says_twice_is_no_change() {
    let mut world = World::with_rebuilds(REBUILDS).await;
    let httpd = world.image_on("httpd", "base");
    world.first_build(&httpd).await;
    world.all_current(1).await;
    let base = world.registry.digest("rawhide/base", "latest").await.expect("a base image");
    let reference = format!("{}/rawhide/base:latest", world.registry.host());

    // The same digest is pushed again, and told twice.
    for _ in 0..2 {
        world.registry.push_again("rawhide/base", "latest").await;
        world.registry_tells("rawhide/base", "latest").await;
    }
    world.looked_at(&reference).await;
    assert_eq!(world.registry.digest("rawhide/base", "latest").await, Some(base.clone()));

    // Nobody answers.
    world.registry.stop();
    world.registry_tells("rawhide/base", "latest").await;
    world.condition("containers/httpd@rawhide", "unknown").await;
    world.registry.resume().await;
    world.condition("containers/httpd@rawhide", "current").await;

    // The tag is gone.
    world.registry.delete(&reference).await;
    world.registry_tells("rawhide/base", "latest").await;
    world.condition("containers/httpd@rawhide", "unknown").await;
    assert_eq!(world.runs().await.len(), 1, "nothing was built again");
    let history = world.strata(&["images", "history", &reference]);
    let history = text(&history);
    assert!(history.contains("gone") && history.contains(&base), "{history}");

    // It is back with something else, and that is a change.
    let moved = world.move_base("rawhide/base").await;
    world.all_current(2).await;
    assert_eq!(world.parent_of("httpd").await, moved);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_wave_loses_nothing_and_builds_nothing_twice() {
    let mut world = World::with_rebuilds(REBUILDS).await;
    world.chain_that_holds().await;

    world.move_base("rawhide/base").await;
    let held = world.held().await;
    world.kill_bridge();
    held.release();
    world.start_bridge().await;

    let runs = world.all_current(4).await;
    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    assert_eq!(world.parent_of("upper").await, world.latest("lower").await);
    let plan = world.get("/api/v1/rebuilds/plan").await;
    assert_eq!(plan["waves"].as_array().map(Vec::len), Some(0), "a second plan is empty");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_restored_backup_rebuilds_nothing_that_is_current() {
    let mut world = World::with_rebuilds(REBUILDS).await;
    let lower = world.image_on("lower", "base");
    let upper = world.image_on("upper", "lower");
    world.first_build(&lower).await;
    world.first_build(&upper).await;
    world.all_current(2).await;
    world.kill_bridge();
    world.save_database();
    world.start_bridge().await;
    let base = world.move_base("rawhide/base").await;
    world.all_current(4).await;
    let built = (world.latest("lower").await, world.latest("upper").await);

    world.kill_bridge();
    world.restore_database();
    world.start_bridge().await;
    for repository in ["rawhide/base", "rawhide/lower"] {
        world.registry_tells(repository, "latest").await;
        let reference = format!("{}/{repository}:latest", world.registry.host());
        world.looked_at(&reference).await;
    }
    world.all_current(2).await;
    assert_eq!((world.latest("lower").await, world.latest("upper").await), built);
    let log = world.bridge_log();
    for image in ["lower", "upper"] {
        let told = format!("containers/{image}@rawhide stands on");
        assert!(log.contains(&told), "{log}");
    }

    // What is built from here on has numbers that the registry does not know.
    let moved = world.move_base("rawhide/base").await;
    assert_ne!(moved, base);
    let runs = world.all_current(4).await;
    assert_eq!(runs[1]["jobs"][0]["nvr"], "lower-container-1.0-3.fc44", "{runs:#?}");
    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    assert_eq!(world.parent_of("lower").await, moved);
    assert_eq!(world.parent_of("upper").await, world.latest("lower").await);
    world.nothing_left().await;
}

#[tokio::test]
async fn images_of_what_is_gone_are_not_built_again() {
    let world = World::with_rebuilds(REBUILDS).await;
    let [branch, repository] = ["branch", "repository"].map(|name| world.image_on(name, "base"));
    for repository in [&branch, &repository] {
        world.first_build(repository).await;
    }
    world.all_current(2).await;

    // Nobody tells of either.
    let deleted = branch.git_bare(&["update-ref", "-d", "refs/heads/rawhide"]);
    assert!(deleted.status.success(), "{deleted:?}");
    std::fs::rename(repository.bare(), world.dir().join("moved-away")).expect("a repository");
    world.move_base("rawhide/base").await;

    until("the failure of the repository that is gone", LONG, async || {
        let stale = text(&world.strata(&["stale"]));
        let line = stale.lines().find(|line| line.contains("containers/repository@rawhide"));
        let is_told =
            line.is_some_and(|line| line.contains("failed") && line.contains("not found"));
        if is_told { Ok(()) } else { Err(stale) }
    })
    .await;
    until("the image whose branch is gone waits for it", LONG, async || {
        let stale = text(&world.strata(&["stale"]));
        let line = stale.lines().find(|line| line.contains("containers/branch@rawhide"));
        let is_told = line.is_some_and(|line| line.contains("does not have its branch"));
        if is_told { Ok(()) } else { Err(stale) }
    })
    .await;
    assert_eq!(world.runs().await.len(), 2, "no rebuild began");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_registry_that_is_down_in_the_middle_of_a_wave_only_delays_it() {
    let mut world = World::with_rebuilds(REBUILDS).await;
    world.chain_that_holds().await;
    let base = world.move_base("rawhide/base").await;
    let held = world.held().await;

    world.registry.stop();
    world.registry_tells("rawhide/base", "latest").await;
    held.release();
    until("a push that fails, and a look that does", LONG, async || {
        let runs = world.runs().await;
        let log = world.log(&runs[0], "build").await;
        let looked = world.bridge_log().contains("cannot be asked for");
        if looked && log.contains("trying again") { Ok(()) } else { Err(log) }
    })
    .await;
    let stale = world.get("/api/v1/stale").await;
    assert!(!stale["wave"].is_null(), "the wave is under way: {stale:#}");
    world.registry.resume().await;

    let runs = world.all_current(4).await;
    let names: Vec<String> = causes(&runs).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["lower", "upper", "lower", "upper"], "nothing was built twice");
    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    assert_eq!(world.parent_of("lower").await, base);
    assert_eq!(world.parent_of("upper").await, world.latest("lower").await);
    assert_eq!(world.registry.tags("rawhide/lower").await.len(), 6, "two builds and `latest`");
    let plan = world.get("/api/v1/rebuilds/plan").await;
    assert_eq!(plan["waves"].as_array().map(Vec::len), Some(0), "a second plan is empty");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_rebuild_with_the_same_content_moves_no_floating_tag_and_stops_there() {
    let packages = "RUN mkdir -p /var/lib/dpkg; \
                    printf 'Package: tiny\\nStatus: install ok installed\\nVersion: 1\\n\
                    Architecture: amd64\\n' > /var/lib/dpkg/status; \
                    cat /proc/sys/kernel/random/uuid > /etc/another; ";
    for (by, run) in [("layers", "RUN "), ("packages", packages)] {
        let rules = format!("{REBUILDS}skip_unchanged = true\nunchanged_by = \"{by}\"\n");
        let world = World::with_rebuilds(&rules).await;
        world.registry.push_rebuilt_base("rawhide/base", "latest").await;
        let lower = world.image_on("lower", "base");
        lower.write("Dockerfile", on("lower", "base").replace("RUN ", run));
        let upper = world.image_on("upper", "lower");
        world.first_build(&lower).await;
        world.first_build(&upper).await;
        world.all_current(2).await;
        let first = world.latest("lower").await;

        world.registry.push_rebuilt_base("rawhide/base", "latest").await;
        world.registry_tells("rawhide/base", "latest").await;

        let runs = world.all_current(3).await;
        assert_eq!(causes(&runs)[2].0, "lower", "and not what stands on it");
        assert_eq!(world.latest("lower").await, first, "{by}");
        let second = world.registry.digest("rawhide/lower", "1.0-2.fc44").await;
        assert!(second.is_some_and(|second| second != first), "another image, which has its NVR");

        // What the base says of itself has changed, and its layers have not.
        world.move_base("rawhide/base").await;
        world.all_current(5).await;
        assert_ne!(world.latest("lower").await, first, "{by}");
        assert_eq!(world.parent_of("upper").await, world.latest("lower").await);
        world.nothing_left().await;
    }
}

#[tokio::test]
async fn a_stopped_image_waits_for_its_start() {
    let world = World::with_rebuilds(REBUILDS).await;
    let httpd = world.image_on("httpd", "base");
    world.first_build(&httpd).await;
    world.all_current(1).await;
    let id = "containers/httpd@rawhide";

    let dry = text(&world.strata(&["rebuild", "stop", id, "--dry-run"]));
    assert!(dry.contains("would be stopped"), "{dry}");
    let stopped = text(&world.strata(&["rebuild", "stop", id, "--reason", "a new maintainer"]));
    assert!(stopped.contains("stopped"), "{stopped}");
    world.move_base("rawhide/base").await;
    world.condition(id, "blocked").await;
    let stale = text(&world.strata(&["stale"]));
    assert!(stale.contains("held: a new maintainer"), "{stale}");
    let page = world.page("/rebuilds?release=rawhide").await;
    assert!(page.contains("held: a new maintainer") && page.contains("graph.svg"), "{page}");
    assert!(world.page("/rebuilds/graph.svg?release=rawhide").await.starts_with("<svg"));
    assert!(world.page("/metrics").await.contains("strata_stale_images 1"));

    let started = text(&world.strata(&["rebuild", "start", id]));
    assert!(started.contains("started"), "{started}");
    world.all_current(2).await;
    world.nothing_left().await;
}

#[tokio::test]
async fn a_rebuild_waits_for_a_forge_that_does_not_answer_and_the_page_says_so() {
    let (world, forge, httpd) = forges::world_with(Kind::Github, REBUILDS).await;
    let commit = httpd.commit("rawhide", "Import");
    httpd.push_silently(&["rawhide"]);
    forges::pushed(Kind::Github, &commit).send(&world).await;
    world.all_current(1).await;

    forge.outage(true);
    let base = world.move_base("rawhide/base").await;
    until("the page tells of the forge", LONG, async || {
        let page = world.page("/rebuilds?release=rawhide").await;
        if page.contains("its forge does not answer") { Ok(()) } else { Err(page) }
    })
    .await;
    let id = "far/containers/httpd@rawhide";
    world.condition(id, "waiting").await;
    assert_eq!(world.runs().await.len(), 1);
    forge.outage(false);
    // Who does not want to wait for the next minute asks for it.
    until("the rebuild begins", LONG, async || {
        let told = text(&world.strata(&["rebuild", "start", id]));
        let runs = world.runs().await.len();
        if runs == 2 { Ok(()) } else { Err(told) }
    })
    .await;
    world.all_current(2).await;
    assert_eq!(world.parent_of("httpd").await, base);
    world.nothing_left().await;
}
