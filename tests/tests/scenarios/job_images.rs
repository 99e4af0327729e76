//! Files that were written for other services, whose jobs name no image.

use scenarios::dist_git::Repository;
use scenarios::own_workflow::PATH;
use scenarios::parts::{output, strata};
use scenarios::world::{World, text};

/// What most files of other services look like: labels, and no `container`.
const FILE: &str = "name: own\non: push\njobs:\n  test:\n    runs-on: ${{ matrix.os }}\n    \
    strategy: {matrix: {os: [docker]}}\n    steps:\n      - uses: actions/checkout@v4\n      \
    - run: echo \"in $PWD for ${{ matrix.os }}\"\n";

#[tokio::test]
async fn a_label_stands_for_an_image_that_is_pinned_like_every_other() {
    let mut world = World::prepare().await;
    world.configure_releases("job_images = { docker = \"rawhide/base:latest\" }\n");
    world.start_bridge().await;
    world.start_runner();
    let repository = world.repository_with(FILE);
    let commit = repository.commit("rawhide", "httpd: Import");
    repository.push(&["rawhide"]);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    let log = world.log(&run, "test (docker)").await;
    assert!(log.contains("in /workspace for docker"), "{log}");
    let pins = &run["jobs"][0]["pins"];
    assert_eq!(pins[0]["written"], "rawhide/base:latest", "{pins:#}");
    let digest = pins[0]["digest"].as_str().expect("a digest");
    assert!(digest.starts_with("sha256:"), "{pins:#}");

    let config = world.dir().join("strata.toml").display().to_string();
    let clone = repository.clone_dir().display().to_string();
    let explain = ["explain", "--config", &config, "--repository", "containers/httpd"];
    let more = ["--git-dir", &clone, "--ref", "refs/heads/rawhide", "--commit", &commit];
    let explained = world.strata(&[&explain[..], &more].concat());
    let told = text(&explained);
    assert!(told.contains("rawhide/base:latest (for docker)"), "{told}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_label_without_an_image_is_refused_when_the_run_is_planned() {
    let mut world = World::prepare().await;
    world.configure_releases("job_images = { ubuntu-latest = \"rawhide/base:latest\" }\n");
    world.start_bridge().await;
    let repository = world.push_workflow(FILE);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    let told = run.to_string();
    assert!(told.contains("there is no image for `docker`"), "{told}");
    assert!(told.contains("[release.job_images]"), "{told}");
    // A clone does not know what the operator says; the file has no fault.
    let mut lint = std::process::Command::new(strata());
    let linted = output(lint.current_dir(repository.clone_dir()).args(["lint", PATH]));
    assert!(linted.status.success(), "{}", text(&linted));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_run_on_this_machine_is_told_the_image_of_a_label() {
    let world = World::prepare().await;
    let clone = Repository::create(world.dir(), "containers/local");
    clone.write(PATH, FILE);
    clone.commit("rawhide", "Import");
    let run = |more: &[&str]| {
        let mut command = std::process::Command::new(strata());
        command.current_dir(clone.clone_dir()).env("TMPDIR", world.dir());
        output(command.args(["run", PATH]).args(more))
    };
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("`strata run` takes `--image`"), "{}", text(&refused));

    let image = format!("docker={}/rawhide/base:latest", world.registry.host());
    let ran = run(&["--image", &image]);

    assert!(text(&ran).contains("in /workspace for docker"), "{}", text(&ran));
    assert!(ran.status.success(), "{}", text(&ran));
    world.nothing_left().await;
}
