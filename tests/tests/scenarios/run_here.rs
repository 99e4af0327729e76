//! `strata run`: workflows of a working tree on this machine, without a bridge.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use scenarios::dist_git::Repository;
use scenarios::parts::{lines_of_docker, output, strata, succeed};
use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};

const FILE: &str = ".strata/workflows/ci.yml";

/// A clone with this workflow, whose jobs run in the base image.
fn clone_with(world: &World, jobs: &str) -> Repository {
    let clone = Repository::create(world.dir(), "containers/local");
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

fn run(world: &World, clone: &Repository) -> Command {
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

const SLEEPER: &str = "  only:\n    runs-on: x\n    container: IMAGE\n    services:\n      \
    beside: {image: IMAGE, command: sleep 600, volumes: [/data]}\n    steps:\n      - run: |\n          \
    trap 'echo tidied up; exit 1' TERM\n          echo sleeping\n          sleep 600 &\n          \
    wait\n      - run: echo at the end\n        if: always()\n";

/// A run whose step has begun to sleep; what it says goes to the file.
async fn sleeping(world: &World, clone: &Repository, log: &Path) -> Child {
    let file = std::fs::File::create(log).expect("a file");
    let child = run(world, clone).stdout(file).stderr(Stdio::null()).spawn();
    until("the step runs", LONG, async || {
        let said = said(log);
        if said.contains("[only] sleeping") { Ok(()) } else { Err(said) }
    })
    .await;
    child.expect("strata starts")
}

fn said(log: &Path) -> String {
    std::fs::read_to_string(log).expect("the output")
}

#[tokio::test]
async fn an_interrupted_run_ends_its_steps_and_leaves_nothing() {
    let world = World::prepare().await;
    let clone = clone_with(&world, SLEEPER);
    for signal in ["-INT", "-TERM"] {
        let log = world.dir().join("run.log");
        let mut child = sleeping(&world, &clone, &log).await;
        succeed(Command::new("kill").args([signal, &child.id().to_string()]));
        let ended = async || child.try_wait().expect("a child").ok_or_else(|| said(&log));
        let status = until("the end", LONG, ended).await;
        let said = said(&log);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("tidied up") && said.contains("[only] at the end"), "{said}");
        nothing_left(&world);
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn jobs_that_ask_for_it_run_after_the_run_was_stopped_and_a_second_wish_ends_them_too() {
    let world = World::prepare().await;
    let last = "  last:\n    runs-on: x\n    container: IMAGE\n    needs: only\n    if: always()\n    \
                steps:\n      - run: echo the last begins\n      - run: sleep 20; echo the last ends\n";
    let other = "  other:\n    runs-on: x\n    container: IMAGE\n    needs: only\n    if: cancelled()\n    \
                 steps: [{run: echo other runs}]\n  never:\n    runs-on: x\n    container: IMAGE\n    \
                 needs: only\n    steps: [{run: echo never runs}]\n";
    for hurried in [false, true] {
        let jobs =
            if hurried { format!("{SLEEPER}{last}") } else { format!("{SLEEPER}{other}{last}") };
        let jobs = if hurried { jobs } else { jobs.replace("sleep 20; ", "") };
        let clone = clone_with(&world, &jobs);
        let log = world.dir().join("run.log");
        let mut child = sleeping(&world, &clone, &log).await;
        let interrupt = || succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
        interrupt();
        until("the last job runs", LONG, async || {
            let said = said(&log);
            if said.contains("[last] the last begins") { Ok(()) } else { Err(said) }
        })
        .await;
        if hurried {
            interrupt();
        }
        let ended = async || child.try_wait().expect("a child").ok_or_else(|| said(&log));
        let status = until("the end", LONG, ended).await;
        let said = said(&log);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("[only] tidied up"), "{said}");
        assert_eq!(said.contains("[last] the last ends"), !hurried, "{said}");
        assert_eq!(said.contains("[other] other runs"), !hurried, "{said}");
        assert!(!said.contains("] never runs"), "{said}");
        std::fs::remove_dir_all(clone.clone_dir()).expect("a clone");
        nothing_left(&world);
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn what_a_killed_run_left_goes_with_the_next_one() {
    let world = World::prepare().await;
    let clone = clone_with(&world, SLEEPER);
    let log = world.dir().join("run.log");
    let mut child = sleeping(&world, &clone, &log).await;
    child.kill().expect("it can be killed");
    child.wait().expect("it is over");
    let owner = std::fs::read_dir(world.dir().join("tmp")).expect("it is there");
    let owner = owner.flatten().next().expect("its directory").file_name();
    let owner = owner.to_str().expect("utf-8").strip_prefix("strata-run-").expect("a name");
    let label = format!("label=strata.owner={owner}");
    let left = || {
        let of = |what: &[&str]| lines_of_docker(&[what, &["-q", "--filter", &label]].concat());
        [of(&["ps", "-a"]), of(&["network", "ls"]), of(&["volume", "ls"])].map(|ids| ids.len())
    };
    assert_eq!(left(), [2, 1, 1], "the step and its service, their network, a volume");

    let quick = "  only:\n    runs-on: x\n    container: IMAGE\n    steps: [{run: echo quick}]\n";
    let image = format!("{}/rawhide/base:latest", world.registry.host());
    clone.write(FILE, format!("on: push\njobs:\n{}", quick.replace("IMAGE", &image)));
    let ran = output(&mut run(&world, &clone));

    assert!(text(&ran).contains("[only] quick"), "{}", text(&ran));
    assert_eq!(left(), [0, 0, 0], "{}", text(&ran));
    nothing_left(&world);
    world.nothing_left().await;
}

#[tokio::test]
async fn actions_of_other_repositories_services_and_inputs_are_there_as_at_the_bridge() {
    let world = World::prepare().await;
    world.registry.push_redis("rawhide/redis", "7").await;
    let image = format!("{}/rawhide/base:latest", world.registry.host());
    let greet = Repository::create(world.dir(), "tools/greet");
    greet.write(
        "say/action.yml",
        "inputs: {who: {required: true}}\noutputs:\n  said: {value: '${{ steps.s.outputs.said }}'}\n\
         runs:\n  using: composite\n  steps:\n    - id: s\n      shell: sh\n      run: |\n        \
         echo \"greeting $(cat $GITHUB_ACTION_PATH/../word)\"\n        \
         echo \"said=hello ${{ inputs.who }}\" >>\"$GITHUB_OUTPUT\"\n    \
         - uses: tools/image@main\n",
    );
    greet.write("word", "from v1");
    let first = greet.commit("main", "Import");
    greet.git(&["tag", "v1"]);
    greet.write("word", "from main");
    greet.commit("main", "Change");
    greet.push(&["main", "v1"]);
    let inner = Repository::create(world.dir(), "tools/image");
    inner.write("action.yml", "runs: {using: docker, image: Dockerfile, args: [acting]}\n");
    inner.write("Dockerfile", format!("FROM {image}\nENTRYPOINT [\"/bin/echo\", \"built\"]\n"));
    inner.commit("main", "Import");
    inner.push(&["main"]);
    let clone = clone_with(&world, "  x: {runs-on: x, steps: [{uses: strata/checkout}]}\n");
    let workflow = r#"name: ci
on:
  workflow_dispatch:
    inputs:
      who: {required: true}
      loud: {type: boolean, default: true}
      count: {type: number, default: 3}
jobs:
  only:
    runs-on: x
    container: IMAGE
    services:
      redis:
        image: REDIS
        command: sh -c 'exec redis-server --save "" --protected-mode no'
        options: --health-cmd "redis-cli ping" --health-interval 500ms --user 0:0
    steps:
      - run: printf 'PING\r\nQUIT\r\n' | nc redis 6379
      - id: greet
        uses: tools/greet/say@v1
        with: {who: '${{ inputs.who }}'}
      - run: echo "${{ steps.greet.outputs.said }}, ${{ inputs.count == 3 }} ${{ github.event.inputs.who }}"
        if: inputs.loud
"#;
    let redis = format!("{}/rawhide/redis:7", world.registry.host());
    clone.write(FILE, workflow.replace("IMAGE", &image).replace("REDIS", &redis));
    let dispatch = |more: &[&str]| {
        let ran = output(run(&world, &clone).args(["--event", "workflow_dispatch"]).args(more));
        (ran.status.code(), text(&ran))
    };

    let (code, said) = dispatch(&["-i", "who=you"]);
    assert_eq!(code, Some(0), "{said}");
    for words in [
        "[only] +PONG",
        &format!("action tools/greet@v1 at {first}"),
        "[only] greeting from v1",
        "[only] built acting",
        "[only] hello you, true you",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    let (code, said) = dispatch(&[]);
    assert!(code == Some(1) && said.contains("input `who` is required"), "{said}");
    let (code, said) = dispatch(&["-i", "who=you", "-i", "loud=maybe"]);
    assert!(code == Some(1) && said.contains("must be `true` or `false`"), "{said}");
    let elsewhere = format!("{}/{{repository}}.git", world.dir().join("nowhere").display());
    let (code, said) = dispatch(&["-i", "who=you", "--actions", &elsewhere]);
    assert!(code == Some(1) && said.contains("action `tools/greet/say@v1`:"), "{said}");
    nothing_left(&world);
    world.nothing_left().await;
}
