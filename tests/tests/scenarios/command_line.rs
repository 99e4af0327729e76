//! The commands of maintainers and operators, and what the shell hears of them.

use std::process::{Command, Output};

use scenarios::deliveries::{NULL, push_body};
use scenarios::held::HOLD;
use scenarios::parts::{Process, free_port, output, root, strata};
use scenarios::wait::LONG;
use scenarios::world::{LAYERED_IMAGE, World, dockerfile, text};
use serde_json::Value;

fn alone(arguments: &[&str]) -> Output {
    output(Command::new(strata()).args(arguments).env_remove("STRATA_BRIDGE"))
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[test]
fn lint_names_file_line_and_column() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = dir.path().join("good.yml");
    let bad = dir.path().join("bad.yml");
    std::fs::write(&good, LAYERED_IMAGE).expect("a file");
    std::fs::write(&bad, LAYERED_IMAGE.replace("steps:", "stepz:")).expect("a file");
    let (good, bad) = (good.to_str().expect("utf-8"), bad.to_str().expect("utf-8"));

    let passed = alone(&["lint", good]);
    let refused = alone(&["lint", good, bad]);

    assert_eq!((passed.status.code(), text(&passed).as_str()), (Some(0), ""));
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains(&format!("{bad}:6:5: ")), "{}", text(&refused));
    let found = alone(&["lint", "--json", good, bad]);
    let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!((&found["files"], &found["diagnostics"][0]["line"]), (&2.into(), &6.into()));
    let link = dir.path().join("link.yml");
    std::os::unix::fs::symlink(good, &link).expect("a link");
    let linked = alone(&["lint", link.to_str().expect("utf-8")]);
    assert_eq!(linked.status.code(), Some(1), "{}", text(&linked));
    assert!(text(&linked).contains("is a symbolic link"), "{}", text(&linked));
    let long = dir.path().join("long.yml");
    std::fs::write(&long, "#".repeat(1_100_000)).expect("a file");
    let long = alone(&["lint", long.to_str().expect("utf-8")]);
    assert!(text(&long).contains("has 1100000 bytes"), "{}", text(&long));
    let missing = alone(&["lint", "/nowhere/x.yml"]);
    assert_eq!(missing.status.code(), Some(2), "{}", text(&missing));
    assert!(text(&missing).contains("/nowhere/x.yml"), "{}", text(&missing));
}

#[test]
fn a_build_that_cannot_begin_tells_programs_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("nothing").display().to_string();
    let empty = dir.path().display().to_string();
    for (context, words) in [(&missing, "nothing"), (&empty, "Dockerfile")] {
        let told = alone(&["build-image", "--json", context]);
        assert!(!told.status.success(), "{}", text(&told));
        let value: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let error = value["error"].as_str().expect("an error");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn decode_says_what_a_body_means() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("body.json");
    let commit = "1111111111111111111111111111111111111111";
    let body = push_body("containers/httpd", "refs/heads/f43", (NULL, commit));
    std::fs::write(&file, body.to_string()).expect("a file");
    let file = file.to_str().expect("utf-8");

    let event = json(&alone(&["decode", "--forge", "github", "--event", "push", file]));
    assert_eq!((&event["event"], &event["ref"]), (&"push".into(), &"refs/heads/f43".into()));
    assert_eq!((&event["before"], &event["after"]), (&Value::Null, &commit.into()));
    std::fs::write(file, "{").expect("a file");
    let refused = alone(&["decode", "--forge", "github", "--event", "push", file]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("not JSON"), "{}", text(&refused));
}

#[tokio::test]
async fn a_bridge_behind_tls_is_spoken_to_when_this_machine_trusts_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("utf-8").to_owned();
    let subject = ["-subj", "/CN=bridge", "-addext", "subjectAltName=IP:127.0.0.1"];
    let kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let made = |name: &str| {
        let (certificate, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
        let made = output(
            Command::new("openssl")
                .args(["req", "-x509", "-addext", "basicConstraints=critical,CA:FALSE"])
                .args(kind)
                .args(subject)
                .args(["-keyout", &key, "-out", &certificate]),
        );
        assert!(made.status.success(), "{}", text(&made));
        (certificate, key)
    };
    let ((certificate, key), (stranger, _)) = (made("bridge"), made("stranger"));
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("openssl");
    command.args(["s_server", "-HTTP", "-accept", &address, "-cert", &certificate, "-key", &key]);
    let server = Process::start(dir.path(), "server", command.current_dir(dir.path()));
    server.said("ACCEPT").await;
    let bridge = format!("https://{address}");
    let ask = |trusted: &str| {
        let mut command = Command::new(strata());
        command.args(["stale", "--bridge", &bridge]).env("SSL_CERT_DIR", "/nowhere");
        text(&output(command.env("SSL_CERT_FILE", trusted)))
    };

    // No file of the server is an answer of a bridge, but to say so it has to be heard.
    let heard = ask(&certificate);
    assert!(heard.contains("does not speak like a bridge"), "{heard}");
    let other = ask(&stranger);
    assert!(other.contains("certificate") && other.contains("SSL_CERT_FILE"), "{other}");
    let nobody = ask("/dev/null");
    assert!(nobody.contains("No CA certificates were loaded"), "{nobody}");
}

#[test]
fn the_waves_of_a_graph_file_are_told_without_a_server() {
    let graph = root().join("examples/rebuild/graph.yaml");
    let graph = graph.to_str().expect("utf-8");
    let dir = tempfile::tempdir().expect("a directory");
    let picture = dir.path().join("graph.svg");
    let at = ["--graph", graph, "--at", "2026-03-01T00:00:00Z"];
    let plan = |more: &[&str]| alone(&[&["rebuild", "plan"], &at[..], more].concat());

    let told = plan(&["--svg", picture.to_str().expect("utf-8")]);
    assert!(told.status.success(), "{}", text(&told));
    let lines: Vec<String> = text(&told).lines().map(ToOwned::to_owned).collect();
    let first = "1     containers/base@f43   f43      starts";
    assert!(lines[0].starts_with("WAVE  IMAGE") && lines[1].starts_with(first), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line == "containers/old@f43   held: waits for a new maintainer")
    );
    assert!(std::fs::read_to_string(picture).expect("a picture").starts_with("<svg"));

    let supposed = json(&plan(&["--stale", "node:24", "--json"]));
    let waves = supposed["waves"].as_array().expect("waves");
    let images = waves.iter().flat_map(|wave| wave.as_array().expect("a wave"));
    let images: Vec<&str> = images.filter_map(|one| one["image"].as_str()).collect();
    assert_eq!(images.last(), Some(&"containers/wiki@f43"), "{supposed:#}");
    let slip = plan(&["--stale", "node:25"]);
    assert_eq!(slip.status.code(), Some(2), "{}", text(&slip));
}

#[tokio::test]
async fn explain_says_what_a_push_would_run_and_why_no_more() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.write(
        ".strata/workflows/own.yml",
        LAYERED_IMAGE
            .replace("layered-image", "own")
            .replace("[push, pull_request]", "pull_request"),
    );
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    let config = world.dir().join("strata.toml").display().to_string();
    let bare = httpd.bare().display().to_string();
    let explain = |ref_name: &str, more: &[&str]| {
        let fixed = ["explain", "--config", &config, "--forge", "dist-git", "--repository"];
        let named = [httpd.name(), "--git-dir", &bare, "--ref", ref_name, "--json"];
        alone(&[&fixed, &named[..], more].concat())
    };
    let at = ["--commit", &commit];

    let explained = json(&explain("refs/heads/rawhide", &at));
    assert_eq!(explained["release"], "rawhide");
    assert_eq!(explained["fires"][0]["workflow"], "layered-image");
    assert_eq!(explained["fires"][0]["jobs"][0]["name"], "build");
    assert_eq!(explained["skipped"][0]["path"], ".strata/workflows/own.yml");
    for (ref_name, more, why) in [
        ("refs/heads/topic", &at[..], "belongs to no release"),
        ("refs/tags/v1", &at[..], "v1 is a tag"),
        ("refs/heads/rawhide", &["--deleted"][..], "rawhide is deleted"),
    ] {
        let nothing = explain(ref_name, more);
        assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing));
        assert!(text(&nothing).contains(why), "{}", text(&nothing));
    }
    // A fork's own files do not count; a time that no file asks for fires nothing.
    let fork = [&at[..], &["--event", "pull_request", "--fork"]].concat();
    let explained = json(&explain("refs/heads/rawhide", &fork));
    assert_eq!(explained["fires"].as_array().map(Vec::len), Some(2), "{explained:#}");
    let own = ".strata/workflows/own.yml";
    let due = ["--event", "schedule", "--workflow", own, "--cron", "0 3 * * *"];
    let unasked = explain("refs/heads/rawhide", &[&at[..], &due].concat());
    assert_eq!(unasked.status.code(), Some(1), "{}", text(&unasked));
    assert!(text(&unasked).contains(own), "{}", text(&unasked));
    // A branch by its name, and its head unless told.
    let explained = json(&explain("rawhide", &[]));
    assert_eq!(explained["release"], "rawhide");
    let nowhere = explain("topic", &[]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", text(&nowhere));
    assert!(text(&nowhere).contains("does not tell of a commit"), "{}", text(&nowhere));
    assert_eq!(world.runs().await.len(), 0, "nothing was run by asking");
    world.nothing_left().await;
}

#[tokio::test]
async fn deliveries_are_listed_shown_and_replayed_by_the_operator() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    world.decided().await;
    let list = || json(&world.strata(&["deliveries", "list", "--json"]));
    let id = list()["deliveries"][0]["id"].to_string();

    assert_eq!(list()["deliveries"][0]["event"]["ref"], "refs/heads/rawhide");
    let shown = json(&world.strata(&["deliveries", "show", &id, "--json"]));
    assert_eq!(shown["decoded"]["event"], "push", "{shown}");
    let replayed = json(&world.strata(&["deliveries", "replay", &id, "--json"]));
    assert_eq!(replayed["original"].to_string(), id);
    assert_eq!(world.decided().await["state"], "duplicate");
    assert_eq!(list()["deliveries"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.runs().await.len(), 1, "a replay does nothing twice");

    let wrong = world.write("wrong-token", "not the operator");
    let wrong = wrong.display().to_string();
    let refused = world.strata(&["deliveries", "replay", &id, "--token-file", &wrong]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("operator"), "{}", text(&refused));
    let missing = world.strata(&["deliveries", "show", "999"]);
    assert_eq!(missing.status.code(), Some(1), "{}", text(&missing));
    world.nothing_left().await;
}

#[tokio::test]
async fn logs_follow_a_run_to_its_end_and_tell_how_it_ended() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let script = format!("RUN echo before; {HOLD}; echo afterwards; ");
    httpd.write("Dockerfile", dockerfile("httpd", "rawhide").replace("RUN ", &script));
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let held = world.held().await;
    let id = world.runs().await[0]["id"].to_string();

    let mut command = Command::new(strata());
    command.args(["logs", &id, "--follow", "--bridge", &world.url()]);
    let following = Process::start(world.dir(), "following", &mut command);
    following.said("before").await;
    assert!(!following.log().contains("\nafterwards"));
    held.release();
    following.said("\nafterwards\n").await;
    assert_eq!(following.ended(LONG).await, Some(0));

    let run = world.finished_run().await;
    let list = json(&world.strata(&["runs", "--json"]));
    assert_eq!(list["runs"][0]["id"], run["id"]);
    assert_eq!(list["runs"][0]["outcome"], "success");
    let table = text(&world.strata(&["runs", "--state", "success"]));
    assert!(table.contains("containers/httpd") && table.contains("success"), "{table}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_run_that_failed_fails_the_command_that_followed_it() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.write("Dockerfile", "FROM rawhide/nothing:1\n");
    httpd.commit("rawhide", "httpd: Break");
    httpd.push(&["rawhide"]);
    let run = world.finished_run().await;
    let id = run["id"].to_string();

    let followed = world.strata(&["logs", &id, "--follow"]);
    let shown = world.strata(&["status", &id]);

    assert_eq!(followed.status.code(), Some(1), "{}", text(&followed));
    assert_eq!(shown.status.code(), Some(1), "{}", text(&shown));
    assert!(text(&shown).contains("rawhide/nothing:1"), "{}", text(&shown));
    world.nothing_left().await;
}

#[test]
fn a_bridge_that_is_not_there_is_named() {
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    for verb in [["runs", "--json"], ["logs", "1"], ["status", "1"], ["deliveries", "list"]] {
        let mut arguments = verb.to_vec();
        arguments.extend(["--bridge", &nowhere]);
        let failed = alone(&arguments);
        assert_eq!(failed.status.code(), Some(3), "{verb:?}: {}", text(&failed));
        assert!(text(&failed).contains(&nowhere), "{verb:?}: {}", text(&failed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_start_says_so_once_and_ends() {
    let world = World::start().await;
    let config = world.dir().join("strata.toml");
    let config = config.to_str().expect("utf-8");
    let second = alone(&["bridge", "--config", config]);
    assert_eq!(second.status.code(), Some(1), "{}", text(&second));
    let who = text(&second);
    assert!(who.contains("another bridge, process ") && who.contains("end it"), "{who}");

    let other = world.dir().join("other.toml");
    let written = std::fs::read_to_string(config).expect("the configuration");
    let state = format!("{}/state", world.dir().display());
    std::fs::write(&other, written.replace(&state, &format!("{state}-other"))).expect("a file");
    let runner = world.dir().join("runner-other.toml");
    let address = world.url().replace("http://", "");
    let text_of_runner = format!(
        "bridge_url = \"{}\"\nstate_dir = \"{state}-runner\"\nname = \"other\"\n\
         registration_token_file = \"{}/secrets/registration\"\n",
        world.url(),
        world.dir().display()
    );
    std::fs::write(&runner, text_of_runner).expect("a file");
    let (other, runner) = (other.to_str().expect("utf-8"), runner.to_str().expect("utf-8"));
    let up = alone(&["up", "--config", other, "--runner-config", runner]);
    let said = text(&up);
    assert_eq!(up.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(said.contains("the bridge cannot start"), "{said}");
    world.nothing_left().await;
}

#[test]
fn help_tells_of_every_verb() {
    let help = alone(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for verb in [
        "up",
        "bridge",
        "runner",
        "hook",
        "runs",
        "logs",
        "deliveries",
        "explain",
        "lint",
        "eval",
        "decode",
        "status",
        "clone",
        "switch-branch",
        "build",
        "scratch-build",
        "local",
        "verrel",
        "watch",
    ] {
        let is_told = text(&help).lines().any(|line| line.trim_start().starts_with(verb));
        assert!(is_told, "{verb} in {}", text(&help));
        assert_eq!(alone(&[verb, "--help"]).status.code(), Some(0), "{verb}");
    }
    assert_eq!(alone(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_by_line() {
    let dir = tempfile::tempdir().expect("a directory");
    for role in ["bridge", "runner"] {
        let file = dir.path().join("typo.toml");
        std::fs::write(&file, "state_dir = \"/nowhere\"\nstate_dri = \"x\"\n").expect("a file");
        let refused = alone(&[role, "--config", file.to_str().expect("utf-8")]);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
        assert!(text(&refused).contains("state_dri"), "{}", text(&refused));
    }
}
