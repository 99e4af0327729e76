//! Jobs that are other workflows: when they open, how they end, and what stops them.

use workflows::facts::Facts;
use workflows::ids::RunId;
use workflows::state::Outcome;

use super::*;

const CALLED: &str = "
on:
  workflow_call:
    inputs: {word: {type: string}}
    outputs: {said: {value: '${{ jobs.one.outputs.said }} ${{ inputs.word }}'}}
jobs:
  one: {runs-on: docker, outputs: {said: x}, steps: [{uses: strata/checkout}]}
  two:
    needs: one
    runs-on: docker
    env: {SAID: '${{ needs.one.outputs.said }} of ${{ inputs.word }} in ${{ github.run_id }}'}
    steps: [{uses: strata/checkout}]
";

impl Story {
    async fn call(&self, after: char, jobs: &str) {
        let text = format!("on: push\njobs:\n{jobs}");
        self.push_calling(after, &text, Facts::default(), &[("./b.yml", CALLED)]).await;
    }
}

#[tokio::test]
async fn a_call_opens_when_its_needs_are_met_and_tells_what_its_jobs_said() {
    let story = Story::begin().await;
    story
        .call(
            'a',
            "  first: {runs-on: docker, outputs: {w: x}, steps: [{uses: strata/checkout}]}\n  \
             c: {needs: first, uses: ./b.yml, with: {word: '${{ needs.first.outputs.w }}'}}\n  \
             last:\n    needs: c\n    runs-on: docker\n    env: {HEARD: '${{ needs.c.outputs.said }}'}\n    \
             steps: [{uses: strata/checkout}]\n",
        )
        .await;
    assert_eq!(story.jobs().await, ["first unpinned -", "c waiting -", "last waiting -"]);
    story.pin_plain().await;
    let first = story.take("first").await;
    story.end(&first, Outcome::Success, &[("w", "hello")]).await;
    assert_eq!(
        story.jobs().await,
        [
            "first finished success",
            "c calling -",
            "last waiting -",
            "c / one unpinned -",
            "c / two waiting -"
        ]
    );
    story.pin_plain().await;
    let one = story.take("c / one").await;
    story.end(&one, Outcome::Success, &[("said", "well")]).await;
    story.pin_plain().await;
    let two = story.take("c / two").await;
    assert_eq!(two.spec.env["SAID"], "well of hello in 1");
    story.end(&two, Outcome::Success, &[]).await;
    story.pin_plain().await;
    let last = story.take("last").await;
    assert_eq!(last.spec.env["HEARD"], "well hello");
    story.end(&last, Outcome::Success, &[]).await;
    assert_eq!(story.text("SELECT state || ' ' || outcome FROM runs").await, ["finished success"]);
    let told = story.text("SELECT description FROM statuses WHERE context = 'w / c'").await;
    assert_eq!(told, ["All jobs of the called workflow went well"]);
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_the_jobs_of_its_calls() {
    let story = Story::begin().await;
    story.call('a', "  c: {uses: ./b.yml}\n").await;
    story.pin_plain().await;
    let one = story.take("c / one").await;
    story.store.cancel_run(RunId(1), "Cancelled by rose", story.now).await.unwrap();
    assert_eq!(
        story.jobs().await,
        ["c calling -", "c / one leased -", "c / two finished cancelled"]
    );
    story.end(&one, Outcome::Cancelled, &[]).await;
    assert_eq!(
        story.text("SELECT state || ' ' || outcome FROM runs").await,
        ["finished cancelled"]
    );
}

#[tokio::test]
async fn the_calls_of_a_matrix_open_no_faster_than_they_may() {
    let story = Story::begin().await;
    let matrix = "strategy: {max-parallel: 1, matrix: {w: [x, y]}}";
    story
        .call(
            'a',
            &format!("  c: {{{matrix}, uses: ./b.yml, with: {{word: '${{{{ matrix.w }}}}'}}}}\n"),
        )
        .await;
    assert_eq!(
        story.jobs().await,
        ["c (x) calling -", "c (y) waiting -", "c (x) / one unpinned -", "c (x) / two waiting -"]
    );
    story.pin_plain().await;
    let one = story.take("c (x) / one").await;
    story.end(&one, Outcome::Failure, &[]).await;
    // The matrix fails fast: the call that has not begun never does.
    assert_eq!(
        story.jobs().await,
        [
            "c (x) finished failure",
            "c (y) finished cancelled",
            "c (x) / one finished failure",
            "c (x) / two finished skipped"
        ]
    );
}

#[tokio::test]
async fn the_jobs_of_a_call_take_turns_with_its_group() {
    let story = Story::begin().await;
    let jobs = "  c: {uses: ./b.yml, concurrency: one-at-a-time}\n";
    story.call('a', jobs).await;
    story.call('b', jobs).await;
    story.pin_plain().await;
    assert_eq!(
        story.jobs().await,
        [
            "c calling -",
            "c / one queued -",
            "c / two waiting -",
            "c calling -",
            "c / one unpinned -",
            "c / two waiting -"
        ],
        "what waits behind the other is not even pinned"
    );
    let one = story.take("c / one").await;
    story.end(&one, Outcome::Failure, &[]).await;
    story.pin_plain().await;
    story.take("c / one").await;
}
