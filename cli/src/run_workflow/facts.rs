//! The event that a workflow sees when nothing has happened.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::Utc;
use serde_json::{Map, Value as Json};
use workflows::dispatch::{self, Dispatch};
use workflows::event::{Event, PullRequest, PullRequestAction, Push, ScheduleDue};
use workflows::facts::{Facts, RunNumbers};
use workflows::image::DOCKER_HUB;
use workflows::names::{CommitId, RefName, RepositoryName, RequestId};
use workflows::release::ReleasePolicy;
use workflows::selection::Origin;
use workflows::workflow::Workflow;

use super::{EventName, RunArgs};
use crate::dist_git::{git, text};
use crate::failure::Failure;
use crate::lookaside::repository_of;

/// What the release is called, and the repository where the clone does not tell.
const LOCAL: &str = "local";

pub(super) fn facts(
    root: &Path,
    path: &str,
    workflow: &Workflow,
    args: &RunArgs,
) -> Result<Facts, Failure> {
    let place = Place::of(root)?;
    let commit = place.commit.clone();
    let event = place.event(path, workflow, args)?;
    let policy = format!(
        r#"{{"name": "{LOCAL}", "branches": ["**"], "registry": "{LOCAL}", "namespace": ""}}"#
    );
    let mut release: ReleasePolicy =
        serde_json::from_str(&policy).map_err(|error| Failure::Broken(error.into()))?;
    release.job_images = args.image.iter().cloned().collect();
    release.job_images.check(DOCKER_HUB).map_err(Failure::Usage)?;
    let vars: BTreeMap<String, String> = args.var.iter().cloned().collect();
    let inputs = inputs(workflow, args)?;
    let facts = Facts::new(&event, &commit, None, &release).with_vars(&vars);
    let facts = match args.event {
        EventName::WorkflowDispatch => facts.with_dispatched(inputs),
        _ => facts.with_inputs(inputs),
    };
    Ok(facts.with_run(RunNumbers { id: 1, number: 1, attempt: 1 }))
}

/// What was said, read as the workflow declares it where it is asked by `workflow_dispatch`; as text
/// for any other event.
fn inputs(workflow: &Workflow, args: &RunArgs) -> Result<Map<String, Json>, Failure> {
    let said: BTreeMap<String, String> = args.input.iter().cloned().collect();
    match (&workflow.on.workflow_dispatch, args.event) {
        (Some(declared), EventName::WorkflowDispatch) => {
            dispatch::inputs(declared, &said).map_err(Failure::Negative)
        }
        _ => Ok(said.into_iter().map(|(name, value)| (name, value.into())).collect()),
    }
}

/// What git says about the clone.
pub(super) struct Place {
    pub(super) repository: RepositoryName,
    pub(super) ref_name: RefName,
    pub(super) commit: CommitId,
}

impl Place {
    pub(super) fn of(root: &Path) -> Result<Self, Failure> {
        let said = |arguments: &[&str]| git(root, arguments).map(|output| text(&output));
        let commit = said(&["rev-parse", "-q", "--verify", "HEAD^{commit}"])?;
        let commit = CommitId::parse(&commit).map_err(|_| {
            Failure::Usage("the clone has no commit yet; make one first".to_owned())
        })?;
        let ref_name = RefName::parse(&said(&["symbolic-ref", "-q", "HEAD"])?)
            .or_else(|_| RefName::branch("main"))
            .map_err(|error| Failure::Broken(error.into()))?;
        let repository = repository_of(&said(&["config", "--get", "remote.origin.url"])?);
        let repository = match repository {
            Some(repository) => repository,
            None => RepositoryName::parse(&format!("{LOCAL}/repository"))
                .map_err(|error| Failure::Broken(error.into()))?,
        };
        Ok(Self { repository, ref_name, commit })
    }

    fn event(self, path: &str, workflow: &Workflow, args: &RunArgs) -> Result<Event, Failure> {
        let Self { repository, ref_name, commit } = self;
        Ok(match args.event {
            EventName::Push => Event::Push(Push {
                repository,
                ref_name,
                before: None,
                after: commit,
                forced: false,
                actor: None,
            }),
            EventName::PullRequest => Event::PullRequest(PullRequest {
                repository,
                number: 1,
                action: PullRequestAction::Opened,
                head: commit,
                head_branch: ref_name.short().to_owned(),
                head_repository: None,
                head_ref: None,
                base_ref: ref_name,
                base: None,
                author: None,
            }),
            EventName::Schedule => Event::Schedule(ScheduleDue {
                repository,
                ref_name,
                head: commit,
                workflow: path.to_owned(),
                origin: Origin::Repository,
                cron: workflow
                    .on
                    .schedule
                    .first()
                    .map_or_else(|| "0 0 * * *".to_owned(), |entry| entry.cron.value.clone()),
                due_at: Utc::now(),
                late_by_seconds: None,
            }),
            EventName::WorkflowDispatch => Event::Dispatch(Dispatch {
                id: RequestId::parse(LOCAL).map_err(|error| Failure::Broken(error.into()))?,
                repository,
                ref_name,
                workflow: path.to_owned(),
                inputs: args.input.iter().cloned().collect(),
                actor: LOCAL.to_owned(),
            }),
        })
    }
}
