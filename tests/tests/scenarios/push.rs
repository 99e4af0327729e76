//! The main job: a push becomes a pinned, pushed image and a commit status.

use std::process::Command;

use scenarios::held::HOLD;
use scenarios::parts::succeed;
use scenarios::world::{World, dockerfile, text};
use serde_json::Value;

const CONTEXT: &str = "layered-image / build";

#[tokio::test]
async fn a_push_becomes_an_image_with_three_kinds_of_tags() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let commit = httpd.commit("rawhide", "httpd: Import");

    let seen = httpd.push(&["rawhide"]);
    assert!(seen.contains("rawhide accepted"), "the pusher saw: {seen}");
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!(run["commit"], commit);
    let job = &run["jobs"][0];
    assert_eq!(job["nvr"], "httpd-container-1.0-1.fc44");
    let base = world.registry.digest("rawhide/base", "latest").await.expect("the base image");
    assert_eq!(job["pins"][0]["written"], "rawhide/base:latest");
    assert_eq!(job["pins"][0]["digest"], base);
    let tags = world.registry.tags("rawhide/httpd").await;
    assert_eq!(tags.len(), 4, "unique, primary and two floating: {tags:?}");
    for tag in ["1.0-1.fc44", "1.0", "latest"] {
        assert!(tags.iter().any(|known| known == tag), "{tag} in {tags:?}");
    }
    for tag in &tags {
        let digest = world.registry.digest("rawhide/httpd", tag).await;
        assert_eq!(digest.as_deref(), job["image"]["digest"].as_str(), "{tag}");
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn the_image_tells_where_it_is_from_and_runs() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    world.finished_run().await;

    let config = world.registry.config("rawhide/httpd", "latest").await;
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["vcs-ref"], commit);
    assert_eq!(labels["com.redhat.component"], "httpd-container");
    assert_eq!(labels["version"], "1.0");
    assert_eq!(labels["release"], "1.fc44");
    let image = format!("{}/rawhide/httpd:1.0-1.fc44", world.registry.host());
    let said = succeed(Command::new("docker").args(["run", "--rm", &image]));
    succeed(Command::new("docker").args(["rmi", &image]));
    assert_eq!(said, "hello");
    world.nothing_left().await;
}

#[tokio::test]
async fn the_next_push_gets_the_next_release_and_the_floating_tags() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let first = world.finished_run().await;
    httpd.write("hello", "hello again\n");
    httpd.commit("rawhide", "httpd: Greet again");
    httpd.push(&["rawhide"]);

    let runs = world.finished_runs(2).await;

    assert_eq!(runs[0]["jobs"][0]["nvr"], "httpd-container-1.0-2.fc44");
    let digest = async |tag: &str| world.registry.digest("rawhide/httpd", tag).await;
    let (old, new) = (image_digest(&first), image_digest(&runs[0]));
    assert_ne!(old, new);
    assert_eq!(digest("1.0-1.fc44").await, old, "a primary tag never moves");
    assert_eq!(digest("1.0-2.fc44").await, new);
    assert_eq!(digest("1.0").await, new);
    assert_eq!(digest("latest").await, new);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_child_stands_on_the_image_that_was_just_built() {
    let mut world = World::prepare().await;
    world.configure_releases(
        "[release.labels]\nvendor = \"Us, for {name}\"\nurl = \"https://images.example/{name}\"\n",
    );
    world.start_bridge().await;
    world.start_runner();
    let parent = world.layered_repository("parent", "rawhide");
    let lying =
        "LABEL Release=\"99\" vendor=\"Somebody\" build-date=\"long ago\" description=\"kept\"\n";
    parent.write("Dockerfile", dockerfile("parent", "rawhide") + lying);
    parent.commit("rawhide", "parent: Import");
    parent.push(&["rawhide"]);
    let built = world.finished_run().await;
    let child = world.repository("containers/child");
    let text = dockerfile("child", "rawhide").replace("rawhide/base", "rawhide/parent");
    child.write("Dockerfile", text);
    child.write("hello", "child\n");
    child.commit("rawhide", "child: Import");
    child.push(&["rawhide"]);

    let runs = world.finished_runs(2).await;

    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    assert_eq!(runs[0]["jobs"][0]["pins"][0]["digest"].as_str(), image_digest(&built).as_deref());
    let layers = async |name: &str| {
        let config = world.registry.config(name, "latest").await;
        config["rootfs"]["diff_ids"].as_array().expect("layers").clone()
    };
    let (below, above) = (layers("rawhide/parent").await, layers("rawhide/child").await);
    assert_eq!(above[..below.len()], below, "the child has its parent's layers");

    // What is inherited stays, but for what would be untrue of the child.
    let config = world.registry.config("rawhide/child", "latest").await;
    let labels = &config["config"]["Labels"];
    for (name, value) in [
        ("description", "kept"),
        ("vendor", "Us, for child"),
        ("url", "https://images.example/child"),
        ("architecture", "x86_64"),
        ("release", "1.fc44"),
        ("vcs-ref", runs[0]["commit"].as_str().expect("a commit")),
    ] {
        assert_eq!(labels[name], value, "{name} in {labels:#}");
    }
    let date = labels["build-date"].as_str().expect("a date");
    assert!(chrono::DateTime::parse_from_rfc3339(date).is_ok(), "{date}");
    let url = labels["vcs-url"].as_str().expect("where the sources are");
    assert!(url.contains("containers/child"), "{url}");
    world.nothing_left().await;
}

#[tokio::test]
async fn each_release_has_its_own_numbers_namespace_and_dist_tag() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.git(&["checkout", "-qb", "f43"]);
    httpd.write("Dockerfile", dockerfile("httpd", "f43"));
    httpd.commit("f43", "httpd: Branch f43");

    httpd.push(&["rawhide", "f43"]);
    let runs = world.finished_runs(2).await;

    let mut nvrs: Vec<&str> =
        runs.iter().filter_map(|run| run["jobs"][0]["nvr"].as_str()).collect();
    nvrs.sort_unstable();
    assert_eq!(nvrs, ["httpd-container-1.0-1.fc43", "httpd-container-1.0-1.fc44"]);
    assert!(world.registry.digest("rawhide/httpd", "1.0-1.fc44").await.is_some());
    assert!(world.registry.digest("f43/httpd", "1.0-1.fc43").await.is_some());
    world.nothing_left().await;
}

#[tokio::test]
async fn the_commit_is_pending_while_it_is_built_and_then_told_the_truth() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let text = dockerfile("httpd", "rawhide").replace("RUN ", &format!("RUN {HOLD}; "));
    httpd.write("Dockerfile", text);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let held = world.held().await;
    world.status_says("Running").await;
    let pending = httpd.status(&commit, CONTEXT).await;
    assert_eq!(pending["state"], "pending", "{pending}");
    held.release();
    let run = world.finished_run().await;

    let success = httpd.status(&commit, CONTEXT).await;
    assert_eq!(success["state"], "success", "{success}");
    assert_eq!(success["description"], "Built httpd-container-1.0-1.fc44");
    let page = format!("{}/runs/{}", world.url(), run["id"]);
    assert_eq!(success["url"], page);
    world.nothing_left().await;
}

#[tokio::test]
async fn people_see_the_run_and_its_log() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.write(
        "Dockerfile",
        dockerfile("httpd", "rawhide").replace("RUN ", "RUN echo this is in the log && "),
    );
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let run = world.finished_run().await;

    let log = world.log(&run, "build").await;
    assert!(log.contains("\nthis is in the log\n"), "{log}");
    let told = text(&world.strata(&["logs", &run["id"].to_string()]));
    assert!(told.contains("this is in the log"), "{told}");
    let page = world.page(&format!("/runs/{}", run["id"])).await;
    for shown in ["containers/httpd", "httpd-container-1.0-1.fc44", "rawhide/base", "sha256:"] {
        assert!(page.contains(shown), "{shown} on the run's page");
    }
    assert!(world.page("/").await.contains("containers/httpd"));
    assert!(world.page("/metrics").await.contains("strata_"));
    world.nothing_left().await;
}

#[tokio::test]
async fn another_repository_takes_neither_a_name_nor_a_place_that_are_taken() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let built = world.finished_run().await;
    let other = world.repository("forks/httpd");
    other.write("hello", "not theirs\n");
    let own = dockerfile("httpd", "rawhide");
    let texts = [own.clone(), own.replace("\"httpd-container\"", "\"mine-container\"")];
    for (count, (text, what)) in
        texts.iter().zip(["component `httpd-container`", "rawhide/httpd is built"]).enumerate()
    {
        other.write("Dockerfile", text);
        let commit = other.commit("rawhide", "Take over");
        other.push(&["rawhide"]);
        let run = &world.finished_runs(count + 2).await[0];
        assert_eq!(run["outcome"], "failure", "{run:#}");
        let message = run["jobs"][0]["message"].as_str().expect("words");
        assert!(message.contains(what), "{message}");
        assert!(message.contains("by repository containers/httpd and by no other"), "{message}");
        assert_eq!(other.status(&commit, CONTEXT).await["state"], "failure");
    }
    assert_eq!(world.registry.digest("rawhide/httpd", "latest").await, image_digest(&built));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_failing_command_fails_the_commit_by_file_and_line() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let broken = "RUN echo no rule to make coffee; false && cat";
    let text = dockerfile("httpd", "rawhide").replace("RUN cat", broken);
    httpd.write("Dockerfile", text);
    let commit = httpd.commit("rawhide", "httpd: Break");
    httpd.push(&["rawhide"]);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert_eq!(run["jobs"][0]["attempt"], 1, "their fault is not tried again");
    let status = httpd.status(&commit, CONTEXT).await;
    assert_eq!(status["state"], "failure", "{status}");
    let words = status["description"].as_str().expect("words");
    assert!(words.contains("Dockerfile:3"), "{words}");
    let message = run["jobs"][0]["message"].as_str().expect("words");
    assert!(message.ends_with("exit status 1: no rule to make coffee"), "{message}");
    assert!(world.registry.tags("rawhide/httpd").await.is_empty());
    world.nothing_left().await;
}

fn image_digest(run: &Value) -> Option<String> {
    run["jobs"][0]["image"]["digest"].as_str().map(ToOwned::to_owned)
}
