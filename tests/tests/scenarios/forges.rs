//! Forges that are reached over HTTP: signed deliveries in, commit statuses with a token out.

use std::time::Duration;

use scenarios::deliveries::{Delivery, NULL, pull_request_body, push_body};
use scenarios::dist_git::Repository;
use scenarios::forge::{Forge, Kind};
use scenarios::held::HOLD;
use scenarios::wait::{LONG, SHORT, until};
use scenarios::world::{World, dockerfile, text};
use serde_json::Value;

const CONTEXT: &str = "layered-image / build";
const REPOSITORY: &str = "containers/httpd";
/// The reporter's back-off may have grown to half a minute by then.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(60);

/// An installation that knows this kind of forge, and the forge.
async fn world_of(kind: Kind) -> (World, Forge, Repository) {
    world_with(kind, "").await
}

/// As [`world_of`], with more keys in both releases.
pub(crate) async fn world_with(kind: Kind, release: &str) -> (World, Forge, Repository) {
    let (mut world, forge, httpd) = prepared(kind, release, "").await;
    world.start_bridge().await;
    world.start_runner();
    (world, forge, httpd)
}

/// The same with nothing running yet, and more after the forge's keys.
pub(crate) async fn prepared(kind: Kind, release: &str, more: &str) -> (World, Forge, Repository) {
    let mut world = World::prepare().await;
    world.configure_releases(release);
    let forge = Forge::start(kind, "a-token-for-statuses", world.dir().join("dist-git")).await;
    world.write("secrets/token", "a-token-for-statuses\n");
    world.configure(&format!(
        "[[forge]]\nname = \"far\"\nkind = \"{kind}\"\napi_url = \"{api}\"\n\
         webhook_secret_file = \"{dir}/secrets/webhook\"\ntoken_file = \"{dir}/secrets/token\"\n\
         clone_url = \"{clone}\"\n{more}",
        kind = match kind {
            Kind::Github => "github",
            Kind::Forgejo => "forgejo",
        },
        api = forge.api_url(),
        clone = forge.clone_url(),
        dir = world.dir().display()
    ));
    let httpd = world.layered_repository("httpd", "rawhide");
    (world, forge, httpd)
}

/// The forge's delivery about a push of its own kind.
pub(crate) fn pushed(kind: Kind, commit: &str) -> Delivery {
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
async fn a_forge_that_hangs_holds_up_no_other() {
    // It takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (mut world, _forge, httpd) = prepared(Kind::Github, "", "").await;
    world.configure(&format!(
        "[[forge]]\nname = \"silent\"\nkind = \"git\"\nclone_url = \"http://{address}/{{repository}}\"\n\
         webhook_secret_file = \"{dir}/secrets/webhook\"\n",
        address = silent.local_addr().expect("an address"),
        dir = world.dir().display()
    ));
    world.start_bridge().await;
    world.start_runner();
    for number in 1..=40 {
        let (repository, commit) = (format!("containers/i{number}"), format!("{number:040}"));
        let push = Delivery::plain("silent", &repository, "refs/heads/rawhide", (NULL, &commit));
        push.accepted(&world).await;
    }
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);

    pushed(Kind::Github, &commit).accepted(&world).await;
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!(run["repository"], REPOSITORY);
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
        if log.contains("refuses the token (`Bad credentials`)") { Ok(()) } else { Err(log) }
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

/// Commits a base, which is pushed, and the change of a pull request, which is not.
fn committed(httpd: &Repository) -> (String, String) {
    let base = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    httpd.write("hello", "a proposal\n");
    httpd.write(
        ".strata/workflows/own.yml",
        "name: own\non: pull_request\njobs:\n  look:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    steps:\n      - run: echo the proposal runs this\n",
    );
    let head = httpd.commit("topic", "httpd: Propose");
    (base, head)
}

/// The same, and puts it where forges keep the heads of pull requests.
pub(crate) fn proposed(httpd: &Repository) -> (String, String) {
    let ids = committed(httpd);
    httpd.push_silently(&["topic:refs/pull/1/head"]);
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_whose_forge_makes_its_ref_late_is_built_all_the_same() {
    let (mut world, _forge, httpd) =
        prepared(Kind::Forgejo, "pull_requests = \"open\"\n", "").await;
    world.start_bridge().await;
    let (base, head) = committed(&httpd);
    let body = pull_request_body(REPOSITORY, "stranger/httpd", "rawhide", (&base, &head));
    Delivery::forgejo("far", "pull_request", &body).accepted(&world).await;
    until("a first look for the head", SHORT, async || {
        let list = world.get("/api/v1/deliveries?limit=1").await;
        let event = &list["deliveries"][0]["event"];
        let why = event["reason"].as_str().unwrap_or_default();
        if event["state"] == "new" && why.contains("is gone from") { Ok(()) } else { Err(list) }
            .map_err(|list| list.to_string())
    })
    .await;

    httpd.push_silently(&["topic:refs/pull/1/head"]);

    assert_eq!(world.decided().await["state"], "planned");
    assert_eq!(world.runs().await[0]["commit"], head);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_pull_request_is_built_by_the_rules_of_the_base_and_pushes_nothing() {
    let (world, forge, httpd) = world_with(Kind::Forgejo, "pull_requests = \"open\"\n").await;
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
async fn a_pull_request_whose_head_goes_back_and_forth_is_built_each_time() {
    let (mut world, forge, httpd) = prepared(Kind::Forgejo, "pull_requests = \"open\"\n", "").await;
    world.start_bridge().await;
    let (base, first) = proposed(&httpd);
    httpd.write("hello", "another proposal\n");
    let second = httpd.commit("topic", "httpd: Propose again");
    let told = async |head: &str, time: usize| {
        let mut body = pull_request_body(REPOSITORY, "stranger/httpd", "rawhide", (&base, head));
        body["action"] = if time == 0 { "opened" } else { "synchronized" }.into();
        body["pull_request"]["updated_at"] = format!("2026-01-02T03:04:{time:02}Z").into();
        forge.propose(&body);
        Delivery::forgejo("far", "pull_request", &body).accepted(&world).await;
        world.decided().await
    };
    let is_at = |head: &str| httpd.push_silently(&["--force", &format!("{head}:refs/pull/1/head")]);

    for (time, head) in [&first, &second, &first, &second].into_iter().enumerate() {
        is_at(head);
        let event = told(head, time).await;
        assert_eq!(event["state"], "planned", "{event}");
    }
    let runs = world.runs().await.len();

    // An old delivery once more, in other bytes, as from a second webhook.
    let late = told(&first, 10).await;
    assert_eq!(late["state"], "duplicate", "{late}");
    let why = late["reason"].as_str().expect("a reason");
    assert!(why.ends_with(&format!("pull request 1 is at {} since", &second[..12])), "{why}");
    assert_eq!((runs, world.runs().await.len()), (4, 4));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_forge_refused_is_listed_and_told_once_somebody_asks_again() {
    let (world, forge, httpd) = world_of(Kind::Forgejo).await;
    forge.deny(true);
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    pushed(Kind::Forgejo, &commit).accepted(&world).await;
    until("a run that is over and a status that is refused", LONG, async || {
        let list = world.get("/api/v1/statuses?state=refused").await;
        let state = list["statuses"][0]["state"].as_str().unwrap_or_default().to_owned();
        if state == "success" { Ok(()) } else { Err(list.to_string()) }
    })
    .await;

    let listed = text(&world.strata(&["status", "list", "--refused"]));
    assert!(listed.contains("give it the right to write commit statuses"), "{listed}");
    assert!(listed.contains("Resource not accessible by integration"), "{listed}");
    let behind = text(&world.strata(&["status", "list", "--behind"]));
    assert!(behind.contains("No status matches."), "{behind}");
    assert!(forge.posted().is_empty());
    forge.deny(false);
    let retried = text(&world.strata(&["status", "retry", "--all"]));
    assert!(retried.contains("tried again: 1"), "{retried}");
    shown(&forge, &commit, "success").await;
    assert_eq!(forge.posted().len(), 1, "only the newest words are worth a call");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tag_of_a_test_build_goes_when_its_pull_request_is_closed() {
    let scratch = "[scratch]\nkeep_closed_hours = 0\n";
    let (mut world, _forge, httpd) = prepared(Kind::Github, "", scratch).await;
    world.start_bridge().await;
    world.start_runner();
    let (base, head) = proposed(&httpd);
    let mut body = pull_request_body(REPOSITORY, REPOSITORY, "rawhide", (&base, &head));
    Delivery::github("far", "pull_request", &body).accepted(&world).await;
    let runs = world.finished_runs(2).await;
    let built = runs.iter().find(|run| run["workflow"] == "layered-image").expect("the build");
    let before = world.registry.tags("rawhide/httpd").await;
    assert_eq!(before.len(), 1, "the unique tag alone: {before:?}");

    body["action"] = "closed".into();
    body["pull_request"]["merged"] = false.into();
    Delivery::github("far", "pull_request", &body).accepted(&world).await;
    until("the tag is gone", LONG, async || {
        let tags = world.registry.tags("rawhide/httpd").await;
        let image = world.get(&format!("/api/v1/runs/{}", built["id"])).await;
        let tag = image["jobs"][0]["image"]["tags"][0].clone();
        let is_told = tag["removed_at"].is_string();
        if tags.is_empty() && is_told { Ok(()) } else { Err(format!("{tags:?} {tag}")) }
    })
    .await;
    let digest = built["jobs"][0]["image"]["digest"].as_str().expect("a digest");
    assert_eq!(world.registry.digest("rawhide/httpd", digest).await, None, "the manifest too");
    let page = world.page(&format!("/runs/{}", built["id"])).await;
    assert!(page.contains("taken away"), "the page tells it");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_repository_is_read_with_its_token_and_nobody_is_told_the_token() {
    const TOKEN: &str = "a-token-for-clones";
    let (mut world, forge, httpd) = prepared(Kind::Forgejo, "", "").await;
    let file = world.write("secrets/clone-token", TOKEN);
    world.configure(&format!("clone_token_file = \"{}\"\n", file.display()));
    forge.keep_private(TOKEN);
    world.start_bridge().await;
    world.start_runner();
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);

    pushed(Kind::Forgejo, &commit).accepted(&world).await;
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}\n{}", world.ends_of_logs());
    let told =
        [run.to_string(), world.log(&run, "build").await, world.bridge_log(), world.runner_log()];
    assert!(told.iter().all(|text| !text.contains(TOKEN)), "the token is told somewhere");
    world.nothing_left().await;
}
