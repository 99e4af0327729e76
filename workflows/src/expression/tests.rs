//! GitHub's own cases, and what must not happen whatever a stranger writes.

use std::path::PathBuf;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

fn context(json: &str) -> Context {
    let Value::Object(entries) = serde_json::from_str(json).unwrap() else { panic!("{json}") };
    entries.iter().map(|(key, value)| (key.to_string(), value.clone())).collect()
}

fn value(text: &str, names: &str) -> Result<Value, String> {
    evaluate(text, &context(names), &Functions::default()).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct Case {
    expr: String,
    #[serde(default)]
    contexts: Option<Value>,
    result: Option<Expected>,
    err: Option<Refusal>,
}

#[derive(Deserialize)]
struct Expected {
    kind: String,
    value: Value,
}

#[derive(Deserialize)]
struct Refusal {
    kind: String,
    value: String,
}

impl Case {
    /// What is wrong with the answer to this case.
    fn complaint(&self) -> Option<String> {
        let context = match &self.contexts {
            Some(Value::Object(entries)) => {
                entries.iter().map(|(key, value)| (key.to_string(), value.clone())).collect()
            }
            _ => Context::default(),
        };
        let answer = evaluate(&self.expr, &context, &Functions::default());
        let fits = match (&answer, &self.result, &self.err) {
            (Ok(value), Some(expected), None) => {
                *value == expected.value && value.kind() == expected.kind
            }
            (Err(error), None, Some(refusal)) => {
                let place = format!(
                    "{}. Located at position {} within expression: {}",
                    error.message,
                    error.offset + 1,
                    self.expr
                );
                let evaluated = error.stage == Stage::Evaluation;
                place.starts_with(&refusal.value) && evaluated == (refusal.kind == "evaluation")
            }
            _ => false,
        };
        (!fits).then(|| format!("{}\n  gave {answer:?}", self.expr))
    }
}

#[test]
fn every_case_of_the_corpus_is_answered_as_github_does() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("STRATA_SHARED").map_or(beside, PathBuf::from);
    let Ok(files) = std::fs::read_dir(root.join("corpora/actions-expressions")) else {
        println!("skipped: no shared test data here");
        return;
    };
    let (mut count, mut complaints) = (0, Vec::new());
    for file in files.map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let groups: std::collections::BTreeMap<String, Vec<Case>> =
            serde_json::from_str(&text).unwrap();
        for case in groups.values().flatten() {
            count += 1;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            complaints.extend(case.complaint().map(|complaint| format!("{name}: {complaint}")));
        }
    }
    println!("{} of {count} cases answered", count - complaints.len());
    assert_eq!(complaints.join("\n"), "");
    assert!(count > 1_000);
}

#[test]
fn text_is_put_together() {
    let names = context(r#"{"github": {"sha": "abc", "n": 1.5}}"#);
    let interpolated = |text| interpolate(text, &names, &Functions::default());
    assert_eq!(interpolated("é ${{ github.sha }}-${{github.n}}${{}}!").unwrap(), "é abc-1.5!");
    assert_eq!(interpolated("${{ '}}' }}").unwrap(), "}}");
    let error = interpolated("é ${{ github.sha }} ${{ nope }}").unwrap_err();
    assert_eq!((error.offset, error.message.as_str()), (24, "Unrecognized named-value: 'nope'"));
    assert_eq!(interpolated("a ${{ b").unwrap_err().offset, 2);
}

#[test]
fn conditions_ask_for_success_unless_they_name_a_status() {
    let holds = |text: &str, status: Status| {
        let functions = Functions { status: Some(status), ..Functions::default() };
        condition(text, &context(r#"{"x": 1}"#), &functions)
    };
    assert_eq!(holds("x == 1", Status::Success), Ok(true));
    assert_eq!(holds("${{ x == 2 }}", Status::Success), Ok(false));
    assert_eq!(holds("x == 1", Status::Failure), Ok(false));
    assert_eq!(holds("x == 1 && (failure() || x)", Status::Failure), Ok(true));
    assert_eq!(holds("always()", Status::Cancelled), Ok(true));
    assert_eq!(holds("!cancelled()", Status::Cancelled), Ok(false));
    assert_eq!(holds("", Status::Success), Ok(true));
    assert_eq!(holds("${{ x }} == 2", Status::Success).unwrap_err().stage, Stage::Syntax);
    let without = condition("success()", &Context::default(), &Functions::default());
    assert_eq!(without.unwrap_err().message, "Unrecognized function: 'success'");
}

#[test]
fn files_are_hashed_by_the_caller() {
    let hash = |patterns: &[String]| match patterns {
        [one] if one == "bad" => Err("hashFiles may not leave the workspace".to_owned()),
        several => Ok(several.join("+")),
    };
    let functions = Functions { hash_files: Some(&hash), ..Functions::default() };
    let hashed = |text| evaluate(text, &Context::default(), &functions);
    assert_eq!(hashed("hashFiles('a', 'b')"), Ok("a+b".into()));
    assert_eq!(
        hashed("1 && hashFiles('bad')").unwrap_err(),
        ExpressionError::evaluation(5, "hashFiles may not leave the workspace")
    );
    assert!(value("hashFiles('a')", "{}").is_err());
}

#[test]
fn numbers_are_written_with_fifteen_digits() {
    for (text, expected) in [
        ("1e15", "1E+15"),
        ("123456789012345", "123456789012345"),
        ("0.00001", "0.00001"),
        ("0.000001", "1E-06"),
        ("-1.5e-10", "-1.5E-10"),
        ("0.1", "0.1"),
        ("1e300", "1E+300"),
    ] {
        assert_eq!(value(&format!("format('{{0}}', {text})"), "{}"), Ok(expected.into()), "{text}");
    }
}

#[test]
fn values_become_json_and_come_from_it() {
    let json: serde_json::Value = serde_json::from_str(r#"{"a": [1, 2.5, null, "x"]}"#).unwrap();
    assert_eq!(Value::from(&json).to_json(), json);
    assert_eq!(Value::Number(f64::NAN).to_json(), serde_json::Value::from("NaN"));
}

#[test]
fn objects_keep_the_order_in_which_they_are_written() {
    let names = r#"{"matrix": {"z": 1, "a": 2}}"#;
    assert_eq!(value("join(matrix.*, '-')", names).unwrap(), Value::from("1-2"));
    let turned = r#"join(fromJSON('{"b": 1, "a": 2, "B": 3}').*)"#;
    assert_eq!(value(turned, names).unwrap(), Value::from("1,2,3"));
}

#[test]
fn expressions_that_are_written_to_hurt_end_soon() {
    let many = format!("[{}]", "1,".repeat(60_000) + "1");
    let names = format!(r#"{{"a": {many}, "t": "{}"}}"#, "x".repeat(600_000));
    for hostile in [
        &"(".repeat(20_000),
        &"!".repeat(20_000),
        &"a[".repeat(10_000),
        &format!("{}1", "1 == ".repeat(4_000)),
        &"format(".repeat(2_000),
        &"a".repeat(30_000),
        "contains(a, 2) || contains(a, 3)",
        "format('{0}{0}', t)",
        "join(a, t)",
        "toJSON(a.*)  == toJSON(a)",
        "fromJSON(format('{0}{0}{0}', toJSON(t)))",
        &format!("fromJSON('{}')", "[".repeat(10_000)),
    ] {
        let shown: String = hostile.chars().take(40).collect();
        let error = value(hostile, &names).expect_err(&shown);
        assert!(error.len() < 300, "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_evaluator_panic(
        text in "(a|\\.|\\*|\\[|\\]|\\(|\\)|,|'[^']?'|!|==|<|&&|\\|\\||1|-|0x|format|toJSON| |é|\\PC){0,30}"
    ) {
        let names = context(r#"{"a": {"a": [1, {"a": "é"}]}}"#);
        if let Err(error) = evaluate(&text, &names, &Functions::default()) {
            prop_assert!(error.offset <= text.chars().count());
        }
    }
}
