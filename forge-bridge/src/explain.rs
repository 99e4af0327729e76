//! The same decision as intake's, about an event that has not happened.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use workflows::diagnostic::Diagnostic;
use workflows::event::Event;
use workflows::plan::{self, JobDraft};
use workflows::selection::Skipped;
use workflows::status;

use crate::config::Config;
use crate::intake::Planner;
use crate::sources::{SourceError, Sources};
use crate::store::planning::{Decision, PlannedJob, PlannedRun, Planning};

/// What an event would do, and why it would not do more.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// The release that the ref belongs to; `null` when it belongs to none.
    pub release: Option<String>,
    /// Why nothing is looked at, when nothing is: no release, a skip marker in the commit.
    pub reason: Option<String>,
    /// Workflows that would run.
    pub fires: Vec<Fires>,
    /// Workflows that would not, and why.
    pub skipped: Vec<Skipped>,
}

/// A workflow that would run.
#[derive(Debug, Serialize)]
pub struct Fires {
    /// Its file.
    pub path: String,
    /// `repository` or `operator`.
    pub origin: &'static str,
    /// Its name.
    pub workflow: String,
    /// The name of the run, where the workflow gives one.
    pub run_name: Option<String>,
    /// Its jobs, each after those that it needs.
    pub jobs: Vec<ExplainedJob>,
    /// Why it would fail at once, when it would; or else what its author should know.
    pub diagnostics: Vec<Diagnostic>,
}

/// A job that would be planned.
#[derive(Debug, Serialize)]
pub struct ExplainedJob {
    /// Its key.
    pub name: String,
    /// The context of its commit status.
    pub context: String,
    /// Jobs that must succeed before it.
    pub needs: Vec<String>,
    /// Labels that a runner must offer.
    pub runs_on: Vec<String>,
    /// The image that its steps run in, as written; `null` when none of them needs one.
    pub image: Option<String>,
    /// The label of `runs-on` for which the operator has that image; `null` of the workflow's own.
    pub image_label: Option<String>,
    /// The names of its steps.
    pub steps: Vec<String>,
}

/// Why an event cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The configuration has no such forge.
    #[error("the configuration has no forge `{0}`")]
    NoForge(String),
    /// The repository does not give what is needed.
    #[error("{0}")]
    Repository(String),
    /// No place for the look.
    #[error("cannot make a temporary directory: {0}")]
    Temporary(#[from] std::io::Error),
}

/// Decides about an event as the bridge would, reading the repository at `git_dir` in the place
/// of the forge. Nothing is stored, and no server is asked.
///
/// # Errors
/// [`ExplainError`] says what is missing.
pub async fn explain(
    mut config: Config,
    forge: &str,
    git_dir: &Path,
    event: &Event,
    now: DateTime<Utc>,
) -> Result<Explanation, ExplainError> {
    let git_dir = git_dir.canonicalize().map_err(|error| {
        ExplainError::Repository(format!("no repository at {}: {error}", git_dir.display()))
    })?;
    let Some(known) = config.forges.iter_mut().find(|known| known.name == forge) else {
        return Err(ExplainError::NoForge(forge.to_owned()));
    };
    known.clone_url = git_dir.display().to_string();
    let scratch = std::env::temp_dir().join(format!("strata-explain-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&scratch)?;
    config.state_dir.clone_from(&scratch);
    let config = Arc::new(config);
    let sources = Arc::new(Sources::new(Arc::clone(&config), Arc::default()));
    let decided = Planner { config, sources, variables: None }.decide(forge, event, now).await;
    std::fs::remove_dir_all(&scratch)?;
    let decision =
        decided.map_err(|error: SourceError| ExplainError::Repository(error.to_string()))?;
    Ok(explanation(decision))
}

fn explanation(decision: Decision) -> Explanation {
    match decision {
        Decision::Skip(reason) | Decision::Repeated(reason) | Decision::GiveUp { reason, .. } => {
            Explanation { reason: Some(reason), ..Explanation::default() }
        }
        Decision::BranchGone { ref_name, .. } => Explanation {
            reason: Some(format!("{} is deleted; nothing to build", ref_name.short())),
            ..Explanation::default()
        },
        Decision::Plan(planning) => of_planning(*planning),
        // Which runs there are, no planner knows.
        Decision::Again(again) => {
            Explanation { reason: Some(again.refused.join("; ")), ..Explanation::default() }
        }
    }
}

fn of_planning(planning: Planning) -> Explanation {
    let beside = planning.beside.map(|beside| of_planning(*beside)).unwrap_or_default();
    Explanation {
        release: Some(planning.subject.release),
        reason: None,
        fires: planning.runs.into_iter().map(fires).chain(beside.fires).collect(),
        skipped: planning.skipped.into_iter().chain(beside.skipped).collect(),
    }
}

fn fires(run: PlannedRun) -> Fires {
    let (jobs, diagnostics) = match &run.jobs {
        Ok(jobs) => {
            let mut shown = Vec::new();
            for PlannedJob { context, draft } in jobs {
                shown.push(explained(context.clone(), draft));
                within(&run, draft, &mut shown);
            }
            (shown, run.warnings.clone())
        }
        Err(diagnostics) => (Vec::new(), diagnostics.clone()),
    };
    let (path, origin, workflow) = (run.path, run.origin.as_str(), run.workflow);
    Fires { path, origin, workflow, run_name: run.run_name, jobs, diagnostics }
}

/// The jobs of a call, as far as it is known what it is given.
fn within(run: &PlannedRun, call: &JobDraft, shown: &mut Vec<ExplainedJob>) {
    let Some(draft) = call.call.as_ref().filter(|_| !call.is_provisional) else { return };
    // What is wrong in a called file is told when it opens; its caller was checked.
    let Ok(plan) = plan::drafts_within(&draft.within, &run.called, &run.facts) else { return };
    for job in &plan.jobs {
        shown.push(explained(status::context(&run.label, &job.title), job));
        within(run, job, shown);
    }
}

fn explained(context: String, draft: &JobDraft) -> ExplainedJob {
    let called = draft.call.as_ref().and_then(|call| call.within.files.last());
    let called = called.map(|file| format!("calls {file}"));
    ExplainedJob {
        context,
        name: draft.name.clone(),
        needs: draft.needs.clone(),
        runs_on: draft.runs_on.clone(),
        image: draft.image.clone(),
        image_label: draft.image_label.clone(),
        steps: draft.steps.iter().map(|step| step.name.clone()).chain(called).collect(),
    }
}
