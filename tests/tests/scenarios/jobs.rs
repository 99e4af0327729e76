//! Jobs of one run that stand on each other, in containers.

use scenarios::own_workflow::PATH;
use scenarios::wait::{LONG, until};
use scenarios::world::World;
use serde_json::Value;

/// Name and end of each job, in the order of the run.
fn ends(run: &Value) -> Vec<String> {
    let jobs = run["jobs"].as_array().expect("jobs").iter();
    let end = |job: &Value| {
        let word = |key: &str| job[key].as_str().unwrap_or("-").to_owned();
        format!("{}: {}", word("name"), word("outcome"))
    };
    jobs.map(end).collect()
}

const GRAPH: &str = r#"name: own
on: push
jobs:
  list:
    runs-on: docker
    container: rawhide/base:latest
    outputs:
      targets: ${{ steps.find.outputs.targets }}
      greeting: ${{ steps.find.outputs.greeting }}
    steps:
      - id: find
        run: |
          echo 'targets=["web", "db", "cache"]' >>"$GITHUB_OUTPUT"
          printf 'greeting<<END\nhello\nworld\nEND\n' >>"$GITHUB_OUTPUT"
  relay:
    needs: list
    runs-on: docker
    container: rawhide/base:latest
    outputs: {targets: '${{ needs.list.outputs.targets }}'}
    steps:
      - run: printf '%s' "${{ needs.list.outputs.greeting }}" | wc -l
  each:
    needs: [list, relay]
    runs-on: docker
    container: rawhide/base:latest
    strategy:
      fail-fast: false
      matrix:
        target: ${{ fromJSON(needs.relay.outputs.targets) }}
        mode: [fast, slow]
        exclude: [{target: cache, mode: slow}]
        include: [{target: db, mode: slow, extra: careful}]
    steps:
      - run: echo "${{ matrix.target }} ${{ matrix.mode }} [${{ matrix.extra }}] ${{ strategy.job-total }}"
      - run: test "${{ matrix.target }} ${{ matrix.mode }}" != 'web slow'
  after:
    needs: each
    runs-on: docker
    container: rawhide/base:latest
    steps: [{run: echo never}]
  report:
    needs: [each, after]
    if: always()
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: echo "each ${{ needs.each.result }}, after ${{ needs.after.result }}"
"#;

#[tokio::test]
async fn outputs_go_through_two_jobs_into_a_matrix_and_a_failure_skips_what_needs_it() {
    let world = World::start().await;
    let _ = world.push_workflow(GRAPH);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    let mut ends = ends(&run);
    ends.sort();
    let expected = [
        "after: skipped",
        "each (cache, fast): success",
        "each (db, fast): success",
        "each (db, slow, careful): success",
        "each (web, fast): success",
        "each (web, slow): failure",
        "list: success",
        "relay: success",
        "report: success",
    ];
    assert_eq!(ends, expected);
    assert!(world.log(&run, "relay").await.contains("\n1\n"), "two lines have one end");
    let careful = world.log(&run, "each (db, slow, careful)").await;
    assert!(careful.contains("db slow [careful] 5"), "{careful}");
    let report = world.log(&run, "report").await;
    assert!(report.contains("each failure, after skipped"), "{report}");
    let statuses = run["statuses"].to_string();
    assert!(statuses.contains("own / each (web, slow)"), "{statuses}");
    world.nothing_left().await;
}

fn grouped(words: &str) -> String {
    format!(
        "name: own\non: push\nconcurrency: {{group: 'deploy-${{{{ github.ref }}}}', \
         cancel-in-progress: true}}\njobs:\n  go:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    steps:\n      - run: {words}\n"
    )
}

#[tokio::test]
async fn a_newer_run_of_a_group_stops_the_one_that_is_under_way() {
    let world = World::start().await;
    let httpd = world.push_workflow(grouped("echo asleep; sleep 600"));
    until("the first run sleeps", LONG, async || {
        let runs = world.runs().await;
        let Some(run) = runs.first() else { return Err("no run".to_owned()) };
        let log = world.log(run, "go").await;
        if log.contains("asleep") { Ok(()) } else { Err(log) }
    })
    .await;

    httpd.write(PATH, grouped("echo awake"));
    httpd.commit("rawhide", "httpd: Wake up");
    httpd.push(&["rawhide"]);
    let runs = world.finished_runs(2).await;

    let [newer, older] = runs.as_slice() else { panic!("{runs:#?}") };
    assert_eq!(older["outcome"], "cancelled", "{older:#}");
    let why = older["jobs"][0]["message"].as_str().expect("a message");
    assert!(why.contains("Superseded by run 2 in the concurrency group deploy-refs/heads/rawhide"));
    assert_eq!(newer["outcome"], "success", "{newer:#}");
    let begun = |run: &Value| run["jobs"][0]["started_at"].as_str().map(ToOwned::to_owned);
    let over = older["jobs"][0]["finished_at"].as_str().map(ToOwned::to_owned);
    assert!(begun(newer) >= over, "the newer one waited for the end of the older one");
    world.nothing_left().await;
}
