//! `strata eval`: what an expression of a workflow gives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use workflows::expression::{self, Context, ExpressionError, Functions, Stage, Status, Value};

use crate::args::Shown;
use crate::failure::Failure;
use crate::output::Output;

/// Largest file of contexts, in bytes; those of a run stay below a tenth of it.
const MAX_CONTEXT_BYTES: u64 = 8 * 1024 * 1024;

/// An expression, and what it can name.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The expression, without `${{` and `}}`.
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// A JSON object with a key for each context, such as `{"github": {"ref": "…"}}`; `-` reads
    /// standard input.
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
    /// How things went before, for `success()`, `failure()`, `cancelled()` and `always()`; without
    /// it there are no such functions.
    #[arg(long, value_enum)]
    status: Option<Before>,
    #[command(flatten)]
    shown: Shown,
}

/// [`Status`] as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Before {
    Success,
    Failure,
    Cancelled,
}

impl From<Before> for Status {
    fn from(before: Before) -> Self {
        match before {
            Before::Success => Self::Success,
            Before::Failure => Self::Failure,
            Before::Cancelled => Self::Cancelled,
        }
    }
}

/// Prints the value as JSON; with `--json` together with its kind, or what is wrong.
pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    let output = Output::new(args.shown);
    let context = match &args.context {
        Some(path) => read(path)
            .map_err(|error| Failure::Usage(format!("contexts of {}: {error}", path.display())))?,
        None => Context::default(),
    };
    let functions = Functions { status: args.status.map(Status::from), ..Functions::default() };
    let answer = expression::evaluate(&args.expression, &context, &functions);
    if output.is_json() {
        output.json_line(&told(&answer))?;
        return answer.map(drop).map_err(|_| Failure::No);
    }
    let value = answer.map_err(|error| Failure::Negative(error.to_string()))?;
    Ok(output.json(&value.to_json())?)
}

/// The answer for programs. `character` counts from 1.
fn told(answer: &Result<Value, ExpressionError>) -> Json {
    match answer {
        Ok(value) => json!({"kind": value.kind(), "value": value.to_json()}),
        Err(error) => {
            let stage = match error.stage {
                Stage::Syntax => "syntax",
                Stage::Evaluation => "evaluation",
            };
            let (message, character) = (&error.message, error.offset + 1);
            json!({"error": {"stage": stage, "character": character, "message": message}})
        }
    }
}

fn read(path: &Path) -> io::Result<Context> {
    let mut text = String::new();
    let bound = MAX_CONTEXT_BYTES + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(bound).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(bound).read_to_string(&mut text)?;
    }
    if text.len() as u64 > MAX_CONTEXT_BYTES {
        return Err(io::Error::other(format!("more than {MAX_CONTEXT_BYTES} bytes")));
    }
    contexts(&serde_json::from_str(&text)?)
}

fn contexts(names: &Value) -> io::Result<Context> {
    match names {
        Value::Object(entries) => {
            let mut named: BTreeMap<_, _> =
                entries.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
            if let Some(github) = named.get("github").cloned() {
                for name in ["forge", "forgejo"] {
                    named.entry(name.to_owned()).or_insert_with(|| github.clone());
                }
            }
            Ok(named.into_iter().collect())
        }
        _ => Err(io::Error::other("they must be a JSON object with a key for each context")),
    }
}

#[cfg(test)]
mod tests;
