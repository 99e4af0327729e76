//! What expressions of steps can name.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value as Json, json};
use workflows::expression::{Context, Value};
use workflows::job::secrets_context;

use super::{Scope, Sequence};
use crate::execute::Execution;
use crate::services;
use crate::steps::{SCRIPTS, TEMPORARY, WORKSPACE};
use crate::stop::Stop;

/// Where actions keep programs that they bring, as containers see it.
pub(super) const TOOLS: &str = "/strata-temp/tools";
/// The event's file among the scripts.
const EVENT_FILE: &str = "event.json";
/// The secret or variable that makes `::debug::` lines be shown.
const DEBUG: &str = "ACTIONS_STEP_DEBUG";

/// What no step changes.
pub(super) fn of_job(execution: &Execution<'_>) -> Context {
    let contexts = &execution.lease.spec.contexts;
    let mut context = Context::default();
    for (name, json) in contexts {
        context.set(name, Value::from(json));
    }
    let github = Value::from(&Json::Object(github(execution)));
    for name in ["github", "forge", "forgejo"] {
        context.set(name, github.clone());
    }
    for name in ["vars", "inputs", "needs", "matrix", "strategy"] {
        if !contexts.contains_key(name) {
            context.set(name, Value::from(&json!({})));
        }
    }
    context.set("runner", Value::from(&runner(execution)));
    context
}

/// What the variables of services can name: what no step changes, and the secrets.
pub(crate) fn of_services(execution: &Execution<'_>) -> Context {
    let mut context = of_job(execution);
    context.set("secrets", secrets_context(&execution.lease.secrets));
    context
}

/// What the job says about the event, and where things are on this runner.
pub(super) fn github(execution: &Execution<'_>) -> Map<String, Json> {
    let lease = execution.lease;
    let source = &lease.spec.source;
    let told = lease.spec.contexts.get("github").and_then(Json::as_object);
    let mut github = told.cloned().unwrap_or_default();
    let mut known = |name: &str, value: String| {
        github.entry(name.to_owned()).or_insert_with(|| value.into());
    };
    known("repository", source.repository.to_string());
    known("ref", source.ref_name.to_string());
    known("sha", source.commit.to_string());
    known("job", lease.spec.name.clone());
    known("run_id", lease.run.to_string());
    known("run_number", lease.run.to_string());
    known("run_attempt", lease.attempt.to_string());
    known("workspace", WORKSPACE.to_owned());
    known("event_path", format!("{SCRIPTS}/{EVENT_FILE}"));
    github
}

/// The processor, as GitHub names it.
pub(super) fn architecture<'a>(execution: &'a Execution<'_>) -> &'a str {
    match execution.engine.architecture.as_str() {
        "amd64" | "x86_64" => "X64",
        "arm64" | "aarch64" => "ARM64",
        other => other,
    }
}

fn runner(execution: &Execution<'_>) -> Json {
    json!({
        "name": execution.runner, "os": "Linux", "arch": architecture(execution),
        "temp": TEMPORARY, "tool_cache": TOOLS, "workspace": WORKSPACE,
        "environment": "self-hosted", "debug": if shows_debug(execution) { "1" } else { "" }
    })
}

/// Whether somebody wants to see what `::debug::` says.
pub(super) fn shows_debug(execution: &Execution<'_>) -> bool {
    let lease = execution.lease;
    let of_vars = lease.spec.contexts.get("vars").and_then(|vars| vars.get(DEBUG));
    let of_secrets = lease.secrets.get(DEBUG).map(|secret| secret.expose_secret() == "true");
    of_vars == Some(&Json::from("true")) || of_secrets == Some(true)
}

/// Writes the event for `$GITHUB_EVENT_PATH`.
pub(super) fn write_event(execution: &Execution<'_>) -> Result<(), Stop> {
    let github = execution.lease.spec.contexts.get("github");
    let event = github.and_then(|github| github.get("event")).cloned().unwrap_or(json!({}));
    let path = execution.workspace.scripts().join(EVENT_FILE);
    std::fs::write(&path, event.to_string())
        .map_err(|error| Stop::sandbox(format!("cannot write {}: {error}", path.display())))
}

impl Sequence<'_> {
    /// What an expression can name now. `env` is what `env` holds.
    pub(super) fn contexts(&self, scope: &Scope, env: &BTreeMap<String, String>) -> Context {
        let mut context = self.base.clone();
        context.set("env", Value::from(&json!(env)));
        context.set("steps", scope.results.context());
        context.set("job", Value::from(&self.job_context(scope)));
        match &scope.frame {
            None => context.set("secrets", secrets_context(&self.execution.lease.secrets)),
            Some(frame) => {
                context.set("inputs", frame.inputs.clone());
                let mut github = github(self.execution);
                github.insert("action_path".to_owned(), frame.place.as_str().into());
                let github = Value::from(&Json::Object(github));
                for name in ["github", "forge", "forgejo"] {
                    context.set(name, github.clone());
                }
            }
        }
        context
    }

    fn job_context(&self, scope: &Scope) -> Json {
        let mut job = json!({"status": scope.results.word()});
        if let Some(container) = &self.container {
            job["container"] =
                json!({"id": container.id(), "network": services::network_of(self.execution)});
        }
        job["services"] = services::context(self.execution);
        job
    }
}
