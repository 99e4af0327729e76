//! Runs that a person stops, and runs that a person asks for again.

use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};
use serde_json::Value;

fn told(world: &World, arguments: &[&str]) -> String {
    let output = world.strata(arguments);
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

fn job<'a>(run: &'a Value, name: &str) -> &'a Value {
    let jobs = run["jobs"].as_array().expect("jobs");
    jobs.iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no {name} in {run:#}"))
}

const FLAKY: &str = r#"name: own
on: push
jobs:
  list:
    runs-on: docker
    container: rawhide/base:latest
    outputs: {attempt: '${{ steps.say.outputs.attempt }}'}
    steps:
      - id: say
        run: echo "attempt=$GITHUB_RUN_ATTEMPT" >>"$GITHUB_OUTPUT"
  flaky:
    runs-on: docker
    container: rawhide/base:latest
    strategy: {fail-fast: false, matrix: {kind: [steady, shaky]}}
    steps:
      - run: test "${{ matrix.kind }}" = steady || test "${{ github.run_attempt }}" = 2
  after:
    runs-on: docker
    container: rawhide/base:latest
    needs: [list, flaky]
    steps:
      - run: echo "listed in attempt ${{ needs.list.outputs.attempt }}, run in $GITHUB_RUN_ATTEMPT"
"#;

#[tokio::test]
async fn only_what_failed_runs_again_and_the_rest_stands() {
    let world = World::start().await;
    let _ = world.push_workflow(FLAKY);
    let first = world.finished_run().await;
    assert_eq!(first["outcome"], "failure", "{first:#}");
    assert_eq!(job(&first, "after")["outcome"], "skipped");

    let said = told(&world, &["rerun", "1", "--failed"]);
    assert!(said.contains("run 2 is attempt 2 of run 1"), "{said}");
    let runs = world.finished_runs(2).await;

    let second = &runs[0];
    assert_eq!(second["outcome"], "success", "{second:#}");
    assert_eq!((&second["rerun_of"], &second["attempt"]), (&1.into(), &2.into()));
    assert_eq!(second["number"], first["number"]);
    assert!(second["cause"].as_str().expect("a cause").contains("rerun of run 1 by operator"));
    for kept in ["list", "flaky (steady)"] {
        assert_eq!(job(second, kept)["kept_from"], 1, "{second:#}");
        assert_eq!(job(second, kept)["steps"], job(&first, kept)["steps"]);
    }
    assert_eq!(job(second, "flaky (shaky)")["kept_from"], Value::Null);
    assert!(world.log(second, "after").await.contains("listed in attempt 1, run in 2"));
    assert!(!world.log(second, "list").await.is_empty(), "the log of what stands is shown");
    let page = world.page("/runs/2").await;
    assert!(page.contains("of <a href=\"/runs/1\">run 1</a>") && page.contains("stands"), "{page}");
    let again = world.strata(&["rerun", "1"]);
    assert!(text(&again).contains("run 1 was run again as run 2"), "{}", text(&again));
    let well = world.strata(&["rerun", "2", "--failed"]);
    assert!(text(&well).contains("no job of run 2 failed"), "{}", text(&well));

    told(&world, &["rerun", "2"]);
    let runs = world.finished_runs(3).await;
    assert_eq!(runs[0]["attempt"], 3);
    // Three is not two.
    assert_eq!(runs[0]["outcome"], "failure", "{:#}", runs[0]);
    assert_eq!(job(&runs[0], "list")["kept_from"], Value::Null);
    world.nothing_left().await;
}

const SLEEPY: &str = r#"name: own
on: push
jobs:
  sleep:
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - name: Sleep
        run: |
          test "$GITHUB_RUN_ATTEMPT" = 1 || exit 0
          trap 'echo tidied; exit 1' TERM
          echo asleep
          sleep 600 &
          wait
      - run: echo never
        if: github.run_attempt == 1
      - run: echo "at the end ${{ job.status }}"
        if: always()
  never:
    runs-on: docker
    needs: sleep
    container: rawhide/base:latest
    steps: [{run: echo ran}]
  mourn:
    runs-on: docker
    needs: sleep
    if: cancelled()
    container: rawhide/base:latest
    steps: [{run: echo mourned}]
"#;

#[tokio::test]
async fn a_run_is_cancelled_in_the_middle_of_a_step_and_run_again() {
    let world = World::start().await;
    let _ = world.push_workflow(SLEEPY);
    until("the step sleeps", LONG, async || {
        let runs = world.runs().await;
        let Some(run) = runs.first() else { return Err("no run".to_owned()) };
        let log = world.log(run, "sleep").await;
        if log.contains("asleep") { Ok(()) } else { Err(log) }
    })
    .await;

    let said = told(&world, &["cancel", "1"]);
    assert!(said.contains("run 1 stops"), "{said}");
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "cancelled", "{run:#}");
    let log = world.log(&run, "sleep").await;
    assert!(log.contains("tidied") && log.contains("at the end cancelled"), "{log}");
    assert!(!log.contains("\nnever"), "{log}");
    assert_eq!(job(&run, "sleep")["message"], "Cancelled by operator");
    assert_eq!(job(&run, "never")["outcome"], "cancelled");
    assert_eq!(job(&run, "mourn")["outcome"], "success", "{run:#}");
    let over = world.strata(&["cancel", "1"]);
    assert!(text(&over).contains("run 1 is over already"), "{}", text(&over));

    told(&world, &["rerun", "1", "--failed"]);
    let runs = world.finished_runs(2).await;

    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    assert!(world.log(&runs[0], "sleep").await.contains("at the end success"));
    assert_eq!(job(&runs[0], "never")["outcome"], "success");
    world.nothing_left().await;
}
