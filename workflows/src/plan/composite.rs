//! The steps of a composite action, ready for a runner.
//!
//! They are drafted like those of a job, only that nothing is known: whatever stands on anything is
//! left to be evaluated when its step begins.

use super::step::Defaults;
use super::{DraftAction, Drafting, StepDraft};
use crate::diagnostic::Diagnostic;
use crate::facts::Facts;
use crate::job::{Shell, StepSpec};
use crate::workflow::{RunDefaults, Step};

/// The steps of a composite action; `path` names its file in diagnostics.
///
/// # Errors
/// Everything in the steps that cannot be done, in the order of the file.
pub(crate) fn composite_steps(
    path: &str,
    steps: &[Step],
) -> Result<Vec<StepSpec>, Vec<Diagnostic>> {
    let facts = Facts::default();
    let mut drafting = Drafting::new(path, &facts);
    let none = RunDefaults::default();
    let defaults = Defaults { job: &none, workflow: &none, shell: Shell::Sh };
    let mut specs = Vec::with_capacity(steps.len());
    for step in steps {
        let Some(condition) = drafting.step_condition(step) else { continue };
        let Some(draft) = drafting.step(defaults, step, condition) else { continue };
        specs.extend(drafting.spec(step, draft));
    }
    for later in std::mem::take(&mut drafting.later) {
        drafting.refuse_later(&later);
    }
    drafting.report.finish()?;
    Ok(specs)
}

impl Drafting<'_> {
    fn spec(&mut self, step: &Step, draft: StepDraft) -> Option<StepSpec> {
        let action = match &draft.action {
            DraftAction::LayeredBuild { .. } | DraftAction::TestImage { .. } => None,
            other => other.plain(),
        };
        if action.is_none() {
            let message = "a layered build and its test cannot stand in an action";
            let hint = "the bridge pins what they need before the job runs; put them into a job";
            self.report.error_with_hint(step.at, message, hint);
        }
        Some(draft.spec(action?))
    }
}
