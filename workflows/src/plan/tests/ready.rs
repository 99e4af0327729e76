//! Jobs that are drafted again when the run has its numbers and the jobs before them are over.

use serde_json::json;

use super::*;
use crate::facts::RunNumbers;

const TEXT: &str = "
on: push
run-name: 'Run ${{ github.run_number }} of ${{ github.ref_name }}'
concurrency: {group: 'g-${{ github.run_id }}', cancel-in-progress: '${{ github.ref_name == ''f43'' }}'}
env: {TRY: '${{ github.run_attempt }}'}
jobs:
  a:
    runs-on: x
    outputs: {list: '${{ steps.s.outputs.list }}'}
    steps: [{uses: strata/checkout}]
  b:
    needs: a
    if: needs.a.outputs.list != ''
    runs-on: '${{ needs.a.outputs.label }}'
    strategy: {max-parallel: 2, fail-fast: false, matrix: {v: '${{ fromJSON(needs.a.outputs.list) }}'}}
    concurrency: '${{ needs.a.result }}-${{ matrix.v }}'
    container: 'r/base:${{ matrix.v }}'
    continue-on-error: ${{ matrix.v == 2 }}
    env: {N: '${{ strategy.job-total }} of ${{ strategy.max-parallel }}'}
    steps: [{run: 'echo ${{ needs.a.outputs.label }}'}]
";

fn workflow() -> Workflow {
    parse("ci.yaml", TEXT).unwrap()
}

fn numbered() -> Facts {
    facts().with_run(RunNumbers { id: 7, number: 3, attempt: 1 })
}

fn needs(list: &str) -> Map<String, Json> {
    let outputs = json!({"list": list, "label": "big"});
    Map::from_iter([("a".to_owned(), json!({"result": "success", "outputs": outputs}))])
}

#[test]
fn what_names_the_run_or_other_jobs_is_drafted_provisionally() {
    let plan = drafts("ci.yaml", &workflow(), &facts()).unwrap();
    let names: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(plan.jobs.iter().all(|job| job.is_provisional), "both have TRY");
    assert_eq!(plan.jobs[0].outputs["list"].text, "${{ steps.s.outputs.list }}");
    assert_eq!(plan.jobs[1].condition.as_ref().unwrap().text, "needs.a.outputs.list != ''");
    let json = serde_json::to_string(&plan.jobs).unwrap();
    assert_eq!(serde_json::from_str::<Vec<JobDraft>>(&json).unwrap(), plan.jobs);
}

#[test]
fn a_run_says_of_itself_what_its_numbers_make_of_it() {
    let plan = drafts("ci.yaml", &workflow(), &facts()).unwrap();
    let head = plan.texts.head("ci.yaml", "ci.yaml", &numbered()).unwrap();
    assert_eq!(head.run_name.as_deref(), Some("Run 3 of f43"));
    let group = Group { name: "g-7".to_owned(), cancel_in_progress: true, lines_up: false };
    assert_eq!(head.concurrency, Some(group));
}

#[test]
fn a_matrix_from_outputs_becomes_its_jobs() {
    let jobs = drafts_of_key("ci.yaml", &workflow(), &numbered(), "b", &needs("[1, 2]")).unwrap();
    let [first, second] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((first.name.as_str(), second.title.as_str()), ("b (1)", "b (2)"));
    assert_eq!((first.key.as_str(), &first.needs[..]), ("b", &["a".to_owned()][..]));
    assert_eq!(
        (first.image.as_deref(), &first.runs_on[..]),
        (Some("r/base:1"), &["big".into()][..])
    );
    assert_eq!((first.env["TRY"].as_str(), first.env["N"].as_str()), ("1", "2 of 2"));
    assert!(!first.is_provisional && !first.continue_on_error && second.continue_on_error);
    assert_eq!(first.concurrency.as_ref().unwrap().name, "success-1");
    let place = first.matrix.as_ref().unwrap();
    assert_eq!((place.max_parallel, place.fail_fast), (Some(2), false));
    let DraftAction::Run { script, .. } = &first.steps[0].action else { panic!("{first:?}") };
    assert_eq!(script, "echo big");
}

#[test]
fn outputs_that_make_no_job_are_told_with_their_place() {
    for (list, expected) in [
        ("[]", "ci.yaml:15:5: the matrix makes no job at all"),
        ("{}", "ci.yaml:15:63: `v` of a matrix must be a list"),
    ] {
        let refused = drafts_of_key("ci.yaml", &workflow(), &numbered(), "b", &needs(list));
        let shown: Vec<String> = refused.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(shown, [expected]);
    }
}

#[test]
fn a_pull_request_excludes_its_older_heads_unless_the_workflow_says_otherwise() {
    let of_pull = |text: &str| {
        let json = json!({
            "github": {"event_name": "pull_request", "ref": "refs/pull/7/head"}, "release": {}
        });
        let facts: Facts = serde_json::from_value(json).unwrap();
        let workflow = parse("ci.yaml", text).unwrap();
        let texts = drafts("ci.yaml", &workflow, &facts).unwrap().texts;
        texts.head("ci.yaml", "ci.yaml", &facts).unwrap().concurrency.unwrap()
    };
    let plain = job("steps: [{uses: strata/checkout}]");
    let own = format!("concurrency: mine\n{plain}");
    assert!(of_pull(&plain).cancel_in_progress);
    assert_eq!(of_pull(&plain).name, "ci.yaml refs/pull/7/head");
    let expected = Group { name: "mine".into(), cancel_in_progress: false, lines_up: false };
    assert_eq!(of_pull(&own), expected);
    let pushed = drafts("ci.yaml", &parse("ci.yaml", &plain).unwrap(), &facts()).unwrap();
    assert_eq!(pushed.texts.head("ci.yaml", "ci.yaml", &facts()).unwrap().concurrency, None);
}

#[test]
fn a_job_is_given_the_secrets_that_it_names() {
    let named = |rest: &str| {
        let text = job(&format!("{rest}\nsteps: [{{uses: strata/checkout}}]"));
        let workflow = parse("ci.yaml", &text).unwrap();
        outline("ci.yaml", &workflow, &facts()).unwrap().jobs[0].secrets.clone()
    };
    assert!(named("env: {A: b}").is_empty());
    let one = named("env: {A: '${{ secrets.Token || secrets[''other''] }}'}");
    assert!(one.has("TOKEN") && one.has("other") && !one.has("third"));
    assert_eq!(named("env: {A: '${{ toJSON(secrets) }}'}"), SecretNames::All);
}
