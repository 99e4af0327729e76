//! The variables that every step has, whatever its workflow says.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Sequence, contexts};
use crate::steps::command_files::{CommandFiles, FileKind};
use crate::steps::{TEMPORARY, WORKSPACE};

/// Fields of `github` that are variables, too; each has a twin for Forgejo.
const OF_GITHUB: [&str; 19] = [
    "workflow",
    "run_id",
    "run_number",
    "run_attempt",
    "job",
    "actor",
    "triggering_actor",
    "repository",
    "repository_owner",
    "event_name",
    "event_path",
    "workspace",
    "sha",
    "ref",
    "ref_name",
    "ref_type",
    "head_ref",
    "base_ref",
    "server_url",
];

impl Sequence<'_> {
    /// All variables of a step but `PATH`. What is said here goes before what the workflow says,
    /// but for `CI`.
    pub(super) fn variables(
        &self,
        env: &BTreeMap<String, String>,
        id: Option<&str>,
        files: &CommandFiles<'_>,
    ) -> BTreeMap<String, String> {
        let mut all = env.clone();
        all.entry("CI".to_owned()).or_insert_with(|| "true".to_owned());
        let mut twin = |name: &str, value: &str| {
            for forge in ["GITHUB", "FORGEJO"] {
                all.insert(format!("{forge}_{name}"), value.to_owned());
            }
        };
        twin("ACTIONS", "true");
        twin("ACTION", id.unwrap_or("__run"));
        let github = contexts::github(self.execution);
        for field in OF_GITHUB {
            match github.get(field) {
                Some(Json::String(text)) => twin(&field.to_ascii_uppercase(), text),
                Some(other @ (Json::Number(_) | Json::Bool(_))) => {
                    twin(&field.to_ascii_uppercase(), &other.to_string());
                }
                _ => {}
            }
        }
        for kind in FileKind::ALL {
            twin(kind.variable(), &files.place(kind));
        }
        let runner = [
            ("NAME", self.execution.runner),
            ("OS", "Linux"),
            ("ARCH", contexts::architecture(self.execution)),
            ("TEMP", TEMPORARY),
            ("TOOL_CACHE", contexts::TOOLS),
            ("WORKSPACE", WORKSPACE),
            ("ENVIRONMENT", "self-hosted"),
        ];
        let runner = runner.into_iter().chain(self.shows_debug.then_some(("DEBUG", "1")));
        all.extend(runner.map(|(name, value)| (format!("RUNNER_{name}"), value.to_owned())));
        all
    }

    /// `PATH` in the job's container, where it is not the image's: what steps have added goes before
    /// what the workflow or the image has. The container of an action has another image, with
    /// places of its own, and nothing that an earlier step left may stand before its programs.
    pub(super) fn search_path(&self, env: &BTreeMap<String, String>) -> Option<String> {
        if self.path.is_empty() {
            return None;
        }
        let of_image = self.container.as_ref().map(|container| container.path());
        let rest = env.get("PATH").map(String::as_str).or(of_image);
        let added = self.path.iter().map(String::as_str);
        Some(added.chain(rest).collect::<Vec<_>>().join(":"))
    }
}
