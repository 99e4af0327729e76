//! Files as people write them, and what they are told.

use super::*;

mod corpus;
mod hostile;
mod messages;
mod mutations;

/// A workflow of one job around `rest`, which stands at the top of the file.
fn around(rest: &str) -> String {
    format!("on: push\n{rest}\njobs:\n  a:\n    runs-on: x\n")
}

fn messages(text: &str) -> Vec<String> {
    match parse("ci.yaml", text) {
        Ok(workflow) => panic!("accepted: {workflow:?}"),
        Err(found) => {
            found.iter().map(|d| format!("{}:{}: {}", d.line, d.column, d.message)).collect()
        }
    }
}

#[test]
fn a_whole_file_keeps_everything_that_was_written() {
    let text = r#"
name: Build
on:
  push:
    branches: [rawhide, 'f*']
    paths-ignore: "*.md"
  schedule:
    - cron: "30 4 * * 1"
      timezone: Europe/Prague
env: {VERSION: 1.50, DEBUG: yes, EMPTY: }
defaults:
  run: {shell: bash}
jobs:
  lint:
    runs-on: small
    container: fedora:43
    steps:
      - uses: strata/checkout@v1
      - name: check
        run: |
          make lint
          echo ${{ github.sha }}
        env: {A: 'x ${{ secrets.A }}'}
  image:
    needs: lint
    runs-on: [builder, x86_64]
    timeout-minutes: 30
    steps:
      - uses: strata/layered-build
        with:
          scratch: true
"#;
    let workflow = parse("ci.yaml", text).unwrap();
    assert_eq!(workflow.title(), "Build");
    assert!(workflow.warnings.is_empty(), "{:?}", workflow.warnings);
    assert_eq!(workflow.on.schedule[0].timezone, "Europe/Prague");
    assert!(workflow.on.push.as_ref().unwrap().branches.as_ref().unwrap().accepts("f43"));
    let Table::Entries(env) = &workflow.env else { panic!("{:?}", workflow.env) };
    let env: Vec<&str> = env.iter().map(|entry| entry.value.value.as_str()).collect();
    assert_eq!(env, ["1.50", "yes", ""]);
    let [lint, image] = workflow.jobs.as_slice() else { panic!("{:?}", workflow.jobs) };
    assert_eq!(image.needs[0].value, "lint");
    assert_eq!(lint.key.at, Position { line: 14, column: 3 });
    let JobBody::Steps(body) = &lint.body else { panic!("{lint:?}") };
    let Action::Run { script, .. } = &body.steps[1].action else { panic!("{body:?}") };
    assert_eq!(script.expressions, [Position { line: 22, column: 16 }]);
    let Table::Entries(env) = &body.steps[1].env else { panic!("{body:?}") };
    assert_eq!(env[0].value.expressions, [Position { line: 23, column: 21 }]);
}

#[test]
fn on_may_be_a_word_a_list_or_a_mapping() {
    for on in ["push", "[push, pull_request]", "{push: }", "{push: {branches: main}}"] {
        let workflow = parse("x", &format!("on: {on}\njobs: {{a: {{runs-on: x}}}}")).unwrap();
        assert!(workflow.on.push.is_some(), "{on}");
    }
    let foreign = parse("x", "on: [push, release]\njobs: {a: {runs-on: x}}").unwrap();
    assert_eq!(
        foreign.warnings[0].to_string(),
        "x:1:12: warning: Strata never fires `release`; the entry changes nothing here"
    );
}

#[test]
fn yaml_is_read_as_version_1_2() {
    // `on` is a key of text, `yes` is text, and only `true` is true.
    assert_eq!(
        messages("on: push\njobs: {a: {runs-on: x, continue-on-error: yes}}"),
        ["2:43: `jobs.a.continue-on-error` must be `true`, `false` or an expression, not text"]
    );
    let bom = parse("x", "\u{feff}on: push\r\njobs:\r\n  a:\r\n    runs-on: x\r\n").unwrap();
    assert_eq!(bom.jobs[0].key.at, Position { line: 3, column: 3 });
}

#[test]
fn aliases_repeat_values_and_point_at_themselves() {
    let text = around("env: &e {A: b}");
    let text = format!("{text}    env: *e\n    name: [x]\n");
    assert_eq!(messages(&text), ["7:11: `jobs.a.name` must be text, not a list"]);
    let merged = around("env: {<<: {A: b}}");
    assert_eq!(messages(&merged), ["2:11: `env.<<` must be text, not a mapping"]);
}
