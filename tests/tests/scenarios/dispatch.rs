//! Runs that a person asks for, with typed inputs.

use scenarios::world::{World, text};

const WORKFLOW: &str = r#"name: nightly
run-name: Nightly of ${{ inputs.image }}
on:
  workflow_dispatch:
    inputs:
      image: {required: true, description: Which image}
      level: {type: choice, options: [low, high]}
      deep: {type: boolean, default: false}
      count: {type: number, default: 3}
jobs:
  show:
    name: show ${{ inputs.level }}
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: |
          echo "image=${{ inputs.image }} level=${{ inputs.level }} twice=${{ github.event.inputs.image }}"
          echo "by ${{ github.actor }} for ${{ github.event_name }}"
      - run: echo deep indeed
        if: inputs.deep
      - run: echo counted
        if: inputs.count > 4
"#;

#[tokio::test]
async fn a_workflow_runs_with_what_a_person_says_to_it() {
    let world = World::start().await;
    let httpd = world.push_workflow(WORKFLOW);
    assert_eq!(world.decided().await["state"], "skipped", "a push does not fire it");
    let dispatch = |more: &[&str]| {
        let place = ["--repo", "containers/httpd", "--ref", "rawhide"];
        let arguments = [&["dispatch", "nightly", "--nowait"], &place[..], more].concat();
        world.strata(&arguments)
    };
    let said = ["-i", "image=httpd:1", "--input", "level=high", "-i", "deep=true", "-i", "count=5"];
    let asked = dispatch(&said);
    assert!(asked.status.success(), "{}", text(&asked));

    let run = world.finished_run().await;

    let log = world.log(&run, "show").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    for line in [
        "image=httpd:1 level=high twice=httpd:1",
        "by operator for workflow_dispatch",
        "deep indeed",
        "counted",
    ] {
        assert!(log.contains(line), "no `{line}` in {log}");
    }
    assert_eq!(run["statuses"][0]["context"], "nightly / show high");
    assert_eq!(run["commit"], httpd.git(&["rev-parse", "rawhide"]).as_str());
    for (more, words) in [
        (&[][..], "input `image` is required"),
        (&["-i", "image=x", "-i", "levle=low"], "did you mean `level`?"),
        (&["-i", "image=x", "-i", "level=mid"], "must be one of low, high"),
        (&["-i", "image=x", "-i", "deep=yes"], "must be `true` or `false`"),
        (&["-i", "image=x", "--ref", "f99"], "cannot be used multiple times"),
    ] {
        let refused = text(&dispatch(more));
        assert!(refused.contains(words), "{refused}");
    }
    let other = ["dispatch", "own.yml", "--repository", "containers/httpd", "--ref", "f43"];
    let refused = text(&world.strata(&other));
    assert!(refused.contains("containers/httpd has no branch `f43`"), "{refused}");
    let unknown = ["dispatch", "none.yml", "--repository", "containers/httpd", "--ref", "rawhide"];
    let refused = text(&world.strata(&unknown));
    assert!(refused.contains("there is no such workflow on the branch"), "{refused}");
    world.nothing_left().await;
}
