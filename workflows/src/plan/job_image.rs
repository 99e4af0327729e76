//! The image of a job that names none under `container`.

use super::step::{LAYERED_BUILD, TEST_IMAGE};
use super::{Drafting, JobDraft};
use crate::diagnostic::quoted;
use crate::workflow::{Action, Job, Step, StepsBody};

/// How an image in the place of an action begins.
const IMAGE_ACTION: &str = "docker://";

impl Drafting<'_> {
    /// Gives a job without `container` the image that the operator has for one of its labels; a
    /// script that would have none is refused.
    pub(super) fn image_by_label(&mut self, job: &Job, body: &StepsBody, draft: &mut JobDraft) {
        if body.container.is_some() || !body.steps.iter().any(runs_in_image) {
            return;
        }
        if let Some((label, image)) = self.facts.job_images().of(&draft.runs_on) {
            draft.image = Some(image.to_owned());
            draft.image_label = Some(label.to_owned());
            return;
        }
        // What the labels are is known later, or what the operator says nobody could be asked.
        let waits = draft.later.iter().any(|later| draft.runs_on.contains(&later.template.text));
        let script = body.steps.iter().find(|step| matches!(step.action, Action::Run { .. }));
        if let (Some(step), false, false) = (script, waits, self.facts.takes_any_label()) {
            let labels: Vec<String> = draft.runs_on.iter().map(|label| quoted(label)).collect();
            let labels = labels.join(", ");
            self.report.refusal_with_hint(
                step.at,
                format!(
                    "job `{}` has a `run` step and no `container`, and there is no image for \
                     {labels}",
                    job.key.value
                ),
                "name an image under `container`; the operator gives labels one in \
                 `[release.job_images]`, `strata run` takes `--image`. No command runs on the \
                 runner itself",
            );
        }
    }
}

/// Whether a step runs in the image of its job, as far as its words tell: an action of files may.
fn runs_in_image(step: &Step) -> bool {
    const OTHERS: [&str; 4] = ["strata/checkout", "actions/checkout", LAYERED_BUILD, TEST_IMAGE];
    match &step.action {
        Action::Run { .. } => true,
        Action::Uses { action, .. } => {
            !action.value.starts_with(IMAGE_ACTION) && !OTHERS.iter().any(|name| step.uses(name))
        }
        _ => false,
    }
}
