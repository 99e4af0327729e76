//! Big files: uploaded by a packager, listed in `sources`, brought into a build.

use std::process::Command;

use scenarios::dist_git::Repository;
use scenarios::parts::{output, strata, succeed};
use scenarios::world::{World, dockerfile, text};
use serde_json::Value;

/// Token with which packagers upload.
const UPLOAD_TOKEN: &str = "upload-token-of-the-stories";

/// An installation with a lookaside cache of its own, which its releases use.
async fn world() -> World {
    let mut world = World::prepare().await;
    let (dir, url) = (world.dir().display().to_string(), world.url());
    world.write("secrets/upload", UPLOAD_TOKEN);
    world.configure(&format!(
        "[lookaside]\ndirectory = \"{dir}/lookaside\"\n\
         upload_token_file = \"{dir}/secrets/upload\"\n"
    ));
    world.configure_releases(&format!("lookaside = {{ url = \"{url}/lookaside\" }}\n"));
    world.start_bridge().await;
    world.start_runner();
    world
}

/// A layered image whose greeting is in the lookaside cache, uploaded and committed.
fn uploaded(world: &World, greeting: &str) -> Repository {
    let httpd = world.layered_repository("httpd", "rawhide");
    let path = httpd.clone_dir().display().to_string();
    let token = world.dir().join("secrets/upload").display().to_string();
    httpd.write("hello", greeting);
    let file = httpd.clone_dir().join("hello").display().to_string();
    let said = world.strata(&["new-sources", &file, "--path", &path, "--token-file", &token]);
    assert!(said.status.success(), "{}", text(&said));
    httpd.commit("rawhide", "httpd: Import");
    let tracked = httpd.git(&["ls-files"]);
    let mut tracked: Vec<&str> = tracked.lines().collect();
    tracked.sort_unstable();
    assert_eq!(tracked, [".gitignore", "Dockerfile", "sources"], "the file itself is not in git");
    httpd
}

/// The one file in the lookaside cache.
fn stored(world: &World) -> std::path::PathBuf {
    let mut path = world.dir().join("lookaside/containers/httpd");
    while path.is_dir() {
        let mut entries = std::fs::read_dir(&path).expect("a directory");
        path = entries.next().expect("an entry").expect("an entry").path();
    }
    path
}

#[tokio::test]
async fn a_listed_file_is_in_the_image() {
    let world = world().await;
    let httpd = uploaded(&world, "hello from the cache\n");
    httpd.push(&["rawhide"]);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    let id = run["id"].to_string();
    let log = text(&world.strata(&["logs", &id]));
    assert!(log.contains("hello: 21 bytes, checksum is right"), "{log}");

    let nvr = run["jobs"][0]["nvr"].as_str().expect("an NVR");
    let shown = world.strata(&["show", nvr, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let recorded = &shown["record"]["evidence"]["sources"][0];
    assert_eq!(recorded["name"], "hello", "{recorded:#}");
    let listed = std::fs::read_to_string(httpd.clone_dir().join("sources")).expect("sources");
    let checksum = recorded["checksum"].as_str().expect("a checksum");
    assert!(listed.contains(checksum), "{checksum} in {listed}");

    // A packager's clone has it by one command.
    let path = httpd.clone_dir().display().to_string();
    std::fs::remove_file(httpd.clone_dir().join("hello")).expect("the file goes");
    let fetched = world.strata(&["sources", "--path", &path]);
    assert!(fetched.status.success(), "{}", text(&fetched));
    let hello = std::fs::read_to_string(httpd.clone_dir().join("hello")).expect("the file");
    assert_eq!(hello, "hello from the cache\n");

    // The next build finds it on the runner, even when the cache has lost it.
    std::fs::remove_file(stored(&world)).expect("the file goes");
    httpd.commit("rawhide", "httpd: Rebuild");
    httpd.push(&["rawhide"]);
    let runs = world.finished_runs(2).await;
    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_local_build_brings_what_is_listed_and_sets_its_release() {
    let world = world().await;
    let httpd = uploaded(&world, "hello from the cache\n");
    let name = format!("local{}", std::process::id());
    let dockerfile =
        dockerfile(&name, "rawhide").replace("> /etc/copy", "> /etc/copy; echo $REL >> /etc/copy");
    httpd.write("Dockerfile", dockerfile);
    httpd.write("container.yaml", "set_release_env: REL\n");
    std::fs::remove_file(httpd.clone_dir().join("hello")).expect("the file goes");
    let local = || {
        output(
            Command::new(strata())
                .args(["local"])
                .current_dir(httpd.clone_dir())
                .env("XDG_CONFIG_HOME", world.dir().join("config"))
                .env("STRATA_BRIDGE", world.url()),
        )
    };

    let told = local();

    assert!(told.status.success(), "{}", text(&told));
    let image = format!("strata-local/{name}:1.0");
    let ran = output(Command::new("docker").args(["run", "--rm", "--network=none", &image]));
    succeed(Command::new("docker").args(["rmi", "-f", &image]));
    assert_eq!(text(&ran), "hello from the cache\n0.local\n");
    // What is here under that name and is another stays, and is not built.
    httpd.write("hello", "of the packager\n");
    let refused = local();
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("move it away"), "{}", text(&refused));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_wrong_file_is_the_packagers_failure() {
    let world = world().await;
    let httpd = uploaded(&world, "hello to be replaced\n");
    std::fs::write(stored(&world), "an intruder\n").expect("another file");
    httpd.push(&["rawhide"]);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    let told = run.to_string();
    assert!(told.contains("wrong checksum"), "{run:#}");
    assert!(world.registry.tags("rawhide/httpd").await.is_empty());
    world.nothing_left().await;
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let world = world().await;
    let httpd = uploaded(&world, "hello to be lost\n");
    std::fs::remove_file(stored(&world)).expect("the file goes");
    httpd.push(&["rawhide"]);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    let told = run.to_string();
    assert!(told.contains("`hello`: not in the lookaside cache"), "{run:#}");
    world.nothing_left().await;
}
