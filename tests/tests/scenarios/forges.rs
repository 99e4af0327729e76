//! Forges that are reached over HTTP: signed deliveries in, commit statuses with a token out.

use std::time::Duration;

use scenarios::deliveries::{Delivery, NULL, pull_request_body, push_body};
use scenarios::dist_git::Repository;
use scenarios::forge::{Forge, Kind};
use scenarios::held::HOLD;
use scenarios::wait::{LONG, until};
use scenarios::world::{World, dockerfile};
use serde_json::Value;

const CONTEXT: &str = "layered-image / build";
const REPOSITORY: &str = "containers/httpd";
/// The reporter's back-off may have grown to half a minute by then.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(60);

/// An installation that knows this kind of forge, and the forge.
async fn world_of(kind: Kind) -> (World, Forge, Repository) {
    let mut world = World::prepare().await;
    let forge = Forge::start(kind, "a-token-for-statuses", world.dir().join("dist-git")).await;
    world.write("secrets/token", "a-token-for-statuses\n");
    world.configure(&format!(
        "[[forge]]\nname = \"far\"\nkind = \"{kind}\"\napi_url = \"{api}\"\n\
         webhook_secret_file = \"{dir}/secrets/webhook\"\ntoken_file = \"{dir}/secrets/token\"\n\
         clone_url = \"{clone}\"\n",
        kind = match kind {
            Kind::Github => "github",
            Kind::Forgejo => "forgejo",
        },
        api = forge.api_url(),
        clone = forge.clone_url(),
        dir = world.dir().display()
    ));
    let httpd = world.layered_repository("httpd", "rawhide");
    world.start_bridge().await;
    world.start_runner();
    (world, forge, httpd)
}

/// The forge's delivery about a push of its own kind.
fn pushed(kind: Kind, commit: &str) -> Delivery {
    let body = push_body(REPOSITORY, "refs/heads/rawhide", (NULL, commit));
    match kind {
        Kind::Github => Delivery::github("far", "push", &body),
        Kind::Forgejo => Delivery::forgejo("far", "push", &body),
    }
}

/// Waits until the forge shows that state.
async fn shown(forge: &Forge, commit: &str, state: &str) -> Value {
    until(&format!("status {state} at the forge"), AFTER_AN_OUTAGE, async || {
        let status = forge.status_of(commit, CONTEXT);
        match status {
            Some(status) if status["state"] == state => Ok(status),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn a_push_is_told_from_pending_to_success(kind: Kind) {
    let (world, forge, httpd) = world_of(kind).await;
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);

    pushed(kind, &commit).accepted(&world).await;
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}\n{}", world.ends_of_logs());
    let posted = forge.posted();
    assert!(posted.iter().all(|posted| posted.repository == REPOSITORY && posted.commit == commit));
    assert_eq!(posted.first().expect("a status").status["state"], "pending");
    let last = &posted.last().expect("a status").status;
    assert_eq!(last["state"], "success");
    assert_eq!(last["context"], CONTEXT);
    assert_eq!(last["description"], "Built httpd-container-1.0-1.fc44");
    assert_eq!(last["target_url"], format!("{}/runs/{}", world.url(), run["id"]));
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn github_hears_of_a_push_from_pending_to_success() {
    a_push_is_told_from_pending_to_success(Kind::Github).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgejo_hears_of_a_push_from_pending_to_success() {
    a_push_is_told_from_pending_to_success(Kind::Forgejo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forge_that_was_away_hears_the_outcome_afterwards() {
    let (mut world, forge, httpd) = world_of(Kind::Forgejo).await;
    let text = dockerfile("httpd", "rawhide").replace("RUN ", &format!("RUN {HOLD}; "));
    httpd.write("Dockerfile", text);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    pushed(Kind::Forgejo, &commit).accepted(&world).await;
    let held = world.held().await;
    shown(&forge, &commit, "pending").await;

    forge.outage(true);
    held.release();
    world.status_says("Built httpd-container-1.0-1.fc44").await;
    world.kill_bridge();
    world.start_bridge().await;
    let before = shown(&forge, &commit, "pending").await;
    forge.outage(false);
    let after = shown(&forge, &commit, "success").await;

    assert_ne!(before["description"], after["description"]);
    assert_eq!(world.finished_run().await["outcome"], "success");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forge_that_does_not_serve_git_makes_the_event_wait() {
    let (world, forge, httpd) = world_of(Kind::Github).await;
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    forge.outage(true);

    pushed(Kind::Github, &commit).accepted(&world).await;
    until("a fetch that failed", LONG, async || {
        let log = world.bridge_log();
        if log.contains("503") { Ok(()) } else { Err(log) }
    })
    .await;
    forge.outage(false);
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_forge_refuses_is_told_to_the_operator() {
    let (mut world, forge, httpd) = world_of(Kind::Github).await;
    world.kill_bridge();
    world.write("secrets/token", "an-old-token");
    world.start_bridge().await;
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);

    pushed(Kind::Github, &commit).accepted(&world).await;

    until("a word about the token in the bridge's log", LONG, async || {
        let log = world.bridge_log();
        if log.contains("401") || log.contains("Bad credentials") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(!world.bridge_log().contains("an-old-token"), "a token is never logged");
    until("the image", LONG, async || {
        let runs = world.runs().await;
        if runs[0]["outcome"] == "success" { Ok(()) } else { Err(runs[0].to_string()) }
    })
    .await;
    assert!(forge.posted().is_empty());
    world.nothing_left().await;
}

/// Commits a change of a pull request and puts it where forges keep the heads of those.
fn proposed(httpd: &Repository) -> (String, String) {
    let base = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    httpd.write("hello", "a proposal\n");
    httpd.write(
        ".strata/workflows/own.yml",
        "name: own\non: pull_request\njobs:\n  look:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    steps:\n      - run: echo the proposal runs this\n",
    );
    let head = httpd.commit("topic", "httpd: Propose");
    httpd.push_silently(&["topic:refs/pull/1/head"]);
    (base, head)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_pull_request_is_built_by_the_rules_of_the_base_and_pushes_nothing() {
    let (world, forge, httpd) = world_of(Kind::Forgejo).await;
    let (base, head) = proposed(&httpd);

    let body = pull_request_body(REPOSITORY, "stranger/httpd", "rawhide", (&base, &head));
    Delivery::forgejo("far", "pull_request", &body).accepted(&world).await;
    let run = world.finished_run().await;

    assert_eq!(run["trust"], "untrusted", "{run:#}");
    assert_eq!(run["workflow"], "layered-image", "the proposal's own workflow does not count");
    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!(run["jobs"][0]["image"], Value::Null);
    assert!(world.registry.tags("rawhide/httpd").await.is_empty(), "nothing was pushed");
    assert_eq!(shown(&forge, &head, "success").await["context"], CONTEXT);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_from_inside_is_a_scratch_build_by_its_own_rules() {
    let (world, forge, httpd) = world_of(Kind::Github).await;
    let (base, head) = proposed(&httpd);

    let body = pull_request_body(REPOSITORY, REPOSITORY, "rawhide", (&base, &head));
    Delivery::github("far", "pull_request", &body).accepted(&world).await;
    let runs = world.finished_runs(2).await;

    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    let own = runs.iter().find(|run| run["workflow"] == "own").expect("the proposal's workflow");
    assert!(world.log(own, "look").await.contains("the proposal runs this"));
    let built = runs.iter().find(|run| run["workflow"] == "layered-image").expect("the build");
    let image = &built["jobs"][0]["image"];
    assert_eq!((&image["mode"], &image["nvr"]), (&"scratch".into(), &Value::Null), "{image:#}");
    let tags = world.registry.tags("rawhide/httpd").await;
    assert_eq!(tags.len(), 1, "the unique tag alone: {tags:?}");
    shown(&forge, &head, "success").await;
    world.nothing_left().await;
}
