//! What maintainers do in a clone, and what they hear.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::time::Duration;

use scenarios::dist_git::Repository;
use scenarios::parts::{output, root, strata, succeed};
use scenarios::world::{World, text};
use serde_json::Value;

/// How long fifty builds may take on two cores with a bare engine.
const MANY_BUILDS: Duration = Duration::from_secs(300);

/// `strata` in a clone, against the bridge of the story.
fn verb(world: &World, clone: &Repository, arguments: &[&str]) -> Output {
    verb_as(world, clone, "secrets/operator", arguments)
}

fn verb_as(world: &World, clone: &Repository, token: &str, arguments: &[&str]) -> Output {
    output(
        Command::new(strata())
            .args(arguments)
            .current_dir(clone.clone_dir())
            .env("XDG_CONFIG_HOME", world.dir().join("config"))
            .env("STRATA_BRIDGE", world.url())
            .env("STRATA_TOKEN_FILE", world.dir().join(token)),
    )
}

fn refused(output: &Output, words: &str) {
    let told = text(output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(words), "{words}\n--- is not in\n{told}");
}

fn well(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

fn nvrs(runs: &[Value]) -> Vec<String> {
    let nvr = |run: &Value| run["jobs"][0]["nvr"].as_str().map(ToOwned::to_owned);
    runs.iter().filter_map(nvr).collect()
}

#[tokio::test]
async fn what_is_not_pushed_is_not_built_and_the_person_hears_what_to_do() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let build = |arguments: &[&str]| {
        let mut all = vec!["build", "--nowait"];
        all.extend(arguments);
        verb(&world, &httpd, &all)
    };
    httpd.commit("rawhide", "httpd: Import");
    refused(&build(&[]), "run `git push -u origin rawhide` first");
    httpd.push_silently(&["rawhide"]);
    httpd.write("hello", "changed\n");
    refused(&build(&[]), "a build would not have them: hello; commit and push them");
    httpd.commit("rawhide", "httpd: Greet");
    refused(&build(&[]), "1 commit of branch `rawhide` not pushed");
    httpd.git(&["checkout", "-q", "--detach"]);
    refused(&build(&[]), "strata switch-branch BRANCH");
    httpd.git(&["checkout", "-q", "rawhide"]);
    httpd.git(&["reset", "-q", "--hard", "HEAD^"]);
    httpd.git(&["commit", "-q", "--allow-empty", "-m", "on the side"]);
    httpd.git(&["push", "-q", "-f", "origin", "HEAD^:refs/heads/topic"]);
    httpd.git(&["checkout", "-q", "-b", "topic", "HEAD^"]);
    refused(&build(&[]), "branch `topic` belongs to no release (configured: rawhide, f43)");
    refused(&verb(&world, &httpd, &["switch-branch", "f44"]), "there is no branch `f44`");
    well(&verb(&world, &httpd, &["switch-branch", "rawhide"]));
    let outside = output(Command::new(strata()).arg("build").current_dir(world.dir()));
    assert_eq!(outside.status.code(), Some(2), "{}", text(&outside));
    assert!(text(&outside).contains("strata clone NAME"), "{}", text(&outside));
    assert_eq!(world.runs().await.len(), 0, "nothing was asked of the bridge");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_maintainer_asks_under_their_own_name_and_once_for_each_key() {
    let mut world = World::prepare().await;
    let token = world.write("secrets/alice", "token-of-alice");
    world.configure(&format!(
        "[[maintainer]]\nname = \"alice\"\ntoken_file = \"{}\"\nrepositories = [\"containers/h*\"]\n",
        token.display()
    ));
    world.start_bridge().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let other = world.layered_repository("nginx", "rawhide");
    for repository in [&httpd, &other] {
        repository.commit("rawhide", "Import");
        repository.push_silently(&["rawhide"]);
    }
    let ask = |clone: &Repository, key: &str, verb: &str| {
        let arguments = [verb, "--nowait", "--key", key];
        verb_as(&world, clone, "secrets/alice", &arguments)
    };

    let first = well(&ask(&httpd, "one", "build"));
    assert_eq!(well(&ask(&httpd, "one", "build")), first, "the same key is the same run");
    refused(&ask(&httpd, "one", "scratch-build"), "take a new key");
    refused(&ask(&other, "two", "build"), "alice may not ask for builds of containers/nginx");
    world.write("secrets/nobody", "token-of-nobody");
    let nobody = verb_as(&world, &httpd, "secrets/nobody", &["build", "--nowait"]);
    refused(&nobody, "the token of a maintainer");

    let runs = world.runs().await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0]["cause"], "asked by alice");
    assert!(first.contains(&format!("/runs/{}", runs[0]["id"])), "{first}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_request_that_was_taken_survives_the_bridge() {
    let mut world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    well(&verb(&world, &httpd, &["build", "--nowait", "--key", "once"]));

    world.kill_bridge();
    world.start_bridge().await;
    well(&verb(&world, &httpd, &["build", "--key", "once"]));

    let run = world.finished_run().await;
    assert_eq!((&run["outcome"], &run["cause"]), (&"success".into(), &"asked by operator".into()));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_build_is_watched_to_its_end_and_verrel_told_its_name_before() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    let verrel = || well(&verb(&world, &httpd, &["verrel"]));
    assert_eq!(verrel(), "httpd-container-1.0-1.fc44\n");

    let told = well(&verb(&world, &httpd, &["build"]));

    for said in ["asked by operator", "httpd-container-1.0-1.fc44 is ", "ended: success"] {
        assert!(told.contains(said), "{said} in {told}");
    }
    assert_eq!(verrel(), "httpd-container-1.0-2.fc44\n");
    assert!(well(&verb(&world, &httpd, &["watch"])).contains("ended: success"));
    let again = verb(&world, &httpd, &["build", "--release", "1.fc44"]);
    refused(&again, "httpd-container-1.0-1.fc44 exists already; raise the release");
    assert_eq!(world.finished_runs(1).await.len(), 1, "refused before there is a run");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_chain_of_three_takes_its_versions_from_its_parents() {
    let world = World::start().await;
    for (name, nvr) in [
        ("core", "core-container-12-1.fc44"),
        ("base", "base-container-12-1.fc44"),
        ("application", "application-container-3.1-1.fc44"),
    ] {
        let repository = world.repository(&format!("containers/{name}"));
        let files = root().join("examples/chain").join(name);
        let mut copy = Command::new("cp");
        succeed(copy.arg("-R").arg(files.join(".")).arg(repository.clone_dir()));
        if name == "core" {
            succeed(&mut Command::new(repository.clone_dir().join("make-rootfs")));
        }
        repository.commit("rawhide", &format!("{name}: Import"));
        repository.push_silently(&["rawhide"]);
        assert_eq!(well(&verb(&world, &repository, &["verrel"])), format!("{nvr}\n"));
        let told = well(&verb(&world, &repository, &["build"]));
        assert!(told.contains(&format!("{nvr} is ")), "{told}");
    }

    let image = format!("{}/rawhide/application:3.1-1.fc44", world.registry.host());
    let said = succeed(Command::new("docker").args(["run", "--rm", "--network=none", &image]));
    succeed(Command::new("docker").args(["rmi", &image]));
    assert_eq!(said, "application, version 3.1, on Strata example");
    let runs = world.finished_runs(3).await;
    let built = runs[1]["jobs"][0]["image"]["digest"].as_str();
    assert_eq!(runs[0]["jobs"][0]["pins"][0]["digest"].as_str(), built, "pinned to its parent");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_scratch_and_an_isolated_build_leave_the_floating_tags_alone() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);

    let scratch = well(&verb(&world, &httpd, &["scratch-build"]));
    assert!(scratch.contains("scratch build asked by operator"), "{scratch}");
    assert_eq!(world.registry.tags("rawhide/httpd").await.len(), 1, "the unique tag only");
    world.finished_runs(1).await;
    let status = httpd.status(&commit, "layered-image / build (scratch)").await;
    assert_eq!(status["state"], "success", "{status}");

    let isolated = verb(&world, &httpd, &["build", "--isolated", "--release", "2.1"]);
    assert!(well(&isolated).contains("httpd-container-1.0-2.1 is "), "{}", text(&isolated));
    let tags = world.registry.tags("rawhide/httpd").await;
    assert_eq!(tags.len(), 3, "two unique tags and a primary one: {tags:?}");
    assert!(tags.iter().any(|tag| tag == "1.0-2.1"), "{tags:?}");
    refused(
        &verb(&world, &httpd, &["build", "--isolated", "--release", "2.1"]),
        "httpd-container-1.0-2.1 exists already",
    );
    refused(
        &verb(&world, &httpd, &["build", "--isolated", "--release", "3"]),
        "release of its own such as 2.1",
    );
    let no_release = verb(&world, &httpd, &["build", "--isolated"]);
    assert_eq!(no_release.status.code(), Some(2), "{}", text(&no_release));
    assert_eq!(world.finished_runs(2).await.len(), 2, "what is refused makes no run");
    world.nothing_left().await;
}

#[tokio::test]
async fn fifty_builds_asked_for_at_once_get_fifty_consecutive_releases() {
    let world = World::start().await;
    let second = world.another_runner();
    let tiny = world.repository("containers/tiny");
    tiny.write(
        "Dockerfile",
        "FROM rawhide/base:latest\nCOPY note /note\n\
         LABEL com.redhat.component=tiny-container name=tiny version=1\n",
    );
    tiny.write("note", "tiny\n");
    let commit = tiny.commit("rawhide", "tiny: Import");
    tiny.push_silently(&["rawhide"]);
    let url = format!("{}/api/v1/builds", world.url());
    let client = reqwest::Client::new();
    let asks = (0..50).map(|number| {
        let body = serde_json::json!({
            "id": format!("request-{number}"), "repository": "containers/tiny",
            "ref": "refs/heads/rawhide", "commit": commit, "mode": "release",
        });
        let ask = client.post(&url).bearer_auth("operator-token-of-the-tests").json(&body).send();
        tokio::spawn(ask)
    });
    for ask in asks.collect::<Vec<_>>() {
        let answer = ask.await.expect("a task").expect("the bridge answers");
        assert_eq!(answer.status(), 202, "{:?}", answer.text().await);
    }

    let runs = world.finished_runs_within(50, MANY_BUILDS).await;

    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    let built: BTreeSet<String> = nvrs(&runs).into_iter().collect();
    let expected: BTreeSet<String> =
        (1..=50).map(|number| format!("tiny-container-1-{number}.fc44")).collect();
    assert_eq!(built, expected);
    let last = runs.iter().find(|run| run["jobs"][0]["nvr"] == "tiny-container-1-50.fc44");
    let digest = last.and_then(|run| run["jobs"][0]["image"]["digest"].as_str());
    assert_eq!(world.registry.digest("rawhide/tiny", "latest").await.as_deref(), digest);
    drop(second);
    world.nothing_left().await;
}

#[test]
fn lint_looks_at_every_file_that_a_build_looks_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let clone = Repository::create(dir.path(), "containers/httpd");
    let lint = || {
        let mut command = Command::new(strata());
        output(
            command.arg("lint").current_dir(clone.clone_dir()).env("XDG_CONFIG_HOME", dir.path()),
        )
    };
    clone.write(
        "Dockerfile",
        "FROM anywhere.example/base:1\n\
         LABEL com.redhat.component=httpd-container name=httpd version=\"$OF_THE_PARENT\"\n",
    );
    clone.write("additional-tags", "stable\n");
    // Which cache and which places a release has, nobody can be asked here.
    let hash = "a".repeat(64);
    clone.write("sources", format!("SHA256 (big.tar.gz) = {hash}\n"));
    let artifacts = format!("- url: https://files.example/a.jar\n  sha256: {hash}\n");
    clone.write("fetch-artifacts-url.yaml", artifacts);
    assert_eq!(well(&lint()), "");

    clone.write("additional-tags", "stable\nno-dash\n");
    assert!(well(&lint()).starts_with("additional-tags:2:1: warning: "), "{}", text(&lint()));
    clone.write(
        "Dockerfile",
        "FROM anywhere.example/base:1\nLABEL com.redhat.component=httpd-container name=Httpd\n  \
         ADD https://mirror.example/a.tar.gz /\n",
    );
    clone.write("container.yaml", "platforms:\n  onyl: x86_64\n");
    clone.write("container.yml", "");
    clone.write(".osbs-repo-config", "[autorebuild]\nenabled = perhaps\n");
    clone.write("sources", "nonsense\n");
    clone.write(".strata/workflows/own.yml", "on: push\njobs:\n  a:\n    runz-on: x\n");
    let told = lint();
    assert_eq!(told.status.code(), Some(1), "{}", text(&told));
    for place in [
        ".strata/workflows/own.yml:4:5: ",
        "Dockerfile:2:1: label `name` cannot be `Httpd`",
        "Dockerfile:3:3: ADD of `https://mirror.example/a.tar.gz` has no checksum",
        "container.yaml:2:3: ",
        "container.yml:1:1: this name has no effect",
        ".osbs-repo-config:2:1: enabled is 0, 1, true, false, yes, no, on or off",
        "sources:1:1: ",
    ] {
        let is_told = text(&told).lines().any(|line| line.starts_with(place));
        assert!(is_told, "{place}\n--- is not in\n{}", text(&told));
    }
}

#[tokio::test]
async fn a_local_build_stays_on_this_machine() {
    let world = World::without_runner().await;
    let name = format!("local{}", std::process::id());
    let clone = world.layered_repository(&name, "rawhide");
    clone.write("help.md", "# Greeting\n");
    clone.commit("rawhide", "Import");
    clone.write("hello", "not committed\n");

    let told = well(&verb(&world, &clone, &["local"]));

    let image = format!("strata-local/{name}:1.0");
    assert!(told.contains(&format!("built {image}")), "{told}");
    let ran = output(Command::new("docker").args(["run", "--rm", "--network=none", &image]));
    let manual = ["run", "--rm", "--network=none", &image, "cat", "/help.1"];
    let manual = text(&output(Command::new("docker").args(manual)));
    let inspect = ["image", "inspect", "--format", "{{index .Config.Labels \"vcs-url\"}}", &image];
    let url = text(&output(Command::new("docker").args(inspect)));
    let removed = output(Command::new("docker").args(["rmi", "-f", &image]));
    assert_eq!(text(&ran), "not committed\n");
    assert!(manual.contains("Greeting"), "{manual}");
    assert!(url.trim_end().ends_with(&format!("containers/{name}.git")), "{url}");
    assert!(removed.status.success(), "{}", text(&removed));
    assert!(world.registry.tags(&format!("rawhide/{name}")).await.is_empty());
    assert_eq!(world.runs().await.len(), 0);
    world.nothing_left().await;
}

#[test]
fn a_clone_is_made_from_the_configured_dist_git() {
    let dir = tempfile::tempdir().expect("a directory");
    let origin = Repository::create(dir.path(), "containers/httpd");
    origin.write("Dockerfile", "FROM scratch\n");
    origin.commit("f43", "Import");
    origin.git(&["push", "-q", "origin", "f43", "f43:rawhide"]);
    let config = dir.path().join("config/strata/config.toml");
    std::fs::create_dir_all(config.parent().expect("a parent")).expect("a directory");
    let setting =
        format!("dist_git = \"file://{}/dist-git/{{repository}}.git\"\n", dir.path().display());
    std::fs::write(&config, &setting).expect("a file");
    let clone = |arguments: &[&str]| {
        let mut command = Command::new(strata());
        command.args(arguments).current_dir(dir.path());
        output(command.env("XDG_CONFIG_HOME", dir.path().join("config")))
    };

    well(&clone(&["clone", "containers/httpd", "--branch", "rawhide"]));
    well(&clone(&["switch-branch", "f43", "--path", "httpd"]));

    let head = std::fs::read_to_string(dir.path().join("httpd/.git/HEAD")).expect("a head");
    assert_eq!(head.trim(), "ref: refs/heads/f43");
    std::fs::write(&config, "dist_gti = \"x\"\n").expect("a file");
    let typo = clone(&["clone", "containers/httpd"]);
    assert_eq!(typo.status.code(), Some(2), "{}", text(&typo));
    assert!(text(&typo).contains("dist_gti"), "{}", text(&typo));
}
