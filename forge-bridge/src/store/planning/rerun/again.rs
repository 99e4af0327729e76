//! What the new run of a rerun is given: results that stand, and jobs that run.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::diagnostic::Diagnostic;
use workflows::ids::{JobId, RunId};
use workflows::image::BuildMode;
use workflows::plan::{self, JobDraft, Plan, Within};
use workflows::rerun::{Fate, Which};
use workflows::state::JobState;
use workflows::workflow::Workflow;
use workflows::{status, workflow};

use super::{Job, Last};
use crate::store::planning::PlannedRun;
use crate::store::row::to_json;
use crate::store::{StoreError, desired, groups, progress, seconds};

/// A row of the new run.
pub(super) enum Given<'a> {
    /// The result of a job stands.
    Kept(&'a Job),
    /// A job runs, with what its needs said where these stand.
    Runs(Option<&'a Job>, Box<JobDraft>),
    /// A call is open again; the jobs within it follow, and these are the titles of those that run.
    Opens(&'a Job, Vec<String>),
}

impl Given<'_> {
    /// What runs.
    pub(super) fn draft(&self) -> Option<&JobDraft> {
        match self {
            Self::Runs(_, draft) => Some(draft),
            Self::Kept(_) | Self::Opens(..) => None,
        }
    }
}

/// The rows of the new run: of each call first what stands, since nothing of it needs what runs.
pub(super) fn given<'a>(
    last: &mut Last,
    jobs: &'a [Job],
    fates: &[Fate],
    which: Which,
) -> Result<Vec<Given<'a>>, String> {
    let PlannedRun { path, text, called, facts, .. } = &last.planned;
    let told = |all: Vec<Diagnostic>| {
        let first = all.first().map_or_else(String::new, ToString::to_string);
        format!("the workflow of run {} is not understood any more: {first}", last.run)
    };
    let mut workflow = workflow::parse(path, text).map_err(told)?;
    workflow.called = called.clone();
    let plan = plan::outline(path, &workflow, facts).map_err(told)?;
    let texts = plan.texts.clone();
    let again = Again { jobs, fates, which, planned: &last.planned, workflow };
    let mut given = Vec::new();
    again.gather(None, Some(plan), &mut given).map_err(told)?;
    if let Some(asked) = &last.asked {
        for one in &mut given {
            if let Given::Runs(_, draft) = one {
                asked.narrow(std::slice::from_mut(draft));
            }
        }
    }
    last.planned.texts = texts;
    Ok(given)
}

/// What decides about the rows.
struct Again<'a, 'p> {
    jobs: &'a [Job],
    fates: &'p [Fate],
    which: Which,
    planned: &'p PlannedRun,
    workflow: Workflow,
}

impl<'a> Again<'a, '_> {
    /// The rows of a call, or of the run's own workflow, whose plan is there already. Calls are as
    /// deep as their files, which are few.
    fn gather(
        &self,
        within: Option<&'a Within>,
        plan: Option<Plan>,
        given: &mut Vec<Given<'a>>,
    ) -> Result<(), Vec<Diagnostic>> {
        let call = within.map_or("", |within| &within.call);
        let fated = self.jobs.iter().zip(self.fates).filter(|(job, _)| job.before.within == call);
        let with =
            |fate: Fate| fated.clone().filter(move |(_, is)| **is == fate).map(|(job, _)| job);
        for job in with(Fate::Stands) {
            given.push(Given::Kept(job));
            self.keep_within(job, given);
        }
        for job in with(Fate::Again) {
            given.push(Given::Runs(Some(job), Box::new(self.redrafted(within, job)?)));
        }
        for job in with(Fate::Opens) {
            let place = given.len();
            given.push(Given::Opens(job, Vec::new()));
            let inner = job.draft.call.as_ref().map(|call| &call.within);
            self.gather(inner, None, given)?;
            let runs = given[place..].iter().filter_map(Given::draft);
            given[place] = Given::Opens(job, runs.map(|draft| draft.title.clone()).collect());
        }
        let keys: BTreeSet<&str> = with(Fate::Anew).map(|job| job.before.key.as_str()).collect();
        let plan = match (plan, within) {
            (Some(plan), _) => plan,
            (None, Some(within)) if !keys.is_empty() => {
                plan::drafts_within(within, &self.planned.called, &self.planned.facts)?
            }
            (None, _) => Plan::default(),
        };
        // A key of which there was no job before, because its `if` did not hold, may have one now.
        let all = self.which == Which::All;
        let anew = plan.jobs.into_iter().filter(|draft| all || keys.contains(draft.key.as_str()));
        given.extend(anew.map(|draft| Given::Runs(None, Box::new(draft))));
        Ok(())
    }

    /// All that is within a call whose result stands, stands.
    fn keep_within(&self, call: &Job, given: &mut Vec<Given<'a>>) {
        for job in self.jobs.iter().filter(|job| job.before.within == call.before.name) {
            given.push(Given::Kept(job));
            self.keep_within(job, given);
        }
    }

    /// The draft of a job that runs as it did, with the numbers of the new run.
    fn redrafted(&self, within: Option<&Within>, job: &Job) -> Result<JobDraft, Vec<Diagnostic>> {
        let PlannedRun { path, called, facts, .. } = self.planned;
        let (key, needs) = (&job.before.key, job.needs.clone().unwrap_or_default());
        let of_key = match within {
            Some(within) => plan::drafts_of_key_within(within, called, facts, key, &needs),
            None => plan::drafts_of_key(path, &self.workflow, facts, key, &needs),
        };
        let same = of_key?.into_iter().find(|draft| draft.name == job.draft.name);
        Ok(same.unwrap_or_else(|| job.draft.clone()))
    }
}

/// Gives the new run its jobs.
pub(super) async fn fill(
    tx: &mut SqliteConnection,
    new: RunId,
    last: &Last,
    given: &[Given<'_>],
    is_held: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let priority = last.priority;
    let mode = last.asked.as_ref().map_or(BuildMode::Release, |asked| asked.mode);
    let context = |draft: &JobDraft| status::context_of(&last.planned.label, &draft.title, mode);
    for one in given {
        match one {
            Given::Kept(job) => keep(tx, new, job.id).await?,
            Given::Runs(before, draft) => {
                let context = context(draft);
                let id = progress::insert_draft(tx, new, &context, draft, priority, is_held, now)
                    .await?;
                if let Some(job) = before {
                    know_needs(tx, id, job).await?;
                }
            }
            // Of a run that is held nothing has begun, and no call is open.
            Given::Opens(job, runs) => {
                let (context, draft) = (context(&job.draft), &job.draft);
                let id =
                    progress::insert_draft(tx, new, &context, draft, priority, false, now).await?;
                know_needs(tx, id, job).await?;
                open(tx, id, runs, now).await?;
            }
        }
    }
    Ok(())
}

/// The result of a job stands in the new run too.
async fn keep(tx: &mut SqliteConnection, new: RunId, job: JobId) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO jobs (run_id, name, key, context, needs, runs_on, priority, draft, spec, \
         state, outcome, message, attempt, runner_id, created_at, queued_at, started_at, \
         finished_at, max_parallel, needs_known, outputs, summary, annotations, within, kept_from) \
         SELECT $1, name, key, context, needs, runs_on, priority, draft, spec, state, outcome, \
         message, attempt, runner_id, created_at, queued_at, started_at, finished_at, \
         max_parallel, needs_known, outputs, summary, annotations, within, COALESCE(kept_from, id) \
         FROM jobs WHERE id = $2",
    )
    .bind(new.0)
    .bind(job.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// What a job needs stands, and said this.
async fn know_needs(tx: &mut SqliteConnection, id: JobId, before: &Job) -> Result<(), StoreError> {
    let Some(needs) = &before.needs else { return Ok(()) };
    sqlx::query("UPDATE jobs SET needs_known = $2 WHERE id = $1")
        .bind(id.0)
        .bind(to_json(needs)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// The jobs of a call are given to the run without it.
async fn open(
    tx: &mut SqliteConnection,
    id: JobId,
    runs: &[String],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE jobs SET state = $2, started_at = $3 WHERE id = $1")
        .bind(id.0)
        .bind(JobState::Calling.as_str())
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
    let names: Vec<&str> = runs.iter().map(String::as_str).collect();
    desired::desire_for_job(tx, id, &status::calling(&names), now).await?;
    groups::enter_as_job(tx, id, now).await
}
