//! From the drafts of a job's parts to what a runner does.

use super::{DraftAction, ServiceDraft, StepDraft};
use crate::image::ParentPin;
use crate::job::{ServiceSpec, StepAction, StepSpec};

impl StepDraft {
    /// The step with what it does, once that is known.
    #[must_use]
    pub fn spec(&self, action: StepAction) -> StepSpec {
        StepSpec {
            name: self.name.clone(),
            env: self.env.clone(),
            action,
            id: self.id.clone(),
            condition: self.condition.clone(),
            continue_on_error: self.continue_on_error.clone(),
            timeout_minutes: self.timeout_minutes.clone(),
            later: self.later.clone(),
        }
    }
}

impl DraftAction {
    /// What a runner does, where nothing has to be pinned or named for it first.
    #[must_use]
    pub fn plain(&self) -> Option<StepAction> {
        Some(match self {
            Self::Run { script, shell, working_directory } => StepAction::Run {
                script: script.clone(),
                shell: *shell,
                working_directory: working_directory.clone(),
            },
            Self::Checkout => StepAction::Checkout,
            Self::TestImage { script, shell } => {
                StepAction::TestImage { script: script.clone(), shell: *shell }
            }
            Self::Action { source, with } => {
                StepAction::Action { source: source.clone(), with: with.clone() }
            }
            Self::LayeredBuild { .. } => return None,
        })
    }
}

impl ServiceDraft {
    /// The service, once its image is pinned.
    #[must_use]
    pub fn spec(&self, image: ParentPin) -> ServiceSpec {
        ServiceSpec {
            name: self.name.clone(),
            image,
            credentials: self.credentials.clone(),
            env: self.env.clone(),
            env_templates: self.env_templates.clone(),
            ports: self.ports.clone(),
            options: self.options.clone(),
            entrypoint: self.entrypoint.clone(),
            command: self.command.clone(),
        }
    }
}
