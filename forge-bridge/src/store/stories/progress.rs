//! Jobs that stand on what others said, matrices that outputs make, groups, cancellations.

use serde_json::json;
use workflows::facts::Facts;
use workflows::plan::{self, JobDraft};
use workflows::protocol::JobReport;
use workflows::state::Outcome;
use workflows::{status, workflow};

use super::super::cancel::Cancelled;
use super::super::leases::Leased;
use super::super::planning::{PlannedJob, PlannedRun};
use super::*;

/// A first job, and one that its outputs make.
const FAN_OUT: &str = "
on: push
run-name: 'Number ${{ github.run_number }}'
jobs:
  list:
    runs-on: docker
    outputs: {targets: x}
    steps: [{uses: strata/checkout}]
  each:
    needs: list
    runs-on: docker
    strategy: {max-parallel: 1, matrix: {target: '${{ fromJSON(needs.list.outputs.targets) }}'}}
    env: {TARGET: '${{ matrix.target }} of ${{ github.run_id }}'}
    steps: [{uses: strata/checkout}]
  all:
    needs: each
    if: always()
    runs-on: docker
    env: {RESULT: '${{ needs.each.result }}'}
    steps: [{uses: strata/checkout}]
";

impl Story {
    /// A push that fires a workflow of this text.
    pub(super) async fn push_text(&self, after: char, text: &str) {
        self.push_known(after, text, Facts::default()).await;
    }

    async fn push_known(&self, after: char, text: &str, facts: Facts) {
        self.push_calling(after, text, facts, &[]).await;
    }

    /// The same, of a workflow that calls these files.
    pub(super) async fn push_calling(
        &self,
        after: char,
        text: &str,
        facts: Facts,
        files: &[(&str, &str)],
    ) {
        let mut parsed = workflow::parse("w.yml", text).unwrap();
        for (name, text) in files {
            let file = workflow::CalledFile::Text((*text).to_owned());
            parsed.called.insert((*name).to_owned(), file);
        }
        let plan = plan::drafts("w.yml", &parsed, &facts).unwrap();
        let planned =
            |draft: JobDraft| PlannedJob { context: status::context("w", &draft.title), draft };
        let run = PlannedRun {
            workflow: "w".to_owned(),
            run_name: plan.run_name,
            texts: plan.texts,
            facts,
            label: "w".to_owned(),
            warnings: Vec::new(),
            path: "w.yml".to_owned(),
            origin: Origin::Repository,
            blob: "b".to_owned(),
            text: text.to_owned(),
            called: parsed.called,
            jobs: Ok(plan.jobs.into_iter().map(planned).collect()),
        };
        self.push_run(after, run).await;
    }

    /// Pins whatever may be pinned, without a build.
    pub(super) async fn pin_plain(&self) {
        for job in self.store.unpinned(self.now, 20, (&[], &[])).await.unwrap() {
            let complete = |_: Option<&_>| JobSpec {
                steps: Vec::new(),
                env: job.draft.env.clone(),
                ..spec(&job, None)
            };
            self.store.record_pins(&job, None, &[], complete, self.now).await.unwrap();
        }
    }

    pub(super) async fn end(&self, lease: &Leased, outcome: Outcome, outputs: &[(&str, &str)]) {
        let outputs = outputs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let report = JobReport { outputs, ..report(lease.fence, outcome, None) };
        self.store.finish(RUNNER, lease.job, &report, self.now).await.unwrap();
    }

    /// Leases by a request of that name, which must give this job.
    pub(super) async fn take(&self, name: &str) -> Leased {
        let lease = self.lease(&format!("take {name} {}", uuid::Uuid::new_v4())).await;
        let lease = lease.unwrap_or_else(|| panic!("{name} is not free"));
        assert_eq!(lease.spec.name, name);
        lease
    }

    async fn is_idle(&self) -> bool {
        self.lease("idle").await.is_none()
    }

    async fn job_statuses(&self) -> Vec<String> {
        self.text(
            "SELECT context || ': ' || state || ': ' || description FROM statuses ORDER BY id",
        )
        .await
    }
}

#[tokio::test]
async fn outputs_make_a_matrix_whose_jobs_take_turns() {
    let story = Story::begin().await;
    story.push_text('a', FAN_OUT).await;
    assert_eq!(story.text("SELECT run_name FROM runs").await, ["Number 1"]);
    assert_eq!(story.jobs().await, ["list unpinned -", "each waiting -", "all waiting -"]);
    story.pin_plain().await;
    let list = story.take("list").await;
    story.end(&list, Outcome::Success, &[("targets", r#"["x", "y"]"#)]).await;
    assert_eq!(
        story.jobs().await,
        ["list finished success", "each (x) unpinned -", "all waiting -", "each (y) unpinned -"]
    );
    story.pin_plain().await;
    let first = story.take("each (x)").await;
    assert_eq!(first.spec.env["TARGET"], "x of 1");
    assert!(story.is_idle().await, "max-parallel is 1");
    story.end(&first, Outcome::Success, &[]).await;
    let second = story.take("each (y)").await;
    story.end(&second, Outcome::Failure, &[]).await;
    story.pin_plain().await;
    let all = story.take("all").await;
    assert_eq!(all.spec.env["RESULT"], "failure");
    story.end(&all, Outcome::Success, &[]).await;
    assert_eq!(story.text("SELECT state || ' ' || outcome FROM runs").await, ["finished failure"]);
    assert_eq!(
        story.job_statuses().await,
        [
            "w / list: success: said so",
            "w / each: success: Became each (x), each (y)",
            "w / all: success: said so",
            "w / each (x): failure: said so",
            "w / each (y): failure: said so",
        ]
        .map(|line| line.replace("each (x): failure", "each (x): success"))
    );
}

#[tokio::test]
async fn outputs_that_make_no_matrix_fail_the_job_with_their_place() {
    let story = Story::begin().await;
    story.push_text('a', FAN_OUT).await;
    story.pin_plain().await;
    let list = story.take("list").await;
    story.end(&list, Outcome::Success, &[("targets", "[]")]).await;
    let message = story.text("SELECT message FROM jobs WHERE name = 'each'").await;
    assert_eq!(message, ["w.yml:12:5: the matrix makes no job at all"]);
    story.pin_plain().await;
    assert_eq!(story.take("all").await.spec.env["RESULT"], "failure");
}

#[tokio::test]
async fn a_failure_ends_the_rest_of_its_matrix_and_skips_what_needs_it() {
    let story = Story::begin().await;
    let text = "on: push\njobs:\n  m: {runs-on: docker, strategy: {matrix: {v: [1, 2, 3]}}, steps: [{uses: strata/checkout}]}\n  after: {needs: m, runs-on: docker, steps: [{uses: strata/checkout}]}\n  tidy: {needs: m, if: failure(), runs-on: docker, steps: [{uses: strata/checkout}]}\n  never: {needs: m, if: cancelled(), runs-on: docker, steps: [{uses: strata/checkout}]}\n";
    story.push_text('a', text).await;
    story.pin_plain().await;
    let (one, two) = (story.take("m (1)").await, story.take("m (2)").await);
    story.end(&one, Outcome::Failure, &[]).await;
    let (_, cancel) = story.store.heartbeat(RUNNER, two.job, two.fence, story.now).await.unwrap();
    assert!(cancel, "the runner of the other job is told to stop it");
    story.end(&two, Outcome::Cancelled, &[]).await;
    story.pin_plain().await;
    story.end(&story.take("tidy").await, Outcome::Success, &[]).await;
    assert_eq!(
        story.text("SELECT name || ' ' || outcome || ': ' || message FROM jobs ORDER BY id").await,
        [
            "m (1) failure: said so",
            "m (2) cancelled: Cancelled, because m (1) did not succeed",
            "m (3) cancelled: Cancelled, because m (1) did not succeed",
            "after skipped: Skipped, because m did not succeed",
            "tidy success: said so",
            "never skipped: Skipped: its `if` does not hold",
        ]
    );
}

#[tokio::test]
async fn a_runner_that_is_lost_while_it_stops_a_job_is_not_asked_again() {
    let mut story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_plain().await;
    story.take("build").await;
    let run = workflows::ids::RunId(1);
    let said = story.store.cancel_run(run, "Cancelled by rose", story.now).await.unwrap();
    assert_eq!(said, Cancelled::Yes);
    story.now += TimeDelta::seconds(LEASE_SECONDS + 1);
    story.store.reap_expired(story.now).await.unwrap();
    assert_eq!(story.jobs().await, ["build finished cancelled"]);
    assert_eq!(story.job_statuses().await, ["w / build: error: Cancelled by rose"]);
    let again = story.store.cancel_run(run, "x", story.now).await.unwrap();
    assert_eq!(again, Cancelled::Over);
    let none = story.store.cancel_run(workflows::ids::RunId(9), "x", story.now).await.unwrap();
    assert_eq!(none, Cancelled::Unknown);
}

#[tokio::test]
async fn a_cancelled_run_still_does_what_it_does_always() {
    let story = Story::begin().await;
    let text = "on: push\njobs:\n  a: {runs-on: docker, steps: [{uses: strata/checkout}]}\n  b: {needs: a, runs-on: docker, steps: [{uses: strata/checkout}]}\n  tidy: {needs: [a, b], if: always(), runs-on: docker, steps: [{uses: strata/checkout}]}\n";
    story.push_text('a', text).await;
    story.pin_plain().await;
    let a = story.take("a").await;
    let run = workflows::ids::RunId(1);
    story.store.cancel_run(run, "Cancelled by rose", story.now).await.unwrap();
    let states = ["a leased -", "b finished cancelled", "tidy waiting -"];
    assert_eq!(story.jobs().await, states);
    story.end(&a, Outcome::Cancelled, &[]).await;
    story.pin_plain().await;
    let tidy = story.take("tidy").await;
    let (_, cancel) = story.store.heartbeat(RUNNER, tidy.job, tidy.fence, story.now).await.unwrap();
    assert!(!cancel, "a job that begins after the wish is not told to stop");
    story.store.force_cancel(run, "Cancelled by rose", story.now).await.unwrap();
    assert_eq!(story.text("SELECT name FROM jobs WHERE cancel = 1").await, ["a", "tidy"]);
}

/// One job in a group of the run's own.
fn grouped(concurrency: &str) -> String {
    format!(
        "on: push\nconcurrency: {concurrency}\njobs: {{a: {{runs-on: docker, steps: [{{uses: strata/checkout}}]}}}}\n"
    )
}

#[tokio::test]
async fn of_a_group_one_is_under_way_and_one_waits() {
    let story = Story::begin().await;
    for after in ['a', 'b', 'c'] {
        story.push_text(after, &grouped("Deploy")).await;
        story.pin_plain().await;
    }
    let expected = ["a queued -", "a finished cancelled", "a unpinned -"];
    assert_eq!(story.jobs().await, expected, "the newest takes the place of the one that waited");
    let message = story.text("SELECT message FROM jobs WHERE id = 2").await;
    assert_eq!(message, ["Superseded by run 3 in the concurrency group Deploy"]);
    let status = story.text("SELECT description FROM statuses WHERE run_id = 3").await;
    assert_eq!(status, ["Waiting for its turn in deploy"]);
    let first = story.take("a").await;
    assert!(story.is_idle().await);
    story.end(&first, Outcome::Failure, &[]).await;
    story.pin_plain().await;
    story.take("a").await;
    assert_eq!(story.text("SELECT CAST(run_id AS TEXT) FROM group_members").await, ["3"]);
}

#[tokio::test]
async fn a_group_that_lines_up_loses_nobody_and_one_that_cancels_stops_the_first() {
    let story = Story::begin().await;
    for after in ['a', 'b', 'c'] {
        story.push_text(after, &grouped("{group: g, queue: max}")).await;
    }
    assert_eq!(story.jobs().await, ["a unpinned -"; 3]);
    story.pin_plain().await;
    let first = story.take("a").await;
    story.push_text('d', &grouped("{group: G, cancel-in-progress: true}")).await;
    let (_, cancel) =
        story.store.heartbeat(RUNNER, first.job, first.fence, story.now).await.unwrap();
    assert!(cancel);
    story.end(&first, Outcome::Cancelled, &[]).await;
    story.pin_plain().await;
    story.take("a").await;
    let outcomes = story.text("SELECT COALESCE(outcome, '-') FROM runs ORDER BY id").await;
    assert_eq!(outcomes, ["cancelled", "cancelled", "cancelled", "-"]);
}

#[tokio::test]
async fn jobs_of_different_runs_exclude_each_other_and_a_run_does_not_wait_for_itself() {
    let story = Story::begin().await;
    let text = "on: push\nconcurrency: {group: 'run ${{ github.run_id }}'}\njobs:\n  free: {runs-on: docker, steps: [{uses: strata/checkout}]}\n  one: {runs-on: docker, concurrency: shared, steps: [{uses: strata/checkout}]}\n  own: {runs-on: docker, concurrency: 'run ${{ github.run_id }}', steps: [{uses: strata/checkout}]}\n";
    story.push_text('a', text).await;
    story.push_text('b', text).await;
    story.pin_plain().await;
    let jobs = story.jobs().await;
    let free = ["free queued -", "one queued -", "own queued -"];
    assert_eq!(jobs[..3], free);
    assert_eq!(jobs[3..], ["free queued -", "one unpinned -", "own queued -"]);
    for name in ["free", "one", "own", "free", "own"] {
        let lease = story.take(name).await;
        story.end(&lease, Outcome::Success, &[]).await;
    }
    story.pin_plain().await;
    story.take("one").await;
}

#[tokio::test]
async fn numbers_count_the_runs_of_a_workflow() {
    let story = Story::begin().await;
    let text = grouped("x").replace(
        "steps:",
        "env: {N: '${{ github.run_number }}/${{ github.run_attempt }}'}, steps:",
    );
    for (after, expected) in [('a', "1/1"), ('b', "2/1")] {
        story.push_text(after, &text).await;
        story.pin_plain().await;
        let lease = story.take("a").await;
        assert_eq!(lease.spec.env["N"], expected);
        story.end(&lease, Outcome::Success, &[]).await;
    }
    let facts = story.text("SELECT facts ->> '$.github.run_number' FROM runs").await;
    assert_eq!(facts, ["1", "2"]);
}

#[tokio::test]
async fn a_run_of_an_older_version_goes_on() {
    let story = Story::begin().await;
    let of_matrix = |name: &str| draft(name, &[]);
    story
        .push('a', &[of_matrix("m (1)"), of_matrix("m (2)"), draft("b", &["m (1)", "m (2)"])])
        .await;
    let mut tx = story.store.write().await.unwrap();
    sqlx::query("UPDATE jobs SET key = ''").execute(&mut *tx).await.unwrap();
    sqlx::query("UPDATE runs SET facts = NULL, number = 0").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    story.pin_plain().await;
    for name in ["m (1)", "m (2)", "b"] {
        let lease = story.take(name).await;
        story.end(&lease, Outcome::Success, &[]).await;
    }
    assert_eq!(story.text("SELECT outcome FROM runs").await, ["success"]);
}

#[tokio::test]
async fn outputs_beyond_the_bound_fail_the_job() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_plain().await;
    let lease = story.take("build").await;
    let large = "x".repeat(workflows::protocol::MAX_OUTPUTS_BYTES);
    story.end(&lease, Outcome::Success, &[("a", &large)]).await;
    assert_eq!(story.jobs().await, ["build finished failure"]);
    assert_eq!(story.text("SELECT outputs FROM jobs").await, [json!({}).to_string()]);
}
