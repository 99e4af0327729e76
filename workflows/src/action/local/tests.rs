//! Uses of actions of a repository that is a table of paths and texts.

use super::*;

fn look<'f>(files: &'f [(&'f str, &'f str)]) -> impl Fn(&str, usize) -> Content + 'f {
    |path, _| {
        let found = files.iter().find(|(known, _)| *known == path);
        found.map_or(Content::Missing, |(_, text)| Content::Text((*text).to_owned()))
    }
}

/// What is found when a job has these steps.
fn found(files: &[(&str, &str)], steps: &str) -> Vec<String> {
    let text = format!(
        "on: push\njobs:\n  a:\n    runs-on: x\n    container: b:1\n    steps: [{steps}]\n"
    );
    let workflow = workflow::parse("w.yml", &text).unwrap();
    let look = look(files);
    let mut actions = LocalActions::new(&look);
    actions.check_workflow("w.yml", &workflow);
    actions.finish().iter().map(ToString::to_string).collect()
}

const GREET: (&str, &str) = (
    "act/greet/action.yml",
    "inputs:\n  who: {required: true}\n  how: {default: kindly}\n  old: {deprecationMessage: use how}\n\
     runs:\n  using: composite\n  steps: [{run: echo, shell: sh}]\n",
);

#[test]
fn an_action_that_is_used_as_it_wants_is_passed_in_silence() {
    let none: [String; 0] = [];
    assert_eq!(found(&[GREET], "{uses: ./act/greet, with: {WHO: you}}"), none);
    assert_eq!(found(&[("d/Dockerfile", "FROM a")], "{uses: ./d, with: {args: x}}"), none);
    assert_eq!(found(&[], "{uses: 'docker://a'}, {uses: a/b@v1}, {uses: strata/checkout}"), none);
}

#[test]
fn inputs_that_are_missing_misspelt_or_old_are_told() {
    let told = found(&[GREET], "{uses: ./act/greet, with: {woh: you, old: x}}");
    assert_eq!(
        told,
        [
            "w.yml:6:20: warning: input `who` is required and not given",
            "w.yml:6:40: warning: the action has no input `woh`; did you mean `who`?",
            "w.yml:6:50: warning: input `old` is deprecated: use how",
        ]
    );
    let whole = "{uses: ./act/greet, with: '${{ fromJSON(vars.WITH) }}'}";
    assert!(found(&[GREET], whole).is_empty(), "nobody knows what it gives");
}

#[test]
fn an_action_that_nothing_can_have_made_is_an_error() {
    let told = found(&[], "{uses: strata/checkout}, {uses: ./no}");
    assert!(told[0].starts_with("w.yml:6:45: there is no action `./no`"), "{told:?}");
    let told = found(&[], "{run: ./make}, {uses: ./no}");
    assert!(told[0].contains("warning: there is no action `./no`"), "{told:?}");
    assert!(told[0].contains("an earlier step of the job would have to make it"), "{told:?}");
}

#[test]
fn what_is_wrong_with_an_action_is_told_in_its_own_file_and_once() {
    let broken = ("a/action.yaml", "runs:\n  using: composit\n");
    let told = found(&[broken], "{uses: ./a}, {uses: ./a}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("a/action.yaml:2:10: `runs.using` must be"), "{told:?}");
    let build = "runs:\n  using: composite\n  steps:\n    - uses: strata/layered-build\n";
    let told = found(&[("a/action.yml", build)], "{uses: ./a}");
    assert!(told[0].contains("a/action.yml:4:7: a layered build"), "{told:?}");
}

#[test]
fn what_an_action_names_has_to_be_there() {
    let docker = ("a/action.yml", "runs: {using: docker, image: image/Dockerfile}\n");
    let told = found(&[docker], "{uses: ./a}");
    assert!(told[0].starts_with("a/action.yml:1:30: there is no `a/image/Dockerfile`"), "{told:?}");
    let wrong = ("a/image/Dockerfile", "FROM a\nFRUM b\n");
    let told = found(&[docker, wrong], "{uses: ./a}");
    assert!(told[0].contains("a/image/Dockerfile:2: "), "{told:?}");
    assert!(found(&[docker, ("a/image/Dockerfile", "FROM a")], "{uses: ./a}").is_empty());

    let node = ("n/action.yml", "runs: {using: node20, main: dist/m.js, post: p.js}\n");
    let told = found(&[node, ("n/p.js", "")], "{uses: ./n}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("warning: there is no program `n/dist/m.js`"), "{told:?}");
    let out = ("n/action.yml", "runs: {using: node20, main: ../m.js}\n");
    assert!(found(&[out], "{uses: ./n}")[0].contains("leads out of the action's directory"));
}

#[test]
fn actions_within_actions_are_looked_at_too() {
    let uses = |inner: &str| {
        format!("runs:\n  using: composite\n  steps:\n    - uses: {inner}\n      with: {{x: 1}}\n")
    };
    let (outer, round) = (uses("./act/greet"), uses("./b"));
    let told = found(&[GREET, ("a/action.yml", &outer)], "{uses: ./a, with: {x: 1}}");
    assert_eq!(
        told,
        [
            "a/action.yml:4:13: warning: input `who` is required and not given",
            "a/action.yml:5:14: warning: the action has no input `x`; it has who, how, old",
            "w.yml:6:32: warning: the action has no input `x`; it has none",
        ]
    );
    let told = found(&[("a/action.yml", &round), ("b/action.yml", &uses("./a"))], "{uses: ./a}");
    let ends = "have no end: ./a uses ./b uses ./a";
    assert!(told.iter().any(|one| one.starts_with("b/action.yml:4:13") && one.contains(ends)));
}

#[test]
fn actions_that_use_each_other_too_deep_are_told_and_not_followed_for_ever() {
    let files: Vec<(String, String)> = (0..200)
        .map(|n| {
            let inner = format!("runs:\n  using: composite\n  steps: [{{uses: ./a{}}}]\n", n + 1);
            (format!("a{n}/action.yml"), inner)
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let told = found(&files, "{uses: ./a0}");
    assert_eq!(told, ["w.yml:6:20: actions use each other more than 10 deep here"]);
}

#[test]
fn an_action_that_nothing_uses_is_checked_when_it_is_named() {
    let files = [("a/action.yml", "runs: {using: docker}\n")];
    let look = look(&files);
    let mut actions = LocalActions::new(&look);
    actions.check_action("a/");
    let told: Vec<String> = actions.finish().iter().map(ToString::to_string).collect();
    assert!(told[0].contains("a Docker action needs `image`"), "{told:?}");
}
