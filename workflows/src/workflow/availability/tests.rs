//! Names that are not there, and what is said about them.

use crate::workflow::parse;

/// A workflow whose job `b` needs `a` and has these keys.
fn around(rest: &str) -> String {
    let rest = rest.replace('\n', "\n    ");
    format!(
        "on: {{workflow_dispatch: {{inputs: {{level: }}}}}}\njobs:\n  a:\n    runs-on: x\n    outputs: {{tag: x}}\n    steps: [{{run: x}}]\n  c: {{runs-on: x}}\n  b:\n    needs: a\n    runs-on: x\n    strategy: {{matrix: {{os: [f42, f43], include: [{{os: f42, extra: 1}}]}}}}\n    {rest}\n"
    )
}

fn found(rest: &str) -> Vec<String> {
    let found = parse("w", &around(rest)).map_or_else(|found| found, |workflow| workflow.warnings);
    found.iter().map(ToString::to_string).collect()
}

/// Keys of a job, and what is said about them.
const REFUSED: &[(&str, &str)] = &[
    ("if: gihtub.ref == 'x'", "12:9: there is no context `gihtub` (hint: did you mean `github`?)"),
    (
        "if: main == github.ref",
        "12:9: there is no context `main` (hint: text of an expression stands in '…')",
    ),
    (
        "if: github.evnt == 'x'",
        "12:9: warning: `github` has no `evnt` (hint: did you mean `github.event`?)",
    ),
    (
        "if: forge.refname == 'x'",
        "12:9: warning: `forge` has no `refname` (hint: did you mean `forge.ref_name`?)",
    ),
    (
        "if: matrix.os == 'f43'",
        "12:9: `matrix` is not known yet in `if` of a job (hint: it can use github, vars, needs, inputs)",
    ),
    (
        "name: ${{ needs.a.outputs.tga }}",
        "12:11: warning: `needs.a.outputs` has no `tga` (hint: did you mean `needs.a.outputs.tag`?)",
    ),
    (
        "name: ${{ needs.a.output.tag }}",
        "12:11: warning: `needs.a` has no `output` (hint: did you mean `needs.a.outputs`?)",
    ),
    (
        "name: ${{ needs.c.result }}",
        "12:11: warning: job `b` does not need `c` (hint: add `c` to `needs` of `b`)",
    ),
    (
        "name: ${{ matrix.oss }}",
        "12:11: warning: `matrix` has no `oss` (hint: did you mean `matrix.os`?)",
    ),
    (
        "name: ${{ inputs.levle }}",
        "12:11: warning: `inputs` has no `levle` (hint: did you mean `inputs.level`?)",
    ),
    (
        "timeout-minutes: ${{ hashFiles('x') }}",
        "12:22: there is no `hashFiles()` in `timeout-minutes` of a job (hint: it is there in the steps of a job)",
    ),
    (
        "steps: [{run: 'x ${{ failure() }}'}]",
        "12:22: there is no `failure()` in `run` (hint: it is there in `if` of jobs and steps)",
    ),
    (
        "steps: [{run: 'x ${{ steps.late.outputs.x }}'}, {id: late, run: x}]",
        "12:22: warning: step `late` has not run yet when this is evaluated (hint: only steps before this one are known)",
    ),
    (
        "steps: [{id: first, run: x}, {run: 'x ${{ steps.frist.outputs.x }}'}]",
        "12:43: warning: no step of job `b` has the id `frist` (hint: did you mean `steps.first`?)",
    ),
    (
        "steps: [{id: first, run: x}, {run: x, if: steps.first.output.x}]",
        "12:47: warning: `steps.first` has no `output` (hint: did you mean `steps.first.outputs`?)",
    ),
    (
        "steps: [{run: x, if: secrets.x}]",
        "12:26: `secrets` is not known yet in `if` of a step (hint: it can use github, env, vars, job, steps, runner, strategy, matrix, needs, inputs)",
    ),
    (
        "steps: [{uses: 'x/${{ github.ref }}'}]",
        "12:23: `github` is not known yet in `uses` of a step (hint: no expression can stand here)",
    ),
];

#[test]
fn names_that_are_not_there_are_told_with_what_was_meant() {
    for (rest, expected) in REFUSED {
        assert_eq!(found(rest), [format!("w:{expected}")], "{rest}");
    }
}

#[test]
fn names_that_are_there_are_passed_in_silence() {
    for rest in [
        "if: always() && needs.a.result == 'success' && GitHub.Ref == 'x'",
        "name: ${{ matrix.os }} ${{ matrix.extra }} ${{ needs['a'].outputs.tag }}",
        "env: {A: '${{ secrets.A }}', B: '${{ vars.B }}'}",
        "container: {image: x, env: {A: '${{ runner.os }}'}}",
        "outputs: {x: '${{ steps.one.outputs.x }}'}\nsteps: [{id: one, run: 'x ${{ env.Y }}'}]",
        "steps: [{id: one, run: x}, {if: steps.one.outcome == 'failure' || cancelled(), run: x}]",
        "steps: [{run: 'x ${{ hashFiles(''x'') }} ${{ github.event.anything.at.all }}'}]",
        "steps: [{run: 'x ${{ release.name }} ${{ image.name }} ${{ toJSON(steps) }}'}]",
    ] {
        assert_eq!(found(rest), [""; 0], "{rest}");
    }
}

#[test]
fn outputs_of_another_workflow_are_not_known() {
    let text = "on: push\njobs:\n  a: {uses: ./b.yaml}\n  b: {needs: a, runs-on: x, name: '${{ needs.a.outputs.any }}'}\n";
    assert!(parse("w", text).is_ok());
    let text = "on: {workflow_call: {outputs: {x: {value: '${{ jobs.a.outputs.y }}'}}}}\njobs:\n  a: {runs-on: x, outputs: {z: x}}\n";
    assert_eq!(
        parse("w", text).unwrap().warnings[0].to_string(),
        "w:1:44: warning: `jobs.a.outputs` has no `y` (hint: did you mean `jobs.a.outputs.z`?)"
    );
}

/// GitHub's table, at the keys of calls and of workflows that are called.
#[test]
fn calls_name_what_they_can_on_github() {
    let of_call = |rest: &str| {
        let text = format!(
            "on: {{workflow_call: {{inputs: {{level: {{type: string}}}}}}}}\njobs:\n  a: {{runs-on: x}}\n  c:\n    needs: a\n    uses: ./b.yml\n    {rest}\n"
        );
        let found = parse("w", &text).map_or_else(|found| found, |workflow| workflow.warnings);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for fine in [
        "with: {x: '${{ needs.a.result }} ${{ inputs.level }} ${{ vars.V }} ${{ github.sha }}'}",
        "secrets: {x: '${{ secrets.X }} ${{ needs.a.result }}'}",
        "if: needs.a.result == 'success' && inputs.level == 'x'",
    ] {
        assert_eq!(of_call(fine), [""; 0], "{fine}");
    }
    for (rest, context) in [
        ("with: {x: '${{ secrets.X }}'}", "secrets"),
        ("with: {x: '${{ env.X }}'}", "env"),
        ("with: {x: '${{ steps.x.outcome }}'}", "steps"),
        ("secrets: {x: '${{ env.X }}'}", "env"),
        ("if: secrets.X == ''", "secrets"),
    ] {
        let found = of_call(rest);
        assert!(found[0].contains(&format!("`{context}` is not known yet in")), "{found:?}");
    }
    let called = |input: &str, output: &str| {
        let text = format!(
            "on:\n  workflow_call:\n    inputs: {{i: {{type: string, default: '{input}'}}}}\n    outputs: {{o: {{value: '{output}'}}}}\njobs: {{a: {{runs-on: x, outputs: {{v: x}}}}}}\n"
        );
        parse("w", &text).map(drop).map_err(|found| found[0].to_string())
    };
    assert_eq!(called("${{ github.ref }}", "${{ jobs.a.outputs.v }} ${{ inputs.i }}"), Ok(()));
    assert!(
        called("${{ jobs.a.outputs.v }}", "x").unwrap_err().contains("the default of an input")
    );
    assert!(
        called("x", "${{ needs.a.outputs.v }}").unwrap_err().contains("an output of the workflow")
    );
}
