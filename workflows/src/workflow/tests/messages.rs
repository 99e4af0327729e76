//! Each mistake, the sentence it gets, and where that sentence points.

use super::{around, messages, parse};
use crate::diagnostic::Severity;

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let text = r#"
name: [x]
on:
  push:
    branch: main
  pull_requests:
jobs:
  build:
    runs_on: x
    timeout-minutes: soon
    steps:
      - rum: make
      - run: make
        uses: strata/checkout
      - uses: strata/checkout
        shell: bash
"#;
    let found = parse("ci.yaml", text).unwrap_err();
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
ci.yaml:2:7: `name` must be text, not a list
ci.yaml:5:5: unknown key `branch` in `on.push` (hint: did you mean `branches`?)
ci.yaml:6:3: unknown event `pull_requests` in `on` (hint: did you mean `pull_request`?)
ci.yaml:9:5: unknown key `runs_on` in `jobs.build` (hint: did you mean `runs-on`?)
ci.yaml:10:22: `jobs.build.timeout-minutes` must be a whole number from 1 to 10080 or an expression, not text
ci.yaml:12:9: unknown key `rum` in `jobs.build.steps[0]` (hint: did you mean `run`?)
ci.yaml:13:9: `jobs.build.steps[1]` can have only one of run, uses
ci.yaml:16:9: `jobs.build.steps[2]` has `shell`, which belongs to a step with `run`
");
}

#[test]
fn faults_of_yaml_have_a_place_too() {
    for (text, expected) in [
        ("a: [1", "1:4: not valid YAML: unclosed bracket '['"),
        ("a: b: c", "1:5: not valid YAML: mapping values are not allowed in this context"),
        ("a: *x", "1:4: not valid YAML: reference to unknown value"),
        (
            "on: push\n---\non: push",
            "2:1: the file is too large or too complex: it has too many values, too deep a nesting, too many aliases, or more than one document",
        ),
        ("", "1:1: a workflow file must be a mapping, not nothing"),
        ("- a", "1:1: a workflow file must be a mapping, not a list"),
    ] {
        assert_eq!(messages(text), [expected], "{text}");
    }
}

#[test]
fn duplicates_name_both_places() {
    assert_eq!(
        messages("on: push\njobs: {a: {runs-on: x}}\non: push"),
        ["3:1: `on` is written twice; first at 1:1"]
    );
    assert_eq!(
        messages("on: push\njobs: {a: {runs-on: x}, A: {runs-on: x}}"),
        [
            "2:25: `jobs.A` differs from `a` at 2:8 in case alone, which expressions do not tell apart"
        ]
    );
    let proxies = "on: push\nenv: {http_proxy: x, HTTP_PROXY: x}\njobs: {a: {runs-on: x}}";
    assert!(parse("x", proxies).is_ok(), "programs tell variables apart");
}

#[test]
fn a_tag_starts_nothing_and_its_author_is_told() {
    let workflow = parse("x", "on: {push: {tags: ['v*']}}\njobs: {a: {runs-on: x}}").unwrap();
    let told = workflow.warnings[0].to_string();
    assert_eq!(
        told,
        "x:1:13: warning: images are built from the branches of a release; a tag starts no run"
    );
}

#[test]
fn filters_that_cannot_work_are_refused() {
    for (push, expected) in [
        (
            "{branches: ['!x']}",
            "`on.push.branches` has no pattern without `!` and can match nothing",
        ),
        (
            "{branches: x, branches-ignore: y}",
            "`on.push` has both `branches` and `branches-ignore`",
        ),
        ("{tags: '[a'}", "in `on.push.tags`: pattern `[a`: `[` is not closed by `]`"),
        ("{paths: ['${{ x }}']}", "`on.push.paths` cannot hold an expression"),
    ] {
        let found = parse("x", &format!("on: {{push: {push}}}\njobs: {{a: {{runs-on: x}}}}"));
        let found = found.unwrap_err();
        let error = found.iter().find(|one| one.severity == Severity::Error);
        assert_eq!(error.unwrap().message, expected);
    }
}

#[test]
fn needs_must_make_an_order() {
    let jobs = |needs: [&str; 3]| {
        let [a, b, c] = needs.map(|needs| format!("{{runs-on: x, needs: {needs}}}"));
        format!("on: push\njobs:\n  a: {a}\n  b: {b}\n  c: {c}\n")
    };
    assert!(parse("x", &jobs(["[]", "a", "[a, b]"])).is_ok());
    assert_eq!(
        messages(&jobs(["c", "a", "[b]"])),
        ["3:3: jobs need each other in a circle: a → c → b → a"]
    );
    assert_eq!(
        messages(&jobs(["a", "[]", "[]"])),
        ["3:3: jobs need each other in a circle: a → a"]
    );
    assert_eq!(messages(&jobs(["[]", "[a, a]", "[]"])), ["4:30: job `b` needs `a` twice"]);
    assert_eq!(
        messages(&jobs(["[]", "nope", "[]"])),
        ["4:26: job `b` needs `nope`, and there is no such job"]
    );
}

#[test]
fn schedules_are_checked_when_they_are_read() {
    let on = |entry: &str| format!("on: {{schedule: [{entry}]}}\njobs: {{a: {{runs-on: x}}}}");
    assert_eq!(
        messages(&on("{cron: '0 0 30 2 *'}")),
        [
            "1:24: in `on.schedule`: schedule `0 0 30 2 *` never comes due: none of its months has one of its days"
        ]
    );
    assert_eq!(
        messages(&on("{cron: '0 0 * * *', timezone: Mars}")),
        ["1:47: in `on.schedule`: `Mars` is no IANA time zone such as Europe/Prague or UTC"]
    );
}

#[test]
fn an_expression_without_end_is_shown_where_it_begins() {
    assert_eq!(
        messages(&around("env: {A: 'x ${{ y }} ${{ z'}")),
        ["2:22: in `env.A`: `${{` is not closed by `}}`"]
    );
}

#[test]
fn names_fit_a_line_and_a_status() {
    let named = |name: &str| around(&format!("name: {name}"));
    assert!(parse("x", &named(&"é".repeat(120))).is_ok());
    assert_eq!(messages(&named(&"é".repeat(121))), ["2:7: `name` may have 120 characters"]);
    assert_eq!(messages(&named("\"a\\nb\"")), ["2:7: `name` must be one line of text"]);
}

#[test]
fn expressions_are_checked_before_there_is_an_event() {
    let env = |value: &str| around(&format!("env: {{A: \"{value}\"}}"));
    assert!(parse("x", &env("${{ github.x && toJSON(vars.a) }}")).is_ok());
    assert_eq!(
        messages(&env("x ${{ github.sha == }}")),
        [
            "2:13: in `env.A`: Unexpected end of expression: '==' (at character 13 of the expression)"
        ]
    );
    let condition = |text: &str| around("") + "    if: " + text + "\n";
    assert!(parse("x", &condition("github.ref == 'x' && always()")).is_ok());
    assert_eq!(
        messages(&condition("sucess()")),
        ["6:9: in `jobs.a.if`: Unrecognized function: 'sucess' (at character 1 of the expression)"]
    );
    assert_eq!(
        messages(&condition("${{ a }} == 'b'")),
        ["6:9: `jobs.a.if` has text around `${{ }}` and would always hold"]
    );
}
