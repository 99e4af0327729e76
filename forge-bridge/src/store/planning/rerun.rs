//! Runs that a person asks for again: each is a run of its own, linked to the first attempt.

mod again;
pub(crate) mod checks;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::asked::{self, BuildAsked};
use workflows::event::{Event, PullRequestAction, Trust};
use workflows::facts::{Facts, RunNumbers};
use workflows::ids::{EventId, JobId, RunId};
use workflows::image::BuildMode;
use workflows::plan::{self, JobDraft};
use workflows::rerun::{self, Before, MAX_ATTEMPTS, Which};
use workflows::state::{Outcome, RunState};

use again::Given;

use super::{Attempt, PlannedRun, PullSubject, Subject, head, insert_run};
use crate::store::row::{column, json, json_option, parsed, parsed_option};
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
    /// Of its jobs.
    priority: i64,
}

/// One of its jobs.
struct Job {
    id: JobId,
    before: Before,
    draft: JobDraft,
    needs: Option<Map<String, Json>>,
    priority: i64,
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
    let jobs = jobs_of(tx, run).await?;
    let no = |why: String| Err(RerunError::No(why));
    if jobs.is_empty() {
        return no(format!("run {run} has no job; correct its workflow and push"));
    }
    let before: Vec<Before> = jobs.iter().map(|job| job.before.clone()).collect();
    last.priority = jobs.first().map_or(0, |job| job.priority);
    let Some(fates) = rerun::fates(&before, which) else {
        return no(format!("no job of run {run} failed"));
    };
    if let Some(why) = last.subject.why_passed(tx).await? {
        return no(why);
    }
    last.numbers.attempt += 1;
    last.planned.facts = last.planned.facts.with_run(last.numbers).asked_again_by(by);
    let given = again::given(&mut last, &jobs, &fates, which).map_err(RerunError::No)?;
    let mut drafts = given.iter().filter_map(Given::draft);
    if drafts.any(|draft| asked::releases_an_image(std::slice::from_ref(draft))) {
        refuse_an_older_commit(tx, &last).await?;
    }
    last.subject.cause = format!("rerun of run {run} by {by}");
    if let Some(pull) = &mut last.subject.pull {
        // What nobody let begin waits still.
        pull.waits =
            last.subject.trust == Trust::Untrusted && jobs.iter().all(|job| !job.before.has_begun);
    }
    last.subject.supersede_same(tx, &last.planned, now).await?;
    let attempt = Attempt { number: last.numbers.attempt, of: Some(last.first) };
    let new = insert_run(tx, last.event, &last.subject, &last.planned, attempt, now).await?;
    let written = head::write(tx, new, &last.planned, last.numbers, now).await?;
    written.map_err(|diagnostic| RerunError::No(diagnostic.to_string()))?;
    let is_held = last.subject.is_held(tx).await?;
    again::fill(tx, new, &last, &given, is_held, now).await?;
    progress::settle(tx, new, now).await?;
    head::tell_what_is_behind(tx, new, now).await?;
    Ok(new)
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
         AND rank > (SELECT iif(is_late, 0, id) FROM events WHERE id = $4) \
         AND commit_id <> $5 AND pull_number IS NULL",
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
            action: event
                .pull_request()
                .map_or(PullRequestAction::Synchronized, |pull| pull.action),
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
        priority: 0,
    })
}

async fn jobs_of(tx: &mut SqliteConnection, run: RunId) -> Result<Vec<Job>, StoreError> {
    let rows = sqlx::query("SELECT * FROM jobs WHERE run_id = $1 ORDER BY id")
        .bind(run.0)
        .fetch_all(tx)
        .await?;
    let job = |row: &SqliteRow| {
        let outcome: Option<Outcome> = parsed_option(row, "outcome")?;
        let (name, key): (String, String) = (column(row, "name")?, column(row, "key")?);
        Ok(Job {
            id: JobId(column(row, "id")?),
            before: Before {
                key: if key.is_empty() { name.clone() } else { key },
                name,
                within: column(row, "within")?,
                has_begun: column::<u32>(row, "attempt")? > 0,
                needs: json(row, "needs")?,
                outcome: outcome.unwrap_or(Outcome::Error),
            },
            draft: json(row, "draft")?,
            needs: json_option(row, "needs_known")?,
            priority: column(row, "priority")?,
        })
    };
    rows.iter().map(job).collect()
}
