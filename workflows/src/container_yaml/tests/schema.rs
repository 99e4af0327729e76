//! The schema itself as the judge: what it refuses is refused here, what it accepts is accepted but
//! for the rules that are ours.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::ContainerYaml;

/// Where we ask for more than the schema: words of the errors that say so.
const STRICTER: [&str; 4] = ["not a tag", "variable's name", "stay inside", "hexadecimal"];

fn schema() -> Option<Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("STRATA_SHARED").map_or(beside, PathBuf::from);
    let text =
        std::fs::read_to_string(shared.join("corpora/container-yaml/container.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// As much of JSON Schema as that schema uses; a word that is not known is a failure, so that none
/// is passed over.
struct Judge<'a>(&'a Value);

impl Judge<'_> {
    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(path) => self.0.pointer(path.trim_start_matches('#')).unwrap(),
            None => schema,
        }
    }

    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let schema = self.resolved(schema);
        let words = schema.as_object().unwrap();
        words.iter().all(|(word, rule)| match word.as_str() {
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
                kind => is_a(value, kind),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "anyOf" => rule.as_array().unwrap().iter().any(|one| self.holds(one, value)),
            "oneOf" => {
                rule.as_array().unwrap().iter().filter(|one| self.holds(one, value)).count() == 1
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minItems" => {
                value.as_array().is_none_or(|list| list.len() as u64 >= rule.as_u64().unwrap())
            }
            "minLength" => {
                value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap())
            }
            "minProperties" => {
                value.as_object().is_none_or(|map| map.len() as u64 >= rule.as_u64().unwrap())
            }
            "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
            "items" => {
                value.as_array().is_none_or(|list| list.iter().all(|one| self.holds(rule, one)))
            }
            "required" => value.as_object().is_none_or(|map| {
                rule.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
            }),
            "properties" | "patternProperties" | "additionalProperties" => {
                value.as_object().is_none_or(|map| self.members_hold(words, map))
            }
            "$schema" | "title" | "description" | "desription" | "examples" | "default"
            | "deprecated" | "definitions" => true,
            other => panic!("the judge does not know `{other}`"),
        })
    }

    fn members_hold(&self, words: &Map<String, Value>, map: &Map<String, Value>) -> bool {
        let named = |key: &str| words.get("properties")?.get(key);
        map.iter().all(|(key, value)| {
            if let Some(rule) = named(key) {
                return self.holds(rule, value);
            }
            let patterns = words.get("patternProperties").and_then(Value::as_object);
            let pattern = patterns.into_iter().flatten().find(|(pattern, _)| matches(pattern, key));
            match (pattern, words.get("additionalProperties")) {
                (Some((_, rule)), _) => self.holds(rule, value),
                (None, None | Some(Value::Bool(true))) => true,
                (None, Some(Value::Bool(false))) => false,
                (None, Some(rule)) => self.holds(rule, value),
            }
        })
    }

    /// Values to try in the place of a schema: of every kind, and of its own form.
    fn tries(&self, schema: &Value) -> Vec<Value> {
        let schema = self.resolved(schema);
        let mut tries = vec![
            json!(null),
            json!(true),
            json!(-1),
            json!(0),
            json!(1),
            json!(3),
            json!("text"),
            json!(""),
            json!("/abs"),
            json!("a-rpms"),
            json!([]),
            json!(["a"]),
            json!([1]),
            json!([null]),
            json!({}),
            json!({ "x": 1 }),
        ];
        tries.extend(schema["enum"].as_array().into_iter().flatten().cloned());
        tries.extend(schema["examples"].as_array().into_iter().flatten().cloned());
        for form in schema["oneOf"].as_array().into_iter().flatten() {
            tries.extend(self.tries(form));
        }
        if let Some(items) = schema.get("items") {
            tries.extend(self.tries(items).into_iter().map(|one| json!([one])));
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        let least = self.least(schema);
        for (key, rule) in properties {
            tries.extend(self.tries(rule).into_iter().map(|one| with(&least, key, one)));
        }
        for rule in schema["patternProperties"].as_object().into_iter().flatten() {
            tries.extend(self.tries(rule.1).into_iter().map(|one| json!({ "x86_64": one })));
        }
        if let Some(rule) = schema.get("additionalProperties").filter(|rule| rule.is_object()) {
            tries.extend(self.tries(rule).into_iter().map(|one| json!({ "npm": one })));
        }
        tries.push(with(&least, "onyl", json!("a")));
        tries.push(least);
        tries
    }

    /// An object with what is required of it, each as the schema wants it.
    fn least(&self, schema: &Value) -> Value {
        let mut least = json!({});
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let rule = &schema["properties"][key];
            let good = [json!("a"), json!("b".repeat(40)), json!({}), json!(null)];
            let good = good.into_iter().find(|one| self.holds(rule, one)).unwrap();
            least[key] = good;
        }
        least
    }
}

fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[key] = value;
    object
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the judge does not know `{other}`"),
    }
}

/// The patterns of the schema, each of them.
fn matches(pattern: &str, text: &str) -> bool {
    let all = |of: fn(u8) -> bool| text.bytes().all(of);
    match pattern {
        "^[^/].*$" => !text.is_empty() && !text.starts_with('/'),
        "^[0-9a-z]{40}$" => {
            text.len() == 40 && all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        }
        "^[a-zA-Z0-9_-]*$" => all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
        "^[a-z].*$" => text.starts_with(|c: char| c.is_ascii_lowercase()),
        "^.*-rpms$" => text.ends_with("-rpms"),
        ".*" => true,
        other => panic!("the judge does not know the pattern `{other}`"),
    }
}

#[test]
fn the_schema_and_the_reader_judge_alike() {
    let Some(schema) = schema() else {
        let _ =
            writeln!(std::io::stderr(), "skipped: no schema of container.yaml; set STRATA_SHARED");
        return;
    };
    let judge = Judge(&schema);
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    let forms = schema["anyOf"].as_array().unwrap();
    let files = forms.iter().flat_map(|form| judge.tries(form));
    let both = json!({ "go": {}, "remote_source": null });
    for file in files.chain([both]) {
        let read = ContainerYaml::parse(&file.to_string());
        match (judge.holds(&schema, &file), read) {
            (true, Ok(_)) => accepted += 1,
            (false, Err(_)) => refused += 1,
            (false, Ok(_)) => wrong.push(format!("the schema refuses {file}")),
            (true, Err(error)) if STRICTER.iter().any(|words| error.message.contains(words)) => {}
            (true, Err(error)) => wrong.push(format!("the schema accepts {file}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted > 100 && refused > 500, "{accepted} and {refused}");
    let _ = writeln!(
        std::io::stderr(),
        "corpora/container-yaml: {accepted} files accepted and {refused} refused as by the schema"
    );
}
