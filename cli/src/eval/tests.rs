//! GitHub's own cases, through what the command prints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Case {
    expr: String,
    #[serde(default)]
    contexts: Option<Value>,
    result: Option<Json>,
    err: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    kind: String,
    value: String,
}

/// What `strata eval --json` prints for these arguments.
fn printed(expression: &str, names: Option<&Value>) -> Json {
    let context = names.map_or_else(Context::default, |names| contexts(names).unwrap());
    told(&expression::evaluate(expression, &context, &Functions::default()))
}

/// Equal as JSON, where 1 is 1.0 and the order of keys does not count.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64() == right.as_f64(),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, l)| right.get(key).is_some_and(|r| same(l, r)))
        }
        _ => left == right,
    }
}

impl Case {
    fn printed(&self) -> Json {
        let names = self.contexts.as_ref().filter(|names| matches!(names, Value::Object(_)));
        printed(&self.expr, names)
    }

    fn fits(&self) -> bool {
        let printed = self.printed();
        match (&self.result, &self.err) {
            (Some(expected), None) => same(&printed, expected),
            (None, Some(refusal)) => {
                let error = &printed["error"];
                let (message, character) = (error["message"].as_str(), &error["character"]);
                let place = format!(
                    "{}. Located at position {character} within expression: {}",
                    message.unwrap_or_default(),
                    self.expr
                );
                place.starts_with(&refusal.value)
                    && (error["stage"] == "evaluation") == (refusal.kind == "evaluation")
            }
            _ => false,
        }
    }
}

#[test]
fn every_case_of_the_corpus_is_printed_as_github_says() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("STRATA_SHARED").map_or(beside, PathBuf::from);
    let Ok(files) = std::fs::read_dir(root.join("corpora/actions-expressions")) else {
        eprintln!("skipped: set STRATA_SHARED to test GitHub's cases");
        return;
    };
    let (mut count, mut wrong) = (0, Vec::new());
    for file in files.map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let groups: BTreeMap<String, Vec<Case>> = serde_json::from_str(&text).unwrap();
        for case in groups.into_values().flatten() {
            count += 1;
            if !case.fits() {
                wrong.push(format!("{}\n  printed {}", case.expr, case.printed()));
            }
        }
    }
    eprintln!("strata eval: {} of {count} cases", count - wrong.len());
    assert_eq!(wrong.join("\n"), "");
    assert!(count > 1_000);
}

#[test]
fn contexts_are_an_object() {
    let named = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    assert!(contexts(&named("[1]")).is_err());
    let names = named(r#"{"github": {"ref": "refs/heads/f43"}}"#);
    assert_eq!(
        printed("startsWith(github.ref, 'refs/heads/f')", Some(&names)),
        json!({"kind": "Boolean", "value": true})
    );
}
