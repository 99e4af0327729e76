//! Runs that a person asks for again: each is a run of its own, linked to the first attempt.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::asked::{self, BuildAsked};
use workflows::diagnostic::Diagnostic;
use workflows::event::{Event, Trust};
use workflows::facts::{Facts, RunNumbers};
use workflows::ids::{EventId, JobId, RunId};
use workflows::image::BuildMode;
use workflows::plan::{self, JobDraft};
use workflows::rerun::{self, Before, Fate, MAX_ATTEMPTS, Which};
use workflows::state::{Outcome, RunState};
use workflows::{status, workflow};

use super::{Attempt, PlannedRun, PullSubject, Subject, head, insert_run};
use crate::store::row::{column, json, json_option, parsed, parsed_option, to_json};
use crate::store::{Store, StoreError, progress};

/// Why a run is not run again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RerunError {
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(RunId),
    /// It stands against what is there, or what was asked before.
    #[error("{0}")]
    No(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RerunError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The attempt before.
struct Last {
    run: RunId,
    event: EventId,
    first: RunId,
    numbers: RunNumbers,
    subject: Subject,
    planned: PlannedRun,
    asked: Option<BuildAsked>,
}

/// One of its jobs.
struct Job {
    id: JobId,
    before: Before,
    draft: JobDraft,
    needs: Option<Map<String, Json>>,
    priority: i64,
    has_begun: bool,
}

impl Store {
    /// Runs a run again, or what of it failed.
    pub(crate) async fn rerun(
        &self,
        run: RunId,
        which: Which,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<RunId, RerunError> {
        let mut tx = self.write().await?;
        let new = begin(&mut tx, run, which, by, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(new)
    }
}

async fn begin(
    tx: &mut SqliteConnection,
    run: RunId,
    which: Which,
    by: &str,
    now: DateTime<Utc>,
) -> Result<RunId, RerunError> {
    let mut last = load(tx, run).await?;
    // A call runs again as a whole, or stands with all jobs within it.
    let (jobs, within): (Vec<Job>, Vec<Job>) =
        jobs_of(tx, run).await?.into_iter().partition(|job| job.draft.within.is_none());
    let no = |why: String| Err(RerunError::No(why));
    if jobs.is_empty() {
        return no(format!("run {run} has no job; correct its workflow and push"));
    }
    let before: Vec<Before> = jobs.iter().map(|job| job.before.clone()).collect();
    let Some(fates) = rerun::fates(&before, which) else {
        return no(format!("no job of run {run} failed"));
    };
    if let Some(why) = last.subject.why_passed(tx).await? {
        return no(why);
    }
    last.numbers.attempt += 1;
    last.planned.facts = last.planned.facts.with_run(last.numbers).asked_again_by(by);
    let drafts = drafted(&mut last, &jobs, &fates, which).map_err(RerunError::No)?;
    if drafts.iter().any(|(_, draft)| asked::releases_an_image(std::slice::from_ref(draft))) {
        refuse_an_older_commit(tx, &last).await?;
    }
    last.subject.cause = format!("rerun of run {run} by {by}");
    if let Some(pull) = &mut last.subject.pull {
        // What nobody let begin waits still.
        pull.waits = last.subject.trust == Trust::Untrusted
            && jobs.iter().chain(&within).all(|j| !j.has_begun);
    }
    last.subject.supersede_same(tx, &last.planned, now).await?;
    let attempt = Attempt { number: last.numbers.attempt, of: Some(last.first) };
    let new = insert_run(tx, last.event, &last.subject, &last.planned, attempt, now).await?;
    let written = head::write(tx, new, &last.planned, last.numbers, now).await?;
    written.map_err(|diagnostic| RerunError::No(diagnostic.to_string()))?;
    fill(tx, new, &last, (&jobs[..], &within[..]), &fates, &drafts, now).await?;
    progress::settle(tx, new, now).await?;
    head::tell_what_is_behind(tx, new, now).await?;
    Ok(new)
}

/// Gives the new run its jobs: what stands first, since nothing of it needs what runs.
async fn fill(
    tx: &mut SqliteConnection,
    new: RunId,
    last: &Last,
    (jobs, within): (&[Job], &[Job]),
    fates: &[Fate],
    drafts: &[(Option<&Job>, JobDraft)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let is_held = last.subject.is_held(tx).await?;
    let stands = jobs.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Stands);
    for (job, _) in stands {
        keep(tx, new, job.id).await?;
        for inner in within.iter().filter(|inner| inner.is_within(&job.draft.name)) {
            keep(tx, new, inner.id).await?;
        }
    }
    let priority = jobs.first().map_or(0, |job| job.priority);
    let mode = last.asked.as_ref().map_or(BuildMode::Release, |asked| asked.mode);
    for (job, draft) in drafts {
        let context = status::context_of(&last.planned.label, &draft.title, mode);
        let id = progress::insert_draft(tx, new, &context, draft, priority, is_held, now).await?;
        if let Some(needs) = job.and_then(|job| job.needs.as_ref()) {
            sqlx::query("UPDATE jobs SET needs_known = $2 WHERE id = $1")
                .bind(id.0)
                .bind(to_json(needs)?)
                .execute(&mut *tx)
                .await?;
        }
    }
    Ok(())
}

impl Job {
    /// Whether it is part of that call, or of one within it.
    fn is_within(&self, call: &str) -> bool {
        let within = self.draft.within.as_ref().map_or("", |within| &within.call);
        within.strip_prefix(call).is_some_and(|rest| rest.is_empty() || rest.starts_with(" / "))
    }
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

/// The drafts of all that runs, each after those that it needs: of single jobs, with what these
/// need known already, and of whole keys.
fn drafted<'a>(
    last: &mut Last,
    jobs: &'a [Job],
    fates: &[Fate],
    which: Which,
) -> Result<Vec<(Option<&'a Job>, JobDraft)>, String> {
    let PlannedRun { path, text, called, facts, .. } = &last.planned;
    let told = |all: Vec<Diagnostic>| {
        let first = all.first().map_or_else(String::new, ToString::to_string);
        format!("the workflow of run {} is not understood any more: {first}", last.run)
    };
    let mut workflow = workflow::parse(path, text).map_err(told)?;
    workflow.called = called.clone();
    let plan = plan::outline(path, &workflow, facts).map_err(told)?;
    let mut drafts = Vec::new();
    for (job, _) in jobs.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Again) {
        let needs = job.needs.clone().unwrap_or_default();
        let of_key = plan::drafts_of_key(path, &workflow, facts, &job.before.key, &needs);
        let same = of_key.map_err(told)?.into_iter().find(|draft| draft.name == job.draft.name);
        drafts.push((Some(job), same.unwrap_or_else(|| job.draft.clone())));
    }
    let anew = jobs.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Anew);
    let keys: BTreeSet<&str> = anew.map(|(job, _)| job.before.key.as_str()).collect();
    // A key of which there was no job before, because its `if` did not hold, may have one now.
    let is_anew = |draft: &JobDraft| which == Which::All || keys.contains(draft.key.as_str());
    drafts.extend(plan.jobs.into_iter().filter(is_anew).map(|draft| (None, draft)));
    if let Some(asked) = &last.asked {
        drafts.iter_mut().for_each(|(_, draft)| asked.narrow(std::slice::from_mut(draft)));
    }
    last.planned.texts = plan.texts;
    Ok(drafts)
}

/// A release build of a commit that the branch has left would get a newer release than those of
/// the commits after it.
async fn refuse_an_older_commit(tx: &mut SqliteConnection, last: &Last) -> Result<(), RerunError> {
    let Subject { forge, repository, ref_name, commit, pull, trust, .. } = &last.subject;
    let narrowed = last.asked.as_ref().is_some_and(|asked| asked.mode != BuildMode::Release);
    if pull.is_some() || narrowed || *trust == Trust::Untrusted {
        return Ok(());
    }
    let newer: Option<i64> = sqlx::query_scalar(
        "SELECT max(id) FROM runs WHERE forge = $1 AND repository = $2 AND ref_name = $3 \
         AND event_id > $4 AND commit_id <> $5 AND pull_number IS NULL",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(ref_name.as_str())
    .bind(last.event.0)
    .bind(commit.as_str())
    .fetch_one(tx)
    .await?;
    match newer {
        None => Ok(()),
        Some(newer) => Err(RerunError::No(format!(
            "branch {} has moved on: run {newer} is of a newer commit, whose builds must not get \
             older releases than this one's; run that one again",
            ref_name.short()
        ))),
    }
}

async fn load(tx: &mut SqliteConnection, run: RunId) -> Result<Last, RerunError> {
    let row = sqlx::query(
        "SELECT runs.*, events.event AS event, (SELECT max(later.id) FROM runs AS later \
         WHERE later.event_id = runs.event_id AND later.workflow_origin = runs.workflow_origin \
         AND later.workflow_path = runs.workflow_path \
         AND later.fetch_ref = runs.fetch_ref AND later.attempt > runs.attempt) AS later \
         FROM runs JOIN events ON events.id = event_id WHERE runs.id = $1",
    )
    .bind(run.0)
    .fetch_optional(tx)
    .await?;
    let row = row.ok_or(RerunError::Unknown(run))?;
    if parsed::<RunState>(&row, "state")? != RunState::Finished {
        return Err(RerunError::No(format!("run {run} is not over; wait, or cancel it first")));
    }
    if let Some(later) = column::<Option<i64>>(&row, "later")? {
        let why = format!("run {run} was run again as run {later}; ask for that one");
        return Err(RerunError::No(why));
    }
    let last = last(run, &row)?;
    if last.numbers.attempt >= MAX_ATTEMPTS {
        let why = format!("run {run} is attempt {MAX_ATTEMPTS}, which is the last; push instead");
        return Err(RerunError::No(why));
    }
    Ok(last)
}

fn last(run: RunId, row: &SqliteRow) -> Result<Last, StoreError> {
    let first = column::<Option<i64>>(row, "rerun_of")?.map_or(run, RunId);
    let event: Event = json(row, "event")?;
    let pull = match column::<Option<i64>>(row, "pull_number")? {
        Some(number) => Some(PullSubject {
            number: number.unsigned_abs(),
            head: parsed(row, "head_commit")?,
            waits: true,
        }),
        None => None,
    };
    let facts: Option<Facts> = json_option(row, "facts")?;
    let numbers = RunNumbers {
        id: first.0,
        number: column(row, "number")?,
        attempt: column(row, "attempt")?,
    };
    Ok(Last {
        run,
        event: EventId(column(row, "event_id")?),
        first,
        numbers,
        subject: Subject {
            forge: column(row, "forge")?,
            repository: parsed(row, "repository")?,
            ref_name: parsed(row, "ref_name")?,
            commit: parsed(row, "commit_id")?,
            fetch_ref: column(row, "fetch_ref")?,
            release: column(row, "release")?,
            cause: column(row, "cause")?,
            trust: parsed(row, "trust")?,
            priority: super::Priority::Push,
            pull,
        },
        planned: PlannedRun {
            workflow: column(row, "workflow")?,
            run_name: column(row, "run_name")?,
            texts: plan::RunTexts::default(),
            facts: facts.unwrap_or_default(),
            label: column(row, "status_label")?,
            warnings: json(row, "warnings")?,
            path: column(row, "workflow_path")?,
            origin: parsed(row, "workflow_origin")?,
            blob: column(row, "workflow_blob")?,
            text: column(row, "workflow_text")?,
            called: json(row, "called")?,
            jobs: Ok(Vec::new()),
        },
        asked: match event {
            Event::BuildAsked(asked) => Some(asked),
            _ => None,
        },
    })
}

async fn jobs_of(tx: &mut SqliteConnection, run: RunId) -> Result<Vec<Job>, StoreError> {
    let rows = sqlx::query("SELECT * FROM jobs WHERE run_id = $1 ORDER BY id")
        .bind(run.0)
        .fetch_all(tx)
        .await?;
    let job = |row: &SqliteRow| {
        let outcome: Option<Outcome> = parsed_option(row, "outcome")?;
        let key: String = column(row, "key")?;
        Ok(Job {
            id: JobId(column(row, "id")?),
            before: Before {
                key: if key.is_empty() { column(row, "name")? } else { key },
                needs: json(row, "needs")?,
                outcome: outcome.unwrap_or(Outcome::Error),
            },
            draft: json(row, "draft")?,
            needs: json_option(row, "needs_known")?,
            priority: column(row, "priority")?,
            has_begun: column::<u32>(row, "attempt")? > 0,
        })
    };
    rows.iter().map(job).collect()
}
