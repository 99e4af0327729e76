//! A run that a person asks for: one workflow, on the head of a branch, with what they say to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value as Json};

use crate::diagnostic::{nearest, quoted};
use crate::names::{RefName, RepositoryName, RequestId};
use crate::workflow::{Input, InputKind};

/// Most bytes of all inputs together, as on GitHub.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;
/// Longest name of a workflow in a request, in bytes.
const MAX_WORKFLOW_BYTES: usize = 400;

/// A person asks for a run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// The asker's own key: asking again with it is the same request.
    pub id: RequestId,
    /// Where.
    pub repository: RepositoryName,
    /// The branch, as a full ref; its head is what runs.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The workflow: its file, the last part of that, or its name.
    pub workflow: String,
    /// What is said to it, by name.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// Who asks, by the name of their token.
    pub actor: String,
}

impl Dispatch {
    /// Checks what can be checked without looking at anything.
    ///
    /// # Errors
    /// Which bound does not hold.
    pub fn check(&self) -> Result<(), String> {
        if self.workflow.is_empty() || self.workflow.len() > MAX_WORKFLOW_BYTES {
            return Err(format!("the name of a workflow has 1 to {MAX_WORKFLOW_BYTES} bytes"));
        }
        let bytes: usize = self.inputs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_INPUT_BYTES {
            return Err(format!("the inputs have {bytes} bytes; at most {MAX_INPUT_BYTES}"));
        }
        Ok(())
    }

    /// Whether the workflow of this file and title is meant.
    #[must_use]
    pub fn means(&self, path: &str, title: &str) -> bool {
        is_named(&self.workflow, path, title)
    }
}

/// Whether somebody who says `wanted` may mean the workflow of this file and title.
pub(crate) fn is_named(wanted: &str, path: &str, title: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    [path, last, title].contains(&wanted)
}

/// The context `inputs` of a run: what was said, read as the workflow declares it.
///
/// # Errors
/// What does not fit, in words for who asked.
pub fn inputs(
    declared: &[Input],
    said: &BTreeMap<String, String>,
) -> Result<Map<String, Json>, String> {
    let names = || declared.iter().map(|input| input.name.value.as_str());
    if let Some(unknown) = said.keys().find(|name| !names().any(|known| known == name.as_str())) {
        let hint = match nearest(unknown, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if declared.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
        };
        return Err(format!("the workflow has no input {}; {hint}", quoted(unknown)));
    }
    let value = |input: &Input| {
        let name = &input.name.value;
        let default = input.default.as_ref().map(|text| &text.value);
        let value = match said.get(name).or(default) {
            Some(text) => read(input, text)?,
            None if input.required => return Err(format!("input `{name}` is required")),
            None => absent(&input.kind),
        };
        Ok((name.clone(), value))
    };
    declared.iter().map(value).collect()
}

/// A text as its input declares it.
fn read(input: &Input, text: &str) -> Result<Json, String> {
    let wrong = |wanted: &str| {
        Err(format!("input `{}` must be {wanted}, not {}", input.name.value, quoted(text)))
    };
    match &input.kind {
        InputKind::String | InputKind::Environment => Ok(text.into()),
        InputKind::Boolean => match text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => wrong("`true` or `false`"),
        },
        InputKind::Number => match number(text) {
            Some(number) => Ok(number.into()),
            None => wrong("a number"),
        },
        InputKind::Choice(options) if options.iter().any(|option| option == text) => {
            Ok(text.into())
        }
        InputKind::Choice(options) => wrong(&format!("one of {}", options.join(", "))),
    }
}

/// A number as people write it.
pub(crate) fn number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.parse().ok().and_then(Number::from_f64),
    }
}

/// What an input is that nobody says and that has no default; a form would show the first choice.
fn absent(kind: &InputKind) -> Json {
    match kind {
        InputKind::String | InputKind::Environment => "".into(),
        InputKind::Boolean => false.into(),
        InputKind::Number => Json::Null,
        InputKind::Choice(options) => {
            options.first().map_or(Json::Null, |first| first.as_str().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow;

    const WORKFLOW: &str = r#"
on:
  workflow_dispatch:
    inputs:
      image: {required: true}
      level: {type: choice, options: [low, high]}
      dry-run: {type: boolean, default: true}
      count: {type: number, default: 2}
      where: {type: environment}
jobs: {a: {runs-on: docker, steps: [{run: "true"}]}}
"#;

    fn given(said: &[(&str, &str)]) -> Result<Json, String> {
        let workflow = workflow::parse("w.yml", WORKFLOW).unwrap();
        let said = said.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        inputs(&workflow.on.workflow_dispatch.unwrap(), &said).map(Json::Object)
    }

    #[test]
    fn inputs_have_their_types_and_defaults() {
        let all = given(&[("image", "httpd")]).unwrap();
        let expected = serde_json::json!({
            "image": "httpd", "level": "low", "dry-run": true, "count": 2, "where": ""
        });
        assert_eq!(all, expected);
        let said = [("image", "x"), ("level", "high"), ("dry-run", "false"), ("count", "2.5")];
        let said = given(&said).unwrap();
        assert_eq!((&said["level"], &said["dry-run"]), (&"high".into(), &false.into()));
        assert_eq!(said["count"], 2.5);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (said, words) in [
            (&[][..], "input `image` is required"),
            (&[("image", "x"), ("levle", "low")], "did you mean `level`?"),
            (&[("image", "x"), ("level", "mid")], "must be one of low, high, not `mid`"),
            (&[("image", "x"), ("dry-run", "yes")], "must be `true` or `false`, not `yes`"),
            (&[("image", "x"), ("count", "many")], "must be a number, not `many`"),
        ] {
            let refused = given(said).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn a_workflow_is_named_by_file_or_by_name() {
        let dispatch = |workflow: &str| Dispatch {
            id: RequestId::parse("1").unwrap(),
            repository: RepositoryName::parse("a/b").unwrap(),
            ref_name: RefName::branch("f43").unwrap(),
            workflow: workflow.to_owned(),
            inputs: BTreeMap::new(),
            actor: "rose".to_owned(),
        };
        for name in [".strata/workflows/own.yml", "own.yml", "Nightly"] {
            assert!(dispatch(name).means(".strata/workflows/own.yml", "Nightly"), "{name}");
        }
        assert!(!dispatch("wn.yml").means(".strata/workflows/own.yml", "Nightly"));
        assert!(dispatch("").check().is_err());
    }
}
