//! What expressions and matrices make of a workflow.

use super::*;

const STEPS: &str = "steps: [{uses: strata/checkout}]";

fn planned(text: &str) -> Plan {
    drafts("ci.yaml", &parse("ci.yaml", text).unwrap(), &facts()).unwrap()
}

#[test]
fn what_is_known_is_evaluated() {
    let text = "run-name: Build ${{ github.ref_name }}\n".to_owned()
        + "env: {WHERE: '${{ github.repository }}', KIND: '${{ github.event_name }}'}\n"
        + &job("name: On ${{ release.name }}\nruns-on: ['${{ github.ref_name }}', x]\ntimeout-minutes: ${{ fromJSON('3') }}\ncontainer: 'r/base:${{ forge.ref_name }}'\nsteps:\n- {run: 'echo ${{ github.sha }}', working-directory: 'a/${{ release.name }}'}\n- {run: never, if: \"github.event_name == 'schedule'\"}")
            .replace("    runs-on: x\n", "");
    let plan = planned(&text);
    assert_eq!(plan.run_name.as_deref(), Some("Build f43"));
    let [job] = plan.jobs.as_slice() else { panic!("{plan:?}") };
    assert_eq!((job.title.as_str(), job.timeout_seconds), ("On f43", Some(180)));
    assert_eq!(
        (&job.runs_on[..], job.image.as_deref()),
        (&["f43", "x"].map(String::from)[..], Some("r/base:f43"))
    );
    assert_eq!((job.env["WHERE"].as_str(), job.env["KIND"].as_str()), ("containers/web", "push"));
    let [step] = job.steps.as_slice() else { panic!("{job:?}") };
    let DraftAction::Run { script, working_directory, .. } = &step.action else {
        panic!("{step:?}")
    };
    assert_eq!(script, &format!("echo {}", "a".repeat(40)));
    assert_eq!(working_directory, "a/f43");
}

#[test]
fn a_job_whose_condition_does_not_hold_takes_along_what_needs_it() {
    let text = format!(
        "on: push\njobs:\n  a: {{if: github.ref_name == 'f42', runs-on: x, {STEPS}}}\n  b: {{needs: a, runs-on: x, {STEPS}}}\n  c: {{if: \"${{{{ github.ref_name == 'F43' }}}}\", runs-on: x, {STEPS}}}\n"
    );
    let plan = planned(&text);
    let names: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["c"]);
    let skipped =
        [("a", "its `if` in line 3 does not hold"), ("b", "it needs `a`, which does not run")];
    assert_eq!(plan.skipped, skipped.map(|(key, why)| (key.to_owned(), why.to_owned())));
}

#[test]
fn a_matrix_is_a_job_for_each_combination() {
    let text = format!(
        "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {{matrix: {{os: [f42, '${{{{ release.name }}}}'], v: [1], include: [{{os: f42, more: yes}}]}}}}\n    env: {{OS: '${{{{ matrix.os }}}}', MORE: '${{{{ matrix.more }}}}', N: '${{{{ strategy.job-index }}}}'}}\n    {STEPS}\n  b: {{needs: a, runs-on: x, {STEPS}}}\n"
    );
    let plan = planned(&text);
    let shown: Vec<(&str, &str)> =
        plan.jobs.iter().map(|job| (job.name.as_str(), job.title.as_str())).collect();
    assert_eq!(
        shown,
        [("a (f42, 1, yes)", "a (f42, 1, yes)"), ("a (f43, 1)", "a (f43, 1)"), ("b", "b")]
    );
    assert_eq!(plan.jobs[2].needs, ["a"]);
    let env = |job: usize| ["OS", "MORE", "N"].map(|key| plan.jobs[job].env[key].clone());
    assert_eq!(env(0), ["f42", "yes", "0"]);
    assert_eq!(env(1), ["f43", "", "1"]);
    let place = plan.jobs[1].matrix.as_ref().unwrap();
    assert_eq!((place.key.as_str(), place.index, place.total, place.fail_fast), ("a", 1, 2, true));
}

#[test]
fn jobs_of_a_matrix_have_titles_of_their_own() {
    for (name, expected) in [
        ("Same", ["Same (1)", "Same (2)"]),
        ("'V${{ matrix.v }}'", ["V1", "V2"]),
        ("'${{ release.name }}'", ["f43", "f43 #2"]),
        ("\"${{ matrix.v == 1 && 'Build' || 'build' }}\"", ["Build", "build #2"]),
    ] {
        let text = job(&format!("name: {name}\nstrategy: {{matrix: {{v: [1, 2]}}}}\n{STEPS}"));
        let titles: Vec<String> = planned(&text).jobs.into_iter().map(|job| job.title).collect();
        assert_eq!(titles, expected, "{name}");
    }
}

#[test]
fn names_that_values_make_are_short_and_one_line() {
    let values = format!("[\"a\\nb\", \"{}\", same, same]", "é".repeat(500));
    let plan = planned(&job(&format!("strategy: {{matrix: {{v: {values}}}}}\n{STEPS}")));
    let names: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!((names[0], names[2], names[3]), ("a (a b)", "a (same)", "a (same) #4"));
    assert_eq!(names[1].chars().count(), 121);
}

#[test]
fn a_matrix_does_not_repeat_a_large_script_without_bound() {
    let values: Vec<String> = (0..256).map(|n| n.to_string()).collect();
    let text = job(&format!(
        "container: x\nstrategy: {{matrix: {{v: [{}]}}}}\nsteps: [{{run: {}}}]",
        values.join(", "),
        "x".repeat(100_000)
    ));
    let found = drafted(&text).unwrap_err();
    assert_eq!(found, ["ci.yaml:3:3: the jobs of the run have more than 4194304 bytes of text"]);
}

#[test]
fn a_job_of_which_nothing_runs_is_refused() {
    let text = job("steps: [{uses: strata/checkout, if: github.event_name == 'schedule'}]");
    let expected = "ci.yaml:3:3: no step of job `a` has an `if` that holds (hint: put the condition on the job, which then does not run)";
    assert_eq!(drafted(&text).unwrap_err(), [expected]);
}

#[test]
fn what_is_not_known_yet_is_left_as_a_template() {
    let text = "on: push\njobs:\n  a: {runs-on: x, steps: [{uses: strata/checkout}]}\n  b:\n    needs: a\n    if: always()\n    runs-on: x\n    strategy: {matrix: '${{ fromJSON(needs.a.outputs.list) }}'}\n    env: {A: '${{ matrix.x }}'}\n    container: c\n    steps: [{uses: strata/checkout}, {run: 'x ${{ env.Y }}'}]\n";
    let workflow = parse("ci.yaml", text).unwrap();
    let plan = outline("ci.yaml", &workflow, &facts()).unwrap();
    let later: Vec<(Option<usize>, &str, &str)> = plan.jobs[1]
        .later
        .iter()
        .map(|later| (later.step, later.key.as_str(), later.waits_for.as_str()))
        .collect();
    assert_eq!(
        later,
        [
            (None, "an expression in `matrix`", "needs.a.outputs.list"),
            (None, "an expression in `env`.A", "matrix.x"),
        ]
    );
    assert_eq!(plan.jobs[1].env["A"], "${{ matrix.x }}");
    assert_eq!(plan.jobs[1].condition.as_ref().unwrap().text, "always()");
    assert!(plan.jobs[1].is_provisional && !plan.jobs[0].is_provisional);
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    for (rest, expected) in [
        (
            "timeout-minutes: ${{ fromJSON('0') }}",
            "5:22: the expression in `timeout-minutes` must give a whole number from 1 to 10080, not `0`",
        ),
        (
            "env: ${{ fromJSON('[1]') }}",
            "5:10: the expression in `env` must give an object, not array",
        ),
        (
            "strategy: {matrix: {x: \"${{ fromJSON('1') }}\"}}",
            "5:28: `x` of a matrix must be a list",
        ),
        ("strategy: {matrix: {x: [1], exclude: [{x: 1}]}}", "5:5: the matrix makes no job at all"),
        (
            "name: ${{ fromJSON('{') }}",
            "5:11: in `name`: fromJSON got no JSON: EOF while parsing an object at line 1 column 1 (at character 5 of the expression)",
        ),
    ] {
        let found = drafted(&job(&format!("{rest}\n{STEPS}"))).unwrap_err();
        assert_eq!(found[0], format!("ci.yaml:{expected}"), "{rest}");
    }
}

#[test]
fn a_file_is_checked_as_if_everything_ran() {
    let text = job("if: github.event_name == 'schedule'\nsteps: [{uses: strata/layered-built}]");
    let workflow = parse("ci.yaml", &text).unwrap();
    assert_eq!(drafts("ci.yaml", &workflow, &facts()).unwrap().jobs, []);
    assert_eq!(check("ci.yaml", &workflow).len(), 1);
    let fine = job(
        "container: x\nsteps: [{run: 'x ${{ github.event.pull_request.number }} ${{ github.head_ref }}'}]",
    );
    assert_eq!(check("ci.yaml", &parse("ci.yaml", &fine).unwrap()), []);
}
