//! What builds take from earlier ones, and from whose.

use scenarios::deliveries::{Delivery, pull_request_body, push_body};
use scenarios::forge::Kind;
use scenarios::world::{World, dockerfile, engine, text};
use serde_json::Value;

use super::forges::{proposed, world_with};

const REPOSITORY: &str = "containers/httpd";
/// What the log says of a step that was not carried out.
const KEPT: &str = "Strata: kept from ";
/// Release builds take commands too.
const RELEASE_CACHE: &str = "[release.cache]\nrelease_max_age_hours = 1\n";

async fn world(release: &str) -> World {
    let mut world = World::prepare().await;
    world.configure_releases(release);
    world.start_bridge().await;
    world.start_runner();
    world
}

/// The steps that a run did not carry out, as its log tells them.
fn kept(world: &World, run: &Value) -> Vec<String> {
    let log = text(&world.strata(&["logs", &run["id"].to_string()]));
    let lines = log.lines().filter_map(|line| line.split_once(KEPT));
    lines.filter_map(|(_, rest)| Some(rest.split_once(": ")?.1.to_owned())).collect()
}

#[tokio::test]
async fn a_second_push_with_one_changed_file_takes_over_the_steps_before_it() {
    // Only Strata's own builder keeps steps.
    if engine() != "strata" {
        return;
    }
    let world = world(RELEASE_CACHE).await;
    let httpd = world.repository(REPOSITORY);
    let more = "COPY late /etc/late\nRUN cat /etc/late > /etc/last\n";
    httpd.write("Dockerfile", dockerfile("httpd", "rawhide") + more);
    httpd.write("hello", "hello\n");
    httpd.write("late", "first\n");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let first = world.finished_run().await;
    assert_eq!(kept(&world, &first), Vec::<String>::new());
    httpd.write("late", "second\n");
    httpd.commit("rawhide", "httpd: Change one file");
    httpd.push(&["rawhide"]);
    let runs = world.finished_runs(2).await;

    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    let expected = ["COPY hello /etc/hello", "RUN cat /etc/hello > /etc/copy"];
    assert_eq!(kept(&world, &runs[0]), expected);
    let shown = text(&world.strata(&["show", "httpd-container-1.0-2.fc44", "--json"]));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let steps = &shown["record"]["evidence"]["kept_steps"];
    let steps: Vec<_> = steps.as_array().into_iter().flatten().collect();
    assert_eq!(steps.len(), 2, "{shown:#}");
    assert_eq!(steps[1]["instruction"], expected[1]);
    let layers = async |tag: &str| {
        let config = world.registry.config("rawhide/httpd", tag).await;
        config["rootfs"]["diff_ids"].as_array().expect("layers").clone()
    };
    let (old, new) = (layers("1.0-1.fc44").await, layers("1.0-2.fc44").await);
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    assert_eq!((old.len(), same), (new.len(), new.len() - 2));
    world.nothing_left().await;
}

#[tokio::test]
async fn commands_of_release_builds_always_run_unless_the_operator_says_otherwise() {
    let world = world("").await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    world.finished_run().await;
    httpd.write("beside", "nothing of the image\n");
    httpd.commit("rawhide", "httpd: Change nothing");
    httpd.push(&["rawhide"]);
    let runs = world.finished_runs(2).await;

    let commands = kept(&world, &runs[0]).into_iter().filter(|step| step.starts_with("RUN"));
    assert_eq!(commands.count(), 0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_change_takes_trusted_steps_and_leaves_none_to_trusted_builds() {
    if engine() != "strata" {
        return;
    }
    let release = format!("pull_requests = \"open\"\n{RELEASE_CACHE}");
    let (world, _forge, httpd) = world_with(Kind::Forgejo, &release).await;
    let (base, head) = proposed(&httpd);
    let propose = async |action: &str, head: &str| {
        let ids = (base.as_str(), head);
        let mut body = pull_request_body(REPOSITORY, "stranger/httpd", "rawhide", ids);
        body["action"] = action.into();
        Delivery::forgejo("far", "pull_request", &body).accepted(&world).await;
    };
    propose("opened", &head).await;
    let run = world.finished_run().await;
    assert_eq!((&run["trust"], &run["outcome"]), (&"untrusted".into(), &"success".into()));

    // The same commit, merged: nothing that the stranger's build made is taken.
    httpd.push_silently(&["topic:rawhide"]);
    let body = push_body(REPOSITORY, "refs/heads/rawhide", (&base, &head));
    Delivery::forgejo("far", "push", &body).accepted(&world).await;
    let runs = world.finished_runs(2).await;
    let merged = runs.iter().find(|run| run["trust"] == "trusted").expect("the push's run");
    assert_eq!(merged["outcome"], "success", "{merged:#}");
    assert_eq!(kept(&world, merged), Vec::<String>::new());

    // Another stranger's change finds what the trusted build left.
    httpd.write("beside", "nothing of the image\n");
    let next = httpd.commit("topic", "httpd: Propose again");
    httpd.push_silently(&["topic:refs/pull/2/head"]);
    let ids = (head.as_str(), next.as_str());
    let mut body = pull_request_body(REPOSITORY, "other/httpd", "rawhide", ids);
    body["number"] = 2.into();
    Delivery::forgejo("far", "pull_request", &body).accepted(&world).await;
    let runs = world.finished_runs(3).await;
    let other = runs.iter().find(|run| run["commit"] == next.as_str()).expect("its run");
    let expected = ["COPY hello /etc/hello", "RUN cat /etc/hello > /etc/copy"];
    assert_eq!(
        (&other["trust"], kept(&world, other)),
        (&"untrusted".into(), expected.map(String::from).to_vec())
    );
    world.nothing_left().await;
}
