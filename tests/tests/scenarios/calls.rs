//! Reusable workflows: of the repository and of another one, with inputs, secrets and outputs.

use scenarios::dist_git::Repository;
use scenarios::own_workflow::PATH;
use scenarios::world::{World, text};
use serde_json::Value;

const CALLER: &str = r#"name: own
on: push
jobs:
  list:
    runs-on: docker
    container: rawhide/base:latest
    outputs:
      images: ${{ steps.l.outputs.images }}
    steps:
      - id: l
        run: echo 'images=["one","two"]' >>"$GITHUB_OUTPUT"
  build:
    needs: list
    strategy:
      matrix:
        image: ${{ fromJSON(needs.list.outputs.images) }}
    uses: ./.strata/workflows/build.yml
    with:
      image: ${{ matrix.image }}
    secrets:
      token: ${{ secrets.MINE }}
  check:
    uses: containers/shared/check.yml@main
    secrets: inherit
    with:
      loud: true
  never:
    if: github.ref_name == 'f43'
    uses: ./.strata/workflows/build.yml
    with: {image: none}
    secrets: inherit
  tell:
    needs: [build, check]
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: echo "heard ${{ needs.check.outputs.said }}, ${{ needs.build.outputs.name }} ${{ needs.build.result }}"
"#;

const CALLED: &str = r#"on:
  workflow_call:
    inputs:
      image: {type: string, required: true}
      level: {type: number, default: 3}
    secrets:
      token: {required: true}
    outputs:
      name:
        value: ${{ jobs.compile.outputs.name }}
jobs:
  compile:
    runs-on: docker
    container: rawhide/base:latest
    outputs:
      name: ${{ steps.n.outputs.name }}
    steps:
      - id: n
        env:
          TOKEN: ${{ secrets.TOKEN }}
        run: |
          echo "name=${{ inputs.image }}-${{ inputs.level }}" >>"$GITHUB_OUTPUT"
          printf '%s' "$TOKEN${{ secrets.MINE }}" | wc -c
  test:
    name: test of ${{ inputs.image }}
    needs: compile
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: echo "testing ${{ needs.compile.outputs.name }} in ${{ github.workflow }}"
"#;

/// In another repository; it calls a file beside it.
const CHECK: &str = r#"on:
  workflow_call:
    inputs:
      loud: {type: boolean}
    outputs:
      said:
        value: ${{ jobs.inner.outputs.said }}
jobs:
  inner:
    uses: ./say.yml
    with:
      word: ${{ inputs.loud && 'HELLO' || 'hello' }}
    secrets: inherit
"#;

const SAY: &str = r#"on:
  workflow_call:
    inputs:
      word: {type: string}
    outputs:
      said:
        value: ${{ jobs.say.outputs.said }}
jobs:
  say:
    runs-on: docker
    container: rawhide/base:latest
    outputs:
      said: ${{ steps.s.outputs.said }}
    steps:
      - id: s
        run: |
          echo "said=${{ inputs.word }}" >>"$GITHUB_OUTPUT"
          printf '%s' "${{ secrets.MINE }}" | wc -c
"#;

fn names(run: &Value) -> Vec<(&str, &str)> {
    let jobs = run["jobs"].as_array().expect("jobs").iter();
    let mut names: Vec<(&str, &str)> = jobs
        .map(|job| {
            (job["name"].as_str().unwrap_or_default(), job["outcome"].as_str().unwrap_or_default())
        })
        .collect();
    names.sort_unstable();
    names
}

/// The log of a job whose name has signs that a path has not.
async fn log(world: &World, run: &Value, job: &str) -> String {
    let job = job.replace('(', "%28").replace(')', "%29").replace('/', "%2F").replace(' ', "%20");
    world.log(run, &job).await
}

/// A repository of workflows for others, and its commit.
fn shared(world: &World) -> (Repository, String) {
    let shared = world.repository("containers/shared");
    shared.write("check.yml", CHECK);
    shared.write("say.yml", SAY);
    let commit = shared.commit("main", "shared: Import");
    shared.push_silently(&["main"]);
    (shared, commit)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn called_workflows_run_with_what_they_are_given_and_tell_what_they_say() {
    let world = World::start().await;
    let set = world.strata_reading(&["secret", "set", "MINE"], "eleven-long");
    assert!(set.status.success(), "{}", text(&set));
    let (_shared, commit) = shared(&world);
    let repository = world.repository_with(CALLER);
    repository.write(".strata/workflows/build.yml", CALLED);
    repository.commit("rawhide", "httpd: Import");
    repository.push(&["rawhide"]);
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}\n{}", world.ends_of_logs());
    assert_eq!(
        names(&run),
        [
            ("build (one)", "success"),
            ("build (one) / compile", "success"),
            ("build (one) / test", "success"),
            ("build (two)", "success"),
            ("build (two) / compile", "success"),
            ("build (two) / test", "success"),
            ("check", "success"),
            ("check / inner", "success"),
            ("check / inner / say", "success"),
            ("list", "success"),
            ("tell", "success"),
        ]
    );
    for file in ["check.yml", "say.yml"] {
        let name = format!("containers/shared/{file}@main");
        assert_eq!(run["called_workflows"][&name], commit.as_str(), "{run:#}");
    }
    let statuses = run["statuses"].to_string();
    for context in ["own / build (two) / test of two", "own / check / inner / say", "own / check"] {
        assert!(statuses.contains(&format!("\"{context}\"")), "no {context} in {statuses}");
    }
    // Of the handed secret its name there is known, of the caller's own name nothing.
    let compiled = log(&world, &run, "build (one) / compile").await;
    assert!(compiled.lines().any(|line| line.trim() == "11"), "{compiled}");
    let tested = log(&world, &run, "build (two) / test").await;
    assert!(tested.contains("testing two-3 in own"), "{tested}");
    let said = log(&world, &run, "check / inner / say").await;
    assert!(said.lines().any(|line| line.trim() == "11"), "{said}");
    let told = world.log(&run, "tell").await;
    assert!(told.contains("heard HELLO, two-3 success"), "{told}");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_in_a_call_is_told_and_runs_again() {
    let world = World::start().await;
    let repository = world.repository_with(
        "name: own\non: push\njobs:\n  one:\n    uses: ./.strata/workflows/b.yml\n    with: {how: 'false'}\n  \
         two:\n    uses: ./.strata/workflows/b.yml\n    with: {how: 'true'}\n  \
         after:\n    needs: one\n    uses: ./.strata/workflows/b.yml\n    with: {how: 'true'}\n  \
         wrong:\n    needs: two\n    uses: ./.strata/workflows/b.yml\n    with: {howe: 'true'}\n",
    );
    repository.write(
        ".strata/workflows/b.yml",
        "on: {workflow_call: {inputs: {how: {type: string}}}}\njobs:\n  go:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    steps: [{run: '${{ inputs.how }}'}]\n  \
         mourn:\n    needs: go\n    if: failure()\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    steps: [{run: echo it failed}]\n  \
         fine:\n    runs-on: docker\n    container: rawhide/base:latest\n    \
         steps: [{run: echo fine}]\n",
    );
    let lint = |file: &str| {
        world.strata(&["lint", repository.clone_dir().join(file).to_str().expect("text")])
    };
    let output = lint(PATH);
    assert!(text(&output).contains("the called workflow has no input `howe`"), "{}", text(&output));
    assert!(text(&output).contains("did you mean `how`?"), "{}", text(&output));
    let fixed = std::fs::read_to_string(repository.clone_dir().join(PATH)).expect("the workflow");
    repository.write(PATH, fixed.replace("howe", "how"));
    let output = lint(PATH);
    assert!(output.status.success(), "{}", text(&output));

    repository.commit("rawhide", "httpd: Import");
    repository.push(&["rawhide"]);
    let run = world.finished_run().await;

    let expected = [
        ("after", "skipped"),
        ("one", "failure"),
        ("one / fine", "success"),
        ("one / go", "failure"),
        ("one / mourn", "success"),
        ("two", "success"),
        ("two / fine", "success"),
        ("two / go", "success"),
        ("two / mourn", "skipped"),
        ("wrong", "success"),
        ("wrong / fine", "success"),
        ("wrong / go", "success"),
        ("wrong / mourn", "skipped"),
    ];
    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert_eq!(names(&run), expected);

    let again = world.strata(&["rerun", &run["id"].to_string(), "--failed"]);
    assert!(again.status.success(), "{}", text(&again));
    let runs = world.finished_runs(2).await;
    assert_eq!(names(&runs[0]), expected, "{:#}", runs[0]);
    let jobs = runs[0]["jobs"].as_array().expect("jobs").len();
    assert_eq!(jobs, expected.len(), "what stands is there once: {:#}", runs[0]);
    let all = runs[0]["jobs"].as_array().expect("jobs").iter();
    let ran = all.filter(|job| job["kept_from"].is_null()).filter_map(|job| job["name"].as_str());
    let ran: std::collections::BTreeSet<&str> = ran.collect();
    let expected = ["after", "one", "one / go", "one / mourn"];
    assert_eq!(ran, expected.into(), "within a call too: {:#}", runs[0]);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_run_here_and_an_explanation_know_calls() {
    let world = World::without_runner().await;
    let repository = world.repository_with(
        "name: own\non: push\njobs:\n  one:\n    uses: ./.strata/workflows/b.yml\n    with: {word: hello}\n  \
         tell:\n    needs: one\n    runs-on: docker\n    container: rawhide/base:latest\n    \
         steps: [{run: 'echo heard ${{ needs.one.outputs.said }}'}]\n",
    );
    repository.write(
        ".strata/workflows/b.yml",
        "on:\n  workflow_call:\n    inputs: {word: {type: string}}\n    \
         outputs: {said: {value: '${{ jobs.go.outputs.said }}'}}\njobs:\n  go:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    outputs: {said: '${{ steps.s.outputs.said }}'}\n    \
         steps: [{id: s, run: 'echo said=${{ inputs.word }} >>\"$GITHUB_OUTPUT\"'}]\n",
    );
    let commit = repository.commit("rawhide", "httpd: Import");
    let clone = repository.clone_dir().display().to_string();
    let config = world.dir().join("strata.toml").display().to_string();
    let explain = ["explain", "--config", &config, "--repository", "containers/httpd"];
    let more = ["--git-dir", &clone, "--ref", "refs/heads/rawhide", "--commit", &commit];
    let output = world.strata(&[&explain[..], &more].concat());
    assert!(text(&output).contains("one / go"), "{}", text(&output));
    assert!(text(&output).contains("calls ./.strata/workflows/b.yml"), "{}", text(&output));

    let image = format!("{}/rawhide/base:latest", world.registry.host());
    for file in [PATH, ".strata/workflows/b.yml"] {
        let path = repository.clone_dir().join(file);
        let whole = std::fs::read_to_string(&path).expect("a workflow");
        std::fs::write(&path, whole.replace("rawhide/base:latest", &image)).expect("written");
    }
    let file = repository.clone_dir().join(PATH).display().to_string();
    let output = world.strata(&["run", &file]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("[tell] heard hello"), "{}", text(&output));
    world.nothing_left().await;
}
