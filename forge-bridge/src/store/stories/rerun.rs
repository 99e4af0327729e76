//! Runs that are asked for again, and builds that come late.

use workflows::facts::Facts;
use workflows::rerun::Which;

use super::super::planning::RerunError;
use super::*;

/// A job, a matrix that is known at planning and stands on the job, and one that needs both.
const MATRIX: &str = "
on: push
jobs:
  list:
    runs-on: docker
    outputs: {say: x}
    steps: [{uses: strata/checkout}]
  each:
    needs: list
    runs-on: docker
    strategy: {fail-fast: false, matrix: {kind: [a, b]}}
    env: {SAID: '${{ needs.list.outputs.say }} in ${{ github.run_attempt }}'}
    steps: [{uses: strata/checkout}]
  all:
    needs: [list, each]
    runs-on: docker
    steps: [{uses: strata/checkout}]
";

impl Story {
    /// Leases the next job and ends it like that.
    async fn run_next(&self, outcome: Outcome, outputs: &[(&str, &str)]) -> String {
        self.pin_all().await;
        let request = uuid::Uuid::new_v4().to_string();
        let lease = self.lease(&request).await.expect("a job");
        let outputs = outputs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let ended = JobReport { outputs: outputs.collect(), ..report(lease.fence, outcome, None) };
        self.store.finish(RUNNER, lease.job, &ended, self.now).await.unwrap();
        lease.spec.name
    }

    async fn end_with_image(&self, lease: &super::super::leases::Leased, digit: &str) {
        let digest = Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap();
        let image = BuiltImage { reference: reference(), digest, size_bytes: 1 };
        let built = JobReport { image: Some(image), ..report(lease.fence, Outcome::Success, None) };
        self.store.finish(RUNNER, lease.job, &built, self.now).await.unwrap();
    }
}

#[tokio::test]
async fn what_went_well_stands_and_what_failed_runs_again_with_what_it_knew() {
    let story = Story::begin().await;
    story.push_text('a', MATRIX).await;
    assert_eq!(story.run_next(Outcome::Success, &[("say", "hello")]).await, "list");
    assert_eq!(story.run_next(Outcome::Success, &[]).await, "each (a)");
    let early = story.store.rerun(RunId(1), Which::All, "rose", story.now).await;
    assert!(matches!(early, Err(RerunError::No(why)) if why.contains("is not over")));
    assert_eq!(story.run_next(Outcome::Failure, &[]).await, "each (b)");
    let first = ["list finished success", "each (a) finished success"];
    assert_eq!(story.jobs().await[..2], first);
    assert_eq!(story.jobs().await[2..], ["each (b) finished failure", "all finished skipped"]);

    let new = story.store.rerun(RunId(1), Which::Failed, "rose", story.now).await.unwrap();

    assert_eq!(new, RunId(2));
    let again = &story.jobs().await[4..];
    assert_eq!(again[..2], first);
    assert_eq!(again[2..], ["each (b) unpinned -", "all unpinned -"]);
    let known = "SELECT kept_from || '' FROM jobs WHERE kept_from IS NOT NULL ORDER BY id";
    assert_eq!(story.text(known).await, ["1", "2"]);
    let env = "SELECT draft ->> '$.env.SAID' FROM jobs WHERE run_id = 2 AND name = 'each (b)'";
    assert_eq!(story.text(env).await, ["hello in 2"]);
    let numbers = "SELECT number || ' ' || attempt || ' ' || COALESCE(rerun_of, '-') FROM runs";
    assert_eq!(story.text(numbers).await, ["1 1 -", "1 2 1"]);
    let twice = story.store.rerun(RunId(1), Which::Failed, "rose", story.now).await;
    assert!(matches!(twice, Err(RerunError::No(why)) if why.contains("as run 2")));
    assert_eq!(story.run_next(Outcome::Success, &[]).await, "each (b)");
    assert_eq!(story.run_next(Outcome::Success, &[]).await, "all");
    let well = story.store.rerun(RunId(2), Which::Failed, "rose", story.now).await;
    assert!(matches!(well, Err(RerunError::No(why)) if why.contains("no job of run 2 failed")));
    let third = story.store.rerun(RunId(2), Which::All, "rose", story.now).await.unwrap();
    let first = story.text("SELECT rerun_of || '' FROM runs WHERE id = 3").await;
    assert_eq!((third, first[0].as_str()), (RunId(3), "1"), "all attempts are of the first");
    let unknown = story.store.rerun(RunId(9), Which::All, "rose", story.now).await;
    assert!(matches!(unknown, Err(RerunError::Unknown(RunId(9)))));
}

const CALLED: &str = "
on:
  workflow_call:
    inputs: {word: {type: string}}
    outputs: {said: {value: '${{ jobs.one.outputs.said }} ${{ jobs.three.outputs.said }}'}}
jobs:
  one: {runs-on: docker, outputs: {said: x}, steps: [{uses: strata/checkout}]}
  two:
    needs: one
    runs-on: docker
    env: {SAID: '${{ needs.one.outputs.said }} of ${{ inputs.word }} in ${{ github.run_attempt }}'}
    steps: [{uses: strata/checkout}]
  three: {needs: two, runs-on: docker, outputs: {said: x}, steps: [{uses: strata/checkout}]}
";

#[tokio::test]
async fn of_a_call_only_what_failed_runs_again_and_the_caller_hears_all_of_it() {
    let story = Story::begin().await;
    let text = "on: push\njobs:\n  c: {uses: ./b.yml, with: {word: hello}}\n  last:\n    needs: c\n    \
                runs-on: docker\n    env: {HEARD: '${{ needs.c.outputs.said }}'}\n    \
                steps: [{uses: strata/checkout}]\n";
    story.push_calling('a', text, Facts::default(), &[("./b.yml", CALLED)]).await;
    assert_eq!(story.run_next(Outcome::Success, &[("said", "one")]).await, "c / one");
    assert_eq!(story.run_next(Outcome::Failure, &[]).await, "c / two");
    let ends = ["c finished failure", "last finished skipped", "c / one finished success"];
    assert_eq!(story.jobs().await[..3], ends);

    story.store.rerun(RunId(1), Which::Failed, "rose", story.now).await.unwrap();

    assert_eq!(
        story.jobs().await[5..],
        [
            "c calling -",
            "c / one finished success",
            "c / two unpinned -",
            "c / three unpinned -",
            "last waiting -"
        ]
    );
    let kept = "SELECT name FROM jobs WHERE kept_from IS NOT NULL";
    assert_eq!(story.text(kept).await, ["c / one"]);
    story.pin_plain().await;
    let two = story.take("c / two").await;
    assert_eq!(two.spec.env["SAID"], "one of hello in 2");
    story.end(&two, Outcome::Success, &[]).await;
    assert_eq!(story.run_next(Outcome::Success, &[("said", "three")]).await, "c / three");
    story.pin_plain().await;
    let last = story.take("last").await;
    assert_eq!(last.spec.env["HEARD"], "one three");
}

#[tokio::test]
async fn a_late_job_of_an_older_push_does_not_take_the_floating_tags_of_a_newer_one() {
    let story = Story::begin().await;
    story.push_text('a', MATRIX).await;
    story.push('b', &[draft("build", &[])]).await;
    story.pin_all().await;
    let list = story.lease("list").await.unwrap();
    let build = story.lease("build").await.unwrap();
    assert_eq!(build.spec.name, "build");
    story.end_with_image(&build, "2").await;
    let newer = &story.store.publications(story.now, 10).await.unwrap()[0];
    for (_, tag) in &newer.wanted {
        story.store.tag_put(newer.image, tag, story.now).await.unwrap();
    }
    story.store.published(newer, story.now).await.unwrap();
    let ended = report(list.fence, Outcome::Success, None);
    story.store.finish(RUNNER, list.job, &ended, story.now).await.unwrap();
    // As jobs of a matrix have it that outputs make: higher numbers than the newer push's.
    let mut tx = story.store.write().await.unwrap();
    let late = sqlx::query("UPDATE jobs SET id = id + 97 WHERE key = 'each'");
    late.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();

    story.pin_all().await;
    let each = story.lease("each").await.unwrap();
    story.end_with_image(&each, "1").await;

    let older = &story.store.publications(story.now, 10).await.unwrap()[0];
    assert_eq!(older.job, each.job);
    assert_eq!(older.forgone.len(), 1, "the push came before");
}
