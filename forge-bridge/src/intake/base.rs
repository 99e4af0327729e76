//! `pull_request_target`: runs of the branch that a pull request would go into.
//!
//! They have the definitions, the sources and the secrets of that branch, whoever wrote the change:
//! nothing of it comes into them but what the event tells.

use workflows::event::{Event, PullRequest, Trust};
use workflows::facts::Facts;
use workflows::selection::{self, Skipped};

use super::apart::apart;
use super::target::{OccasionKind, Target, target};
use super::{Planner, runs};
use crate::sources::SourceError;
use crate::store::planning::{Decision, Planning};

impl Planner {
    /// What of the base branch a pull request fires; `None` when nothing there asks for it.
    pub(super) async fn decide_about_base(
        &self,
        forge: &str,
        event: &Event,
        pull: &PullRequest,
    ) -> Result<Option<Planning>, SourceError> {
        let Ok((of_head, release)) = target(event, &self.config.releases) else {
            return Ok(None);
        };
        let head = self.sources.head_of(forge, &pull.repository, &pull.base_ref).await?;
        let Some(head) = head else { return Ok(None) };
        let mut target = Target {
            commit: head,
            fetch_ref: pull.base_ref.to_string(),
            definitions_from_base: false,
            trust: Trust::Trusted,
            occasion: OccasionKind::PullRequestTarget {
                action: pull.action,
                base_branch: pull.base_ref.short().to_owned(),
            },
            cause: format!("{}, on that branch", of_head.cause),
            ..of_head.clone()
        };
        if let Some(subject) = &mut target.pull {
            subject.waits = false;
        }
        let mut files = self.files_of_repository(forge, &target, &target.commit).await?.files;
        files.extend(self.files_of_operator(release).await?);
        let mut candidates = apart(|| selection::read(files)).await?;
        // The rest, and what cannot be read, is told beside the head.
        candidates.retain(|candidate| {
            let workflow = candidate.workflow.as_ref();
            workflow.is_ok_and(|workflow| workflow.on.pull_request_target.is_some())
        });
        if candidates.is_empty() {
            return Ok(None);
        }
        self.find_called(forge, &target, &target.commit, &mut candidates).await?;
        // What the change touches, seen from the branch, as for the head itself.
        let paths = self.paths(forge, &of_head, selection::needs_paths(&candidates)).await?;
        let paths = selection::affordable(&candidates, paths);
        let vars = self.variables(forge, &target).await?;
        let server_url = self.server_url(forge);
        let facts = Facts::new(event, &target.commit, server_url.as_deref(), release)
            .with_vars(&vars)
            .of_base(&pull.base_ref);
        let occasion = target.occasion.clone().into_occasion(paths);
        let select = move || (selection::select(candidates, &occasion, &facts), facts);
        let (selection, facts) = apart(select).await?;
        Ok(Some(runs::planning(forge, &target, release, selection, None, &facts)))
    }
}

/// What is decided about the head and about the base, as one decision. Runs of one workflow on both
/// sides have statuses of two names.
pub(super) fn both(of_head: Decision, of_base: Option<Planning>) -> Decision {
    let Some(mut base) = of_base else { return of_head };
    let mut head = match of_head {
        Decision::Plan(plan) => *plan,
        Decision::Skip(reason) if !base.runs.is_empty() => {
            let skipped = vec![Skipped { path: "pull_request".to_owned(), reason }];
            let subject = base.subject.clone();
            Planning { subject, runs: Vec::new(), skipped, schedules: None, beside: None }
        }
        other => return other,
    };
    let fires = |path: &str| base.runs.iter().any(|run| run.path == path);
    head.skipped.retain(|skipped| !fires(&skipped.path));
    let skips = |path: &str| head.skipped.iter().any(|skipped| skipped.path == path);
    let runs = |path: &str| head.runs.iter().any(|run| run.path == path);
    base.skipped.retain(|skipped| !skips(&skipped.path) && !runs(&skipped.path));
    let labels: Vec<String> = head.runs.iter().map(|run| run.label.to_lowercase()).collect();
    for run in base.runs.iter_mut().filter(|run| labels.contains(&run.label.to_lowercase())) {
        let label = format!("{} (pull_request_target)", run.label);
        runs::relabel(run, &label);
    }
    head.beside = Some(Box::new(base));
    Decision::Plan(Box::new(head))
}
