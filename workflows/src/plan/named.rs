//! What the texts of a job name: when it can be drafted for good, and which secrets it is given.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::expression::{self, Part, Reference};
use crate::workflow::{Job, Key, Workflow, sites};

/// Fields of `github` that a run has only once it is recorded.
const OF_THE_RUN: [&str; 3] = ["run_id", "run_number", "run_attempt"];

/// The secrets that a job names; no others are given to its runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretNames {
    /// It uses the whole context, as in `toJSON(secrets)`.
    All,
    /// These, in capitals: their case does not count.
    Named(BTreeSet<String>),
}

impl Default for SecretNames {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl SecretNames {
    /// Whether it names none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }

    /// Whether a secret is among them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(&name.to_ascii_uppercase()),
        }
    }
}

/// Everything that a job and the variables of its workflow name, but for the job's `if`, which is
/// evaluated by itself.
pub(super) struct Named {
    references: Vec<Reference>,
}

impl Named {
    pub(super) fn of(workflow: &Workflow, job: &Job) -> Self {
        let mut references = Vec::new();
        for site in sites(workflow) {
            let is_own = site.job.is_some_and(|own| own.key == job.key) && site.key != Key::JobIf;
            if is_own || site.key == Key::WorkflowEnv {
                let uses = site.expressions().into_iter().map(|(_, text)| expression::uses(text));
                references.extend(uses.flatten().flat_map(|uses| uses.references));
            }
        }
        Self { references }
    }

    /// Whether something in it is known only when the run is recorded and the needed jobs are over.
    pub(super) fn waits_for_the_run(&self) -> bool {
        self.references.iter().any(|reference| match reference.context.as_str() {
            context if context.eq_ignore_ascii_case("needs") => true,
            context if is_github(context) => match reference.path.first() {
                Some(Part::Name(field)) => is_of_the_run(field),
                Some(Part::Any) | None => true,
            },
            _ => false,
        })
    }

    pub(super) fn secrets(&self) -> SecretNames {
        let mut names = BTreeSet::new();
        let secrets = self.references.iter();
        for reference in secrets.filter(|one| one.context.eq_ignore_ascii_case("secrets")) {
            match reference.path.first() {
                Some(Part::Name(name)) => names.insert(name.to_ascii_uppercase()),
                Some(Part::Any) | None => return SecretNames::All,
            };
        }
        SecretNames::Named(names)
    }
}

/// Whether a name, as [`crate::template::Template::waits_for`] gives it, is known when the run is
/// recorded and the needed jobs are over. Their matrix may stand on them, hence its values.
pub(super) fn is_known_when_ready(name: &str) -> bool {
    let (context, rest) = name.split_once('.').unwrap_or((name, ""));
    ["needs", "matrix", "strategy"].iter().any(|known| context.eq_ignore_ascii_case(known))
        || is_github(context) && is_of_the_run(rest)
}

fn is_github(context: &str) -> bool {
    ["github", "forge", "forgejo"].iter().any(|name| context.eq_ignore_ascii_case(name))
}

fn is_of_the_run(field: &str) -> bool {
    OF_THE_RUN.iter().any(|known| field.eq_ignore_ascii_case(known))
}
