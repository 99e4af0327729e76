//! What is written of an event that fires: its runs, each with its jobs and their statuses.

use workflows::asked::BuildAsked;
use workflows::facts::Facts;
use workflows::image::BuildMode;
use workflows::release::ReleasePolicy;
use workflows::selection::{Fired, Selection};
use workflows::status;

use super::target::Target;
use crate::store::planning::{PlannedJob, PlannedRun, Planning, Subject};
use crate::store::schedules::BranchSchedules;

/// The runs of the workflows that fire, on what `target` names.
pub(super) fn planning(
    forge: &str,
    target: &Target,
    release: &ReleasePolicy,
    selection: Selection,
    schedules: Option<BranchSchedules>,
    facts: &Facts,
) -> Planning {
    let subject = Subject {
        forge: forge.to_owned(),
        repository: target.repository.clone(),
        ref_name: target.ref_name.clone(),
        commit: target.commit.clone(),
        fetch_ref: target.fetch_ref.clone(),
        release: release.name.clone(),
        cause: target.cause.clone(),
        trust: target.trust,
        priority: target.priority,
        pull: target.pull.clone(),
    };
    let named: Vec<(&str, &str)> =
        selection.fired.iter().map(|fired| (&*fired.name, &*fired.file.path)).collect();
    let runs = selection
        .fired
        .iter()
        .zip(labels(&named))
        .map(|(fired, label)| match &target.other_release {
            None => planned_run(fired, label, target.asked.as_ref(), facts),
            Some(release) => planned_run(fired, &format!("{label} for {release}"), None, facts),
        })
        .collect();
    Planning { subject, runs, skipped: selection.skipped, schedules, beside: None }
}

/// What stands before the jobs in the names of statuses: of each name and file the name, or the
/// file where others have the same name. Forges tell no difference between small and capital
/// letters.
fn labels<'a>(named: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    let names: Vec<String> = named.iter().map(|(name, _)| name.to_lowercase()).collect();
    let is_unique =
        |name: &str| names.iter().filter(|one| **one == name.to_lowercase()).count() == 1;
    named.iter().map(|&(name, path)| if is_unique(name) { name } else { path }).collect()
}

/// Gives a run, and with it the statuses of its jobs, another name.
pub(super) fn relabel(run: &mut PlannedRun, label: &str) {
    label.clone_into(&mut run.label);
    for job in run.jobs.iter_mut().flatten() {
        job.context = status::context(label, &job.draft.title);
    }
}

/// Two workflows of one name would overwrite each other's statuses; `label` tells them apart.
fn planned_run(
    fired: &Fired,
    label: &str,
    asked: Option<&BuildAsked>,
    facts: &Facts,
) -> PlannedRun {
    let mode = asked.map_or(BuildMode::Release, |asked| asked.mode);
    let jobs = fired.jobs.clone().map(|mut drafts| {
        if let Some(asked) = asked {
            asked.narrow(&mut drafts);
        }
        let context = |title: &str| status::context_of(label, title, mode);
        drafts
            .into_iter()
            .map(|draft| PlannedJob { context: context(&draft.title), draft })
            .collect()
    });
    PlannedRun {
        workflow: fired.name.clone(),
        run_name: fired.run_name.clone(),
        texts: fired.texts.clone(),
        facts: facts.clone(),
        label: label.to_owned(),
        warnings: fired.warnings.clone(),
        path: fired.file.path.clone(),
        origin: fired.file.origin,
        blob: fired.file.blob.clone(),
        text: fired.file.text.clone().unwrap_or_default(),
        called: fired.called.clone(),
        jobs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_forge_takes_for_one_are_told_apart_by_their_files() {
        let named = [("Build", "a.yml"), ("build", "b.yml"), ("lint", "c.yml")];
        assert_eq!(labels(&named), ["a.yml", "b.yml", "lint"]);
        assert_eq!(labels(&named[1..]), ["build", "lint"]);
    }
}
