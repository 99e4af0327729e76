//! Refuses in words what the language knows and Strata does not do.

use super::{Drafting, JobDraft, Later, named};
use crate::diagnostic::{Position, quoted};
use crate::workflow::Setting;

impl Drafting<'_> {
    /// Refuses what no later moment would know either. A provisional draft is looked at again.
    pub(super) fn refuse_what_stays(&mut self, job: &JobDraft) {
        let known_soon =
            |later: &Later| job.is_provisional && named::is_known_when_ready(&later.waits_for);
        for later in job.later.iter().filter(|later| !known_soon(later)) {
            self.refuse_later(later);
        }
    }

    pub(super) fn refuse_later(&mut self, later: &Later) {
        let (key, waits_for) = (&later.key, quoted(&later.waits_for));
        let message = format!("{key} that waits for {waits_for}");
        self.unsupported(later.template.at, &message);
    }

    pub(super) fn unsupported(&mut self, at: Position, what: &str) {
        self.report.refusal(at, format!("{what} is not supported yet"));
    }

    pub(super) fn refuse_if(&mut self, at: Option<Position>, what: &str) {
        if let Some(at) = at {
            self.unsupported(at, what);
        }
    }

    pub(super) fn refuse_true(&mut self, setting: Option<&Setting<bool>>, what: &str) {
        if self.truth_setting(setting, what) == Some(true) {
            self.refuse_if(setting.map(Setting::at), what);
        }
    }
}
