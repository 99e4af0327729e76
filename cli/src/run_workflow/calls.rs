//! Jobs that are other workflows, on this machine.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value as Json};
use workflows::facts::Facts;
use workflows::plan::{self, Handed, HandedSecret, JobDraft, Within};
use workflows::progress::Stage;
use workflows::state::Outcome;

use super::jobs::{LocalJob, Run};
use crate::output;

impl Run<'_> {
    /// Puts the jobs of a call behind it.
    pub(super) fn open(&mut self, place: usize, within: &Within) {
        match plan::drafts_within(within, &self.workflow.called, &self.facts) {
            Err(found) => self.refuse(place, &found),
            Ok(plan) if plan.jobs.is_empty() => {
                self.jobs[place].end(Outcome::Skipped, "Skipped: none of its jobs runs");
            }
            Ok(plan) => {
                self.jobs[place].member.stage = Stage::Calling { is_told_to_stop: false };
                let new: Vec<LocalJob> = plan.jobs.into_iter().map(LocalJob::new).collect();
                self.jobs.splice(place + 1..=place, new);
            }
        }
    }

    /// A call is over with its last job, and says what its outputs make of them.
    pub(super) fn close(&mut self, place: usize, outcome: Outcome, jobs: &Map<String, Json>) {
        let Some(call) = self.jobs[place].draft.call.clone() else { return };
        match plan::outputs_of_call(&call, &self.facts, jobs) {
            Ok(outputs) => {
                self.jobs[place].member.outputs = outputs;
                self.jobs[place].end(outcome, "");
            }
            Err(why) => {
                output::complain(&why);
                self.jobs[place].end(Outcome::Failure, why);
            }
        }
    }

    /// What expressions of a job can name: in a call, its inputs are those of the call.
    pub(super) fn facts_of(&self, draft: Option<&JobDraft>) -> Facts {
        let within = draft.and_then(|draft| draft.within.as_ref());
        let facts = self.facts.clone();
        match within {
            Some(within) => facts.with_inputs(within.inputs.clone()),
            None => facts,
        }
    }
}

/// The secrets that a job names, under the names that it knows.
pub(super) fn given(
    draft: &JobDraft,
    secrets: &BTreeMap<String, SecretString>,
) -> BTreeMap<String, SecretString> {
    let value = |name: &str| secrets.get(name).map(|own| own.expose_secret().to_owned());
    let handed = draft.within.as_ref().map(|within| &within.secrets);
    let names: Vec<&String> = match handed {
        Some(Handed::Each(each)) => each.keys().collect(),
        Some(Handed::All) | None => secrets.keys().collect(),
    };
    let named = names.into_iter().filter(|name| draft.secrets.has(name));
    let given = named.filter_map(|name| {
        let value = match handed.map_or_else(|| Handed::All.behind(name), |own| own.behind(name))? {
            HandedSecret::Secret(own) => value(&own)?,
            HandedSecret::Text(text) => text,
        };
        Some((name.clone(), SecretString::from(value)))
    });
    given.collect()
}
