//! `strata run`: workflows of a working tree on this machine, without a bridge.

use std::process::{Command, Stdio};

use scenarios::parts::{output, strata, succeed};
use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};

const FILE: &str = ".strata/workflows/ci.yml";

/// A clone with this workflow, whose jobs run in the base image.
fn clone_with(world: &World, jobs: &str) -> scenarios::dist_git::Repository {
    let clone = scenarios::dist_git::Repository::create(world.dir(), "containers/local");
    let image = format!("{}/rawhide/base:latest", world.registry.host());
    let jobs = jobs.replace("IMAGE", &image);
    clone.write(
        FILE,
        format!("name: ci\nrun-name: Of ${{{{ inputs.who }}}}\non: push\njobs:\n{jobs}"),
    );
    clone.write("act/action.yml", format!(
        "runs: {{using: docker, image: 'docker://{image}', entrypoint: /bin/echo, args: [acting]}}\n"
    ));
    clone.commit("rawhide", "Import");
    clone
}

fn run(world: &World, clone: &scenarios::dist_git::Repository) -> Command {
    let mut command = Command::new(strata());
    // What it keeps is in a directory that the story looks at.
    command.current_dir(clone.clone_dir()).env("TMPDIR", world.dir().join("tmp"));
    command.args(["run", FILE]);
    std::fs::create_dir_all(world.dir().join("tmp")).expect("a directory");
    command
}

fn nothing_left(world: &World) {
    let kept: Vec<_> = std::fs::read_dir(world.dir().join("tmp")).expect("it is there").collect();
    assert!(kept.is_empty(), "{kept:?}");
    let mounts =
        succeed(Command::new("docker").args(["ps", "-a", "--no-trunc", "--format", "{{.Mounts}}"]));
    let own = world.dir().to_str().expect("utf-8");
    assert!(!mounts.contains(own), "{mounts}");
}

#[tokio::test]
async fn a_working_tree_runs_as_a_push_would_and_leaves_nothing() {
    let world = World::prepare().await;
    let clone = clone_with(
        &world,
        r#"  first:
    runs-on: x
    container: IMAGE
    outputs: {word: '${{ steps.w.outputs.word }}'}
    steps:
      - id: w
        run: echo "word=$(cat changed)" >>"$GITHUB_OUTPUT"
      - uses: ./act
      - run: echo "secret $TOKEN"
        env: {TOKEN: '${{ secrets.TOKEN }}'}
  second:
    runs-on: x
    container: IMAGE
    needs: first
    strategy: {matrix: {n: [1, 2]}, fail-fast: false}
    steps:
      - run: echo "second ${{ matrix.n }} ${{ needs.first.outputs.word }} for ${{ inputs.who }}"
      - run: test ${{ matrix.n }} = 1
  third:
    runs-on: x
    container: IMAGE
    needs: second
    steps: [{run: echo never}]
"#,
    );
    // Not committed, and seen all the same.
    clone.write("changed", "fresh");
    let ran = output(
        run(&world, &clone)
            .args(["--input", "who=me", "--secret", "TOKEN"])
            .env("TOKEN", "hush-hush"),
    );
    let said = text(&ran);
    for words in [
        "Of me",
        "[first] acting",
        "[first] secret ***",
        "[second (1)] second 1 fresh for me",
        "[second (2)] second 2 fresh for me",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    assert!(!said.contains("hush-hush") && !said.contains("] never"), "{said}");
    assert_eq!(ran.status.code(), Some(1), "{said}");

    let narrow = ["--job", "second", "--matrix", "n=1", "--json"];
    let ran = output(run(&world, &clone).args(narrow));
    let told: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(told["outcome"], "success", "{told:#}");
    let names: Vec<_> =
        told["jobs"].as_array().expect("jobs").iter().map(|job| &job["name"]).collect();
    assert_eq!(names, ["first", "second (1)"]);
    assert_eq!(told["jobs"][0]["outputs"]["word"], "fresh");
    assert!(ran.status.success());

    let planned = text(&output(run(&world, &clone).arg("--dry-run")));
    assert!(planned.contains("third") && !planned.contains("[first]"), "{planned}");
    nothing_left(&world);
    world.nothing_left().await;
}

#[tokio::test]
async fn an_interrupted_run_ends_its_steps_and_leaves_nothing() {
    let world = World::prepare().await;
    let clone = clone_with(
        &world,
        "  only:\n    runs-on: x\n    container: IMAGE\n    steps:\n      - run: |\n          \
         trap 'echo tidied up; exit 1' TERM\n          echo sleeping\n          sleep 600 &\n          \
         wait\n      - run: echo at the end\n        if: always()\n",
    );
    let log = world.dir().join("run.log");
    let file = std::fs::File::create(&log).expect("a file");
    let mut child =
        run(&world, &clone).stdout(file).stderr(Stdio::null()).spawn().expect("strata starts");
    let said = || std::fs::read_to_string(&log).expect("the output");
    until("the step runs", LONG, async || {
        if said().contains("[only] sleeping") { Ok(()) } else { Err(said()) }
    })
    .await;
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let status =
        until("the end", LONG, async || child.try_wait().expect("a child").ok_or_else(said)).await;
    let said = said();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("tidied up") && said.contains("[only] at the end"), "{said}");
    nothing_left(&world);
    world.nothing_left().await;
}
