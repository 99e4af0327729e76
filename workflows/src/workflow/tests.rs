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
    let [warning] = workflow.warnings.as_slice() else { panic!("{:?}", workflow.warnings) };
    assert_eq!(warning.message, "`env.VERSION` is the number 1.5, as YAML reads it");
    assert_eq!(workflow.on.schedule[0].timezone, "Europe/Prague");
    assert!(workflow.on.push.as_ref().unwrap().branches.as_ref().unwrap().accepts("f43"));
    let Table::Entries(env) = &workflow.env else { panic!("{:?}", workflow.env) };
    let env: Vec<&str> = env.iter().map(|entry| entry.value.value.as_str()).collect();
    assert_eq!(env, ["1.5", "yes", ""]);
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
}

#[test]
fn a_merge_key_adds_what_is_not_there() {
    let env = |env: &str| {
        let workflow = parse("x", &around(env)).unwrap();
        let Table::Entries(env) = workflow.env else { panic!("{:?}", workflow.env) };
        let shown = env.iter().map(|entry| format!("{}={}", entry.key.value, entry.value.value));
        shown.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(env("env: {<<: {A: b, B: c}, A: own}"), "A=own B=c");
    assert_eq!(env("env: {<<: [{A: first}, {A: second, B: c}]}"), "A=first B=c");
    assert_eq!(env("env: {'<<': text}"), "<<=text", "in quotes it is a key like others");
    let jobs =
        "on: push\njobs:\n  a: &a {runs-on: x, steps: [{run: 'true'}]}\n  b: {<<: *a, name: B}\n";
    assert_eq!(parse("x", jobs).unwrap().jobs[1].name.as_ref().unwrap().value, "B");
    let wrong = "jobs:\n  a: &a {runs-on: x, stpes: []}\n  b: {<<: *a}\non: push\n";
    assert!(messages(wrong)[1].starts_with("3:11: unknown key `stpes`"), "{:?}", messages(wrong));
    let text = "2:11: `<<` must be a mapping or a list of mappings";
    assert_eq!(messages(&around("env: {<<: text}")), [text]);
}

#[test]
fn a_release_that_would_be_another_one_is_refused() {
    let text = |release: &str| {
        format!(
            "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      \
             - {{uses: strata/layered-build, with: {{release: {release}}}}}\n"
        )
    };
    let said = messages(&text("2.10"));
    assert!(said.len() == 1 && said[0].contains("with.release` is the number 2.1,"), "{said:?}");
    for fine in ["2.1", "'2.10'", "3.fc43"] {
        assert!(parse("x", &text(fine)).is_ok(), "{fine}");
    }
}

#[test]
fn numbers_and_booleans_are_those_of_github() {
    for (written, value) in [
        ("017", "17"),
        ("0o17", "15"),
        ("0x1F", "31"),
        ("1e3", "1000"),
        ("1.10", "1.1"),
        ("-0", "0"),
        ("5", "5"),
        ("True", "true"),
        ("yes", "yes"),
        ("on", "on"),
        ("'1.10'", "1.10"),
        ("1.10.0", "1.10.0"),
        (".inf", ".inf"),
        ("2026-01-02", "2026-01-02"),
    ] {
        let workflow = parse("x", &around(&format!("env: {{A: {written}}}"))).unwrap();
        let Table::Entries(env) = workflow.env else { panic!("{:?}", workflow.env) };
        assert_eq!(env[0].value.value, value, "{written}");
        let is_told = workflow.warnings.iter().any(|one| one.message.contains("is the number"));
        let is_other =
            written != value && written.parse::<f64>().is_ok() || written.starts_with("0");
        assert_eq!(is_told, is_other, "{written}: {:?}", workflow.warnings);
    }
}
