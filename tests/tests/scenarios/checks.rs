//! Check runs of a GitHub App, and the buttons that ask for them again.

use scenarios::deliveries::{Delivery, NULL, pull_request_body, push_body};
use scenarios::dist_git::Repository;
use scenarios::forge::checks::{APP, APP_KEY};
use scenarios::forge::{Forge, Kind};
use scenarios::wait::{LONG, until};
use scenarios::world::{LAYERED_IMAGE, World};
use serde_json::Value;

const REPOSITORY: &str = "containers/httpd";
/// Ends well in its second attempt, and in no other.
const FLAKY: &str = "name: flaky\non: [push, pull_request]\njobs:\n  try:\n    runs-on: docker\n    \
    container: rawhide/base:latest\n    steps: [{run: test \"$GITHUB_RUN_ATTEMPT\" = 2}]\n";
const STEADY: &str = "name: steady\non: [push, pull_request]\njobs:\n  try:\n    runs-on: docker\n    \
    container: rawhide/base:latest\n    steps: [{run: 'true'}]\n";

/// An installation whose forge has an App, and a repository with two workflows.
async fn begin() -> (World, Forge, Repository) {
    let mut world = World::prepare().await;
    let token = "a-token-of-the-installation";
    let forge = Forge::start(Kind::Github, token, world.dir().join("dist-git")).await;
    let key = world.write("secrets/app.pem", APP_KEY);
    world.configure(&format!(
        "[[forge]]\nname = \"hub\"\nkind = \"github\"\napi_url = \"{api}\"\n\
         webhook_secret_file = \"{dir}/secrets/webhook\"\n\
         app = {{ id = {APP}, private_key_file = \"{key}\" }}\nclone_url = \"{clone}\"\n",
        api = forge.api_url(),
        clone = forge.clone_url(),
        dir = world.dir().display(),
        key = key.display(),
    ));
    // No image of the operator's workflow.
    let asked_for = LAYERED_IMAGE.replace("[push, pull_request]", "workflow_dispatch");
    world.write("workflows/layered-image.yml", &asked_for);
    world.start_bridge().await;
    world.start_runner();
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.write(".strata/workflows/flaky.yml", FLAKY);
    httpd.write(".strata/workflows/steady.yml", STEADY);
    (world, forge, httpd)
}

/// Waits until the check runs of a name on a commit are these.
async fn shown(forge: &Forge, commit: &str, name: &str, expected: &[&str]) {
    until(&format!("{expected:?} of {name}"), LONG, async || {
        let checks = forge.checks(commit, name);
        if checks == expected { Ok(()) } else { Err(format!("{checks:?}")) }
    })
    .await;
}

/// What became of the newest delivery.
async fn became(world: &World) -> (String, String) {
    let event = world.decided().await;
    let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    (word("state"), word("reason"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buttons_of_github_make_checks_again_which_are_new_ones_and_end() {
    let (world, forge, httpd) = begin().await;
    forge.add_writer("rose");
    let base = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    let push = push_body(REPOSITORY, "refs/heads/rawhide", (NULL, &base));
    Delivery::github("hub", "push", &push).accepted(&world).await;
    let first = world.finished_runs(2).await;
    shown(&forge, &base, "flaky / try", &["failure"]).await;
    shown(&forge, &base, "steady / try", &["success"]).await;

    forge.take_end_away(&base, "flaky / try");
    let by_nobody = forge.press(&base, "flaky / try", "mallory");
    Delivery::github("hub", "check_run", &by_nobody).accepted(&world).await;
    let (state, reason) = became(&world).await;
    assert_eq!(state, "skipped");
    assert!(reason.contains("asked by mallory: That is for people with write access"), "{reason}");
    shown(&forge, &base, "flaky / try", &["failure"]).await;

    let by_rose = forge.press(&base, "flaky / try", "rose");
    let delivery = Delivery::github("hub", "check_run", &by_rose);
    delivery.accepted(&world).await;
    let runs = world.finished_runs(3).await;
    let again = &runs[0];
    assert_eq!((&again["workflow"], &again["outcome"]), (&"flaky".into(), &"success".into()));
    let failed = first.iter().find(|run| run["workflow"] == "flaky").expect("the first attempt");
    assert_eq!((&again["rerun_of"], &again["attempt"]), (&failed["id"], &2.into()));
    let expected = format!("run {} runs again as run {}", failed["id"], again["id"]);
    assert_eq!(became(&world).await, ("planned".to_owned(), expected));
    shown(&forge, &base, "flaky / try", &["failure", "success"]).await;
    shown(&forge, &base, "steady / try", &["success"]).await;
    assert_eq!(delivery.send(&world).await.status, 200, "a redelivery is the same press");

    httpd.write("hello", "a proposal\n");
    let head = httpd.commit("topic", "httpd: Propose");
    httpd.push_silently(&["topic", "topic:refs/pull/1/head"]);
    let pull = pull_request_body(REPOSITORY, REPOSITORY, "rawhide", (&base, &head));
    forge.propose(&pull);
    Delivery::github("hub", "pull_request", &pull).accepted(&world).await;
    world.finished_runs(5).await;
    shown(&forge, &head, "flaky / try", &["failure"]).await;

    let all = forge.press_all(&head, "rose");
    Delivery::github("hub", "check_suite", &all).accepted(&world).await;
    let runs = world.finished_runs(7).await;
    let outcomes: Vec<&Value> = runs[..2].iter().map(|run| &run["outcome"]).collect();
    assert_eq!(outcomes, ["success", "success"], "{runs:#?}");
    for run in &runs[..2] {
        assert_eq!(
            (&run["attempt"], &run["commit"]),
            (&2.into(), &head.as_str().into()),
            "{run:#}"
        );
    }
    shown(&forge, &head, "flaky / try", &["failure", "success"]).await;
    shown(&forge, &head, "steady / try", &["success", "success"]).await;
    assert_eq!(forge.checks(&base, "flaky / try").len(), 2, "those of the push are left alone");
    world.nothing_left().await;
}
