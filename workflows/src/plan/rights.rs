//! What a job may do: push its image, or not.

use super::step::LAYERED_BUILD;
use super::{Drafting, JobDraft};
use crate::event::Trust;
use crate::workflow::{Access, Job, Permissions, StepsBody, Workflow};

impl JobDraft {
    /// Whether its image is pushed: what the workflow lets the job do, and never more than to read
    /// for the change of a stranger.
    #[must_use]
    pub fn may_push(&self, trust: Trust) -> bool {
        let of_trust = Permissions::All(match trust {
            Trust::Trusted => Access::Write,
            Trust::Untrusted => Access::Read,
        });
        let granted =
            self.permissions.as_ref().map_or(of_trust.clone(), |own| own.at_most(&of_trust));
        granted.lets_push()
    }
}

impl Drafting<'_> {
    /// The permissions of a job: its own, which stand in the place of those of its workflow, and
    /// never more than those of the call that it is part of.
    pub(super) fn stated_permissions(&self, workflow: &Workflow, job: &Job) -> Option<Permissions> {
        let own = job.permissions.as_ref().or(workflow.permissions.as_ref());
        let of_call = self.within.and_then(|within| within.permissions.as_ref());
        match (own, of_call) {
            (Some(own), Some(of_call)) => Some(own.at_most(of_call)),
            (own, of_call) => own.or(of_call).cloned(),
        }
    }

    /// The permissions of a job. A build whose image could not be pushed is refused: left out in
    /// silence, its author would look for the image in vain.
    pub(super) fn permissions(
        &mut self,
        workflow: &Workflow,
        job: &Job,
        body: &StepsBody,
    ) -> Option<Permissions> {
        let stated = self.stated_permissions(workflow, job)?;
        let build = body.steps.iter().find(|step| step.uses(LAYERED_BUILD));
        if let (Some(step), false) = (build, stated.lets_push()) {
            let key = &job.key.value;
            let message = format!(
                "job `{key}` builds an image, and its `permissions` do not let it push one"
            );
            let hint = "add `packages: write` to them, or leave `permissions` out";
            self.report.error_with_hint(step.at, message, hint);
        }
        Some(stated)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::check;
    use crate::workflow::parse;

    fn found(of_workflow: &str, of_job: &str) -> Vec<String> {
        let text = format!(
            "on: push\n{of_workflow}\njobs:\n  a:\n    runs-on: x\n    {of_job}\n    steps:\n    - uses: strata/layered-build\n"
        );
        let workflow = parse("w", &text).unwrap();
        check("w", &workflow).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_image_is_pushed_with_the_right_to_write_packages() {
        let refused = "w:8:7: job `a` builds an image, and its `permissions` do not let it push one (hint: add `packages: write` to them, or leave `permissions` out)";
        for (of_workflow, of_job, is_refused) in [
            ("", "", false),
            ("permissions: write-all", "", false),
            ("permissions: {packages: write}", "", false),
            ("permissions: read-all", "", true),
            ("permissions: {}", "", true),
            ("permissions: {contents: read}", "", true),
            ("permissions: {packages: read}", "", true),
            // The job's own stand in the place of the workflow's.
            ("permissions: {}", "permissions: {packages: write}", false),
            ("permissions: write-all", "permissions: {contents: read}", true),
        ] {
            let expected = if is_refused { vec![refused.to_owned()] } else { Vec::new() };
            assert_eq!(found(of_workflow, of_job), expected, "{of_workflow} {of_job}");
        }
    }

    #[test]
    fn a_stranger_never_gets_more_than_to_read() {
        let draft = |permissions| JobDraft { permissions, ..JobDraft::default() };
        let write = Permissions::Each(BTreeMap::from([("packages".to_owned(), Access::Write)]));
        for (permissions, trusted) in [
            (None, true),
            (Some(Permissions::All(Access::Write)), true),
            (Some(write.clone()), true),
            (Some(Permissions::All(Access::Read)), false),
            (Some(Permissions::Each(BTreeMap::new())), false),
        ] {
            let draft = draft(permissions);
            assert_eq!(draft.may_push(Trust::Trusted), trusted, "{draft:?}");
            assert!(!draft.may_push(Trust::Untrusted), "{draft:?}");
        }
        let capped = write.at_most(&Permissions::All(Access::Read));
        assert_eq!(capped.access("packages"), Access::Read);
        assert_eq!(capped.access("contents"), Access::None);
    }
}
