//! Which workflow files an event fires, and why the others do not.

mod again;
mod offer;

use serde_json::Map;

use crate::asked::builds_an_image;
use crate::diagnostic::{Diagnostic, Severity};
use crate::dispatch::{self, Dispatch};
use crate::event::JobRef;
use crate::facts::Facts;
use crate::matching::{self, ChangedPaths, Occasion};
use crate::plan::{self, JobDraft, RunTexts};
use crate::workflow::{self, Called, Workflow};

pub use again::again;
pub use offer::{Dispatchable, Offer};

/// Most workflow files that are read for one event; more is a mistake or an attack.
pub const MAX_WORKFLOW_FILES: usize = 64;

/// Bytes of changed paths that the patterns of one event's files are tried on, each on each: less than
/// a second, or minutes with patterns that somebody made slow. Five workflows of ten patterns, and
/// 20,000 paths of 60 bytes, are within.
const MAX_MATCHED_BYTES: u64 = 64 * 1024 * 1024;

crate::state::words! {
    /// Where a workflow file comes from.
    Origin {
        /// The repository itself, at the commit.
        Repository = "repository",
        /// The operator: a default workflow of the release.
        Operator = "operator",
    }
}

/// A workflow file as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowFile {
    /// Where it lies, as diagnostics name it.
    pub path: String,
    /// Whose it is.
    pub origin: Origin,
    /// Id of its content, for the record.
    pub blob: String,
    /// Its text, or why there is none (too large, not UTF-8).
    pub text: Result<String, String>,
}

/// A workflow file that was read, well or badly.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The file.
    pub file: WorkflowFile,
    /// What it means, or everything that is wrong with it.
    pub workflow: Result<Workflow, Vec<Diagnostic>>,
}

impl Candidate {
    /// Its name; empty when it cannot be read.
    fn title(&self) -> &str {
        self.workflow.as_ref().map_or("", |workflow| workflow.title())
    }
}

/// A workflow that fires.
#[derive(Debug, Clone)]
pub struct Fired {
    /// Its file.
    pub file: WorkflowFile,
    /// The name that people see.
    pub name: String,
    /// `run-name`, evaluated.
    pub run_name: Option<String>,
    /// What the run says of itself once it has its numbers.
    pub texts: RunTexts,
    /// What its author should know although it can be used.
    pub warnings: Vec<Diagnostic>,
    /// The files that its jobs call.
    pub called: Called,
    /// What to do, or why it cannot be done.
    pub jobs: Result<Vec<JobDraft>, Vec<Diagnostic>>,
}

/// A workflow that does not fire.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Its file.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// A time at which a workflow asks to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// Whose file it is.
    pub origin: Origin,
    /// The file.
    pub path: String,
    /// Five fields.
    pub cron: String,
    /// IANA name.
    pub timezone: String,
}

/// The answer to "what does this event fire?".
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These do.
    pub fired: Vec<Fired>,
    /// These do not.
    pub skipped: Vec<Skipped>,
}

/// Reads every file.
#[must_use]
pub fn read(files: Vec<WorkflowFile>) -> Vec<Candidate> {
    files
        .into_iter()
        .map(|file| {
            let workflow = match &file.text {
                Ok(text) => workflow::parse(&file.path, text),
                Err(why) => Err(vec![unreadable(&file.path, why)]),
            };
            Candidate { file, workflow }
        })
        .collect()
}

/// Whether any filter asks which paths changed; finding out costs a diff.
#[must_use]
pub fn needs_paths(candidates: &[Candidate]) -> bool {
    candidates
        .iter()
        .filter_map(|candidate| candidate.workflow.as_ref().ok())
        .any(|workflow| matching::needs_paths(&workflow.on))
}

/// The changed paths, as long as the patterns of all files can be tried on them in reasonable time;
/// else every path counts as changed.
#[must_use]
pub fn affordable(candidates: &[Candidate], paths: ChangedPaths) -> ChangedPaths {
    let ChangedPaths::Known(known) = &paths else { return paths };
    let workflows = candidates.iter().filter_map(|candidate| candidate.workflow.as_ref().ok());
    let cost =
        workflows.map(|workflow| matching::cost(&workflow.on, known)).fold(0, u64::saturating_add);
    if cost <= MAX_MATCHED_BYTES {
        return paths;
    }
    let reason = "there are too many patterns for the paths that changed: every path counts as \
                  changed";
    ChangedPaths::Everything { reason: reason.to_owned() }
}

/// Decides about every file. A file that cannot be read fires: nobody can know whether it would
/// have, and its author must hear of it. `facts` are what its expressions can name.
#[must_use]
pub fn select(candidates: Vec<Candidate>, occasion: &Occasion, facts: &Facts) -> Selection {
    let mut selection = Selection::default();
    for Candidate { file, workflow } in candidates {
        match workflow {
            Err(diagnostics) => selection.refuse(file, diagnostics),
            Ok(workflow) => match matching::fires(&workflow.on, occasion) {
                Ok(()) => selection.fire(file, &workflow, facts),
                Err(reason) => selection.skipped.push(Skipped { path: file.path, reason }),
            },
        }
    }
    selection
}

/// Fires every file, whatever its `on` says: the operator's own schedule of a release does not
/// depend on what its default workflows ask for.
#[must_use]
pub fn select_all(candidates: Vec<Candidate>, facts: &Facts) -> Selection {
    let mut selection = Selection::default();
    for Candidate { file, workflow } in candidates {
        match workflow {
            Err(diagnostics) => selection.refuse(file, diagnostics),
            Ok(workflow) => selection.fire(file, &workflow, facts),
        }
    }
    selection
}

/// Fires every file that builds an image, whatever its `on` says: that a parent moved was decided
/// elsewhere. Jobs whose images are `current` are left out with all that only they are there for.
#[must_use]
pub fn select_again(candidates: Vec<Candidate>, current: &[JobRef], facts: &Facts) -> Selection {
    let mut selection = select_all(candidates, facts);
    selection.forgo_what_builds_nothing();
    for fired in &mut selection.fired {
        let is_here = |one: &&JobRef| {
            one.workflow.origin == fired.file.origin && one.workflow.path == fired.file.path
        };
        let current: Vec<&str> = current.iter().filter(is_here).map(|one| &*one.job).collect();
        if let (Ok(jobs), false) = (&mut fired.jobs, current.is_empty()) {
            again::leave_out(jobs, &current);
        }
    }
    selection
}

/// Decides about every file when a person asks for a build of a branch: the workflows fire that
/// build an image, and that a push to the branch would fire whatever it changed, or that ask for
/// `workflow_dispatch`. A file that cannot be read fires, as in [`select`].
#[must_use]
pub fn select_asked(candidates: Vec<Candidate>, branch: &str, facts: &Facts) -> Selection {
    let reason = "a person asked for a build".to_owned();
    let paths = ChangedPaths::Everything { reason };
    let push = Occasion::Push { branch: branch.to_owned(), paths };
    let mut selection = Selection::default();
    for Candidate { file, workflow } in candidates {
        let workflow = match workflow {
            Ok(workflow) => workflow,
            Err(diagnostics) => {
                selection.refuse(file, diagnostics);
                continue;
            }
        };
        let fires = matching::fires(&workflow.on, &Occasion::Dispatch)
            .or_else(|_| matching::fires(&workflow.on, &push));
        match fires {
            Err(reason) => selection.skipped.push(Skipped { path: file.path, reason }),
            Ok(()) => selection.fire(file, &workflow, facts),
        }
    }
    selection.forgo_what_builds_nothing();
    selection
}

/// Decides about the workflow that a person asks for by name; of two of a name that in the
/// repository is meant. The facts are those of its run, with its inputs.
#[must_use]
pub fn select_dispatched(
    candidates: Vec<Candidate>,
    dispatch: &Dispatch,
    facts: &Facts,
) -> (Selection, Facts) {
    let mut selection = Selection::default();
    let mut facts = facts.clone();
    let mut candidates = candidates.into_iter();
    let meant = candidates.find(|one| dispatch.means(&one.file.path, one.title()));
    let skip = |path: String, reason: String| Skipped { path, reason };
    match meant {
        None => {
            let reason = "there is no such workflow on the branch".to_owned();
            selection.skipped.push(skip(dispatch.workflow.clone(), reason));
        }
        Some(Candidate { file, workflow: Err(diagnostics) }) => selection.refuse(file, diagnostics),
        Some(Candidate { file, workflow: Ok(workflow) }) => {
            let inputs = match &workflow.on.workflow_dispatch {
                Some(declared) => dispatch::inputs(declared, &dispatch.inputs),
                None => matching::fires(&workflow.on, &Occasion::Dispatch).map(|()| Map::new()),
            };
            match inputs {
                Err(reason) => selection.skipped.push(skip(file.path, reason)),
                Ok(inputs) => {
                    facts = facts.with_dispatched(inputs);
                    selection.fire(file, &workflow, &facts);
                }
            }
        }
    }
    (selection, facts)
}

impl Selection {
    fn refuse(&mut self, file: WorkflowFile, diagnostics: Vec<Diagnostic>) {
        let name = file.path.clone();
        let (run_name, texts, warnings) = (None, RunTexts::default(), Vec::new());
        let (called, jobs) = (Called::default(), Err(diagnostics));
        self.fired.push(Fired { name, file, run_name, texts, warnings, called, jobs });
    }

    /// A workflow none of whose jobs runs does not fire; each of its jobs says why.
    fn fire(&mut self, file: WorkflowFile, workflow: &Workflow, facts: &Facts) {
        let (name, mut warnings) = (workflow.title().to_owned(), workflow.warnings.clone());
        warnings.extend(workflow.warnings_of_calls(&file.path));
        let (run_name, texts, jobs) = match plan::drafts(&file.path, workflow, facts) {
            Err(diagnostics) => (None, RunTexts::default(), Err(diagnostics)),
            Ok(plan) => {
                let path = &file.path;
                let skipped = plan
                    .skipped
                    .into_iter()
                    .map(|(job, reason)| Skipped { path: format!("{path}: job {job}"), reason });
                self.skipped.extend(skipped);
                if plan.jobs.is_empty() {
                    return;
                }
                (plan.run_name, plan.texts, Ok(plan.jobs))
            }
        };
        let called = workflow.called.clone();
        self.fired.push(Fired { name, file, run_name, texts, warnings, called, jobs });
    }

    /// A person who asks for a build wants an image and nothing beside it.
    fn forgo_what_builds_nothing(&mut self) {
        for fired in std::mem::take(&mut self.fired) {
            if fired.jobs.as_deref().map_or(true, builds_an_image) {
                self.fired.push(fired);
            } else {
                let reason = "a build was asked for, and this workflow builds no image".to_owned();
                self.skipped.push(Skipped { path: fired.file.path, reason });
            }
        }
    }
}

/// Every `on: schedule` entry of the files that can be read.
#[must_use]
pub fn timetables(candidates: &[Candidate]) -> Vec<Timetable> {
    candidates
        .iter()
        .filter_map(|candidate| Some((&candidate.file, candidate.workflow.as_ref().ok()?)))
        .flat_map(|(file, workflow)| {
            workflow.on.schedule.iter().map(|entry| Timetable {
                origin: file.origin,
                path: file.path.clone(),
                cron: entry.cron.value.clone(),
                timezone: entry.timezone.clone(),
            })
        })
        .collect()
}

/// A file that has no text: the place is its beginning.
fn unreadable(path: &str, why: &str) -> Diagnostic {
    Diagnostic {
        file: path.to_owned(),
        line: 1,
        column: 1,
        severity: Severity::Error,
        message: why.to_owned(),
        hint: None,
    }
}

#[cfg(test)]
mod tests;
