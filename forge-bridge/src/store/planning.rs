//! From an event to its runs and jobs, in one transaction.

mod given_up;
mod head;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::diagnostic::Diagnostic;
use workflows::event::{Event, Trust};
use workflows::facts::Facts;
use workflows::ids::{EventId, JobId, RunId};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::plan::{JobDraft, RunTexts};
use workflows::selection::{Origin, Skipped};
use workflows::state::{Outcome, RunState};
use workflows::workflow::Called;

use super::jobs::{self, Ending};
use super::nodes::{self, Branch, of_branch};
use super::rebuilds::{self, SUPERSEDED};
use super::row::{column, json, readable, to_json};
use super::schedules::{self, BranchSchedules};
use super::{Store, StoreError, at, progress, seconds};

mod pull;
mod refused;
mod rerun;

pub(crate) use pull::PullSubject;
use refused::refuse_workflow;
pub(crate) use rerun::RerunError;
pub(crate) use rerun::checks::{Again, CheckedRun};

/// An event that nobody has planned yet.
#[derive(Debug)]
pub(crate) struct UndoneEvent {
    pub(crate) id: EventId,
    pub(crate) forge: String,
    pub(crate) event: Event,
    /// The event in whose words it is told, when only the forge can tell whether it is new.
    pub(crate) repeats: Option<EventId>,
    pub(crate) attempts: u32,
    pub(crate) created_at: DateTime<Utc>,
}

/// What is to be done about an event.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Nothing, and why.
    Skip(String),
    /// Nothing, since another event told of it, and which.
    Repeated(String),
    /// Nothing, and why: nobody could read it, or it came late. What it told counts as never told,
    /// so that it may be told again.
    GiveUp {
        reason: String,
        /// True when nobody could say whether it is so: the sweep is to look once more.
        is_unread: bool,
    },
    /// The branch is gone, and its schedules with it.
    BranchGone { repository: RepositoryName, ref_name: RefName },
    /// Runs, perhaps none, each with its reason.
    Plan(Box<Planning>),
    /// Runs that were there are made again.
    Again(Box<Again>),
}

/// The runs of an event, and what each of them is about.
#[derive(Debug)]
pub(crate) struct Planning {
    pub(crate) subject: Subject,
    pub(crate) runs: Vec<PlannedRun>,
    pub(crate) skipped: Vec<Skipped>,
    /// The branch's schedules as its head now says; `None` leaves them as they are.
    pub(crate) schedules: Option<BranchSchedules>,
    /// What the same event fires on another commit, written in the same transaction.
    pub(crate) beside: Option<Box<Planning>>,
}

impl Planning {
    pub(crate) fn has_runs(&self) -> bool {
        !self.runs.is_empty() || self.beside.as_ref().is_some_and(|beside| beside.has_runs())
    }
}

/// What all runs of an event share.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) ref_name: RefName,
    pub(crate) commit: CommitId,
    /// Where a server that does not serve commits by id has it.
    pub(crate) fetch_ref: String,
    pub(crate) release: String,
    pub(crate) cause: String,
    pub(crate) trust: Trust,
    pub(crate) priority: Priority,
    /// Of a pull request.
    pub(crate) pull: Option<PullSubject>,
}

/// Who goes first when runners are few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Below everything that a person or a clock asked for.
    Rebuild = -1,
    Scheduled = 0,
    PullRequest = 1,
    Push = 2,
}

/// One workflow that fires.
#[derive(Debug)]
pub(crate) struct PlannedRun {
    pub(crate) workflow: String,
    /// As far as it is known without the run's numbers.
    pub(crate) run_name: Option<String>,
    /// What it says of itself once it has them.
    pub(crate) texts: RunTexts,
    pub(crate) facts: Facts,
    /// Stands before the job in the names of its statuses.
    pub(crate) label: String,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) path: String,
    pub(crate) origin: Origin,
    pub(crate) blob: String,
    pub(crate) text: String,
    /// The files that its jobs call.
    pub(crate) called: Called,
    pub(crate) jobs: Result<Vec<PlannedJob>, Vec<Diagnostic>>,
}

/// One job of a workflow that fires.
#[derive(Debug)]
pub(crate) struct PlannedJob {
    pub(crate) draft: JobDraft,
    pub(crate) context: String,
}

impl Store {
    /// Events to plan, oldest first, but those of the forges `without`.
    pub(crate) async fn events_due(
        &self,
        now: DateTime<Utc>,
        limit: u32,
        without: &[String],
    ) -> Result<Vec<UndoneEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, forge, event, repeats, attempts, created_at FROM events \
             WHERE state = 'new' AND due_at <= $1 \
             AND forge NOT IN (SELECT value FROM json_each($3)) ORDER BY id LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .bind(to_json(&without)?)
        .fetch_all(&self.reader)
        .await?;
        Ok(readable("waiting event", &rows, |row| {
            Ok(UndoneEvent {
                id: EventId(column(row, "id")?),
                forge: column(row, "forge")?,
                event: json(row, "event")?,
                repeats: column::<Option<i64>>(row, "repeats")?.map(EventId),
                attempts: column(row, "attempts")?,
                created_at: at(column(row, "created_at")?),
            })
        }))
    }

    /// Puts an event off because a forge does not answer.
    pub(crate) async fn defer_event(
        &self,
        event: EventId,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE events SET attempts = attempts + 1, due_at = $2, reason = $3 \
             WHERE id = $1 AND state = 'new'",
        )
        .bind(event.0)
        .bind(seconds(until))
        .bind(why)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Writes what was decided about an event. Deciding twice about one event, as after a crash
    /// between decision and commit, changes nothing the second time.
    pub(crate) async fn record_decision(
        &self,
        event: EventId,
        forge: &str,
        decision: &Decision,
        now: DateTime<Utc>,
    ) -> Result<Vec<RunId>, StoreError> {
        let mut tx = self.write().await?;
        let needless = match decision {
            Decision::Plan(plan) => why_needless(&mut tx, event, plan).await?,
            _ => None,
        };
        let needless = needless.map(|why| Decision::Skip(format!("{SUPERSEDED}: {why}")));
        let decision = needless.as_ref().unwrap_or(decision);
        let passed = match decision {
            Decision::Plan(plan) => plan.subject.why_passed(&mut tx).await?.map(Decision::Skip),
            _ => None,
        };
        let decision = passed.as_ref().unwrap_or(decision);
        let (state, reason) = match decision {
            Decision::Skip(reason) => ("skipped", Some(reason.clone())),
            Decision::Repeated(reason) => ("duplicate", Some(reason.clone())),
            Decision::GiveUp { reason, .. } => ("given_up", Some(reason.clone())),
            Decision::BranchGone { ref_name, .. } => {
                ("skipped", Some(format!("{} is deleted; nothing to build", ref_name.short())))
            }
            Decision::Plan(plan) if !plan.has_runs() => ("skipped", Some(no_run_reason(plan))),
            Decision::Plan(_) | Decision::Again(_) => ("planned", None),
        };
        let changed = sqlx::query(
            "UPDATE events SET state = $2, reason = $3 WHERE id = $1 AND state = 'new'",
        )
        .bind(event.0)
        .bind(state)
        .bind(reason)
        .execute(&mut *tx)
        .await?;
        let mut runs = Vec::new();
        if changed.rows_affected() == 1 {
            match decision {
                Decision::Skip(_) | Decision::Repeated(_) => {}
                Decision::GiveUp { is_unread, .. } => {
                    given_up::forget(&mut tx, event, *is_unread).await?;
                }
                Decision::BranchGone { repository, ref_name } => {
                    schedules::forget(&mut tx, forge, repository, ref_name, now).await?;
                    nodes::forget(&mut tx, &Branch::of(forge, repository, ref_name)).await?;
                }
                Decision::Plan(plan) => runs = record_plan(&mut tx, event, plan, now).await?,
                Decision::Again(again) => {
                    runs = rerun::checks::record(&mut tx, event, forge, again, now).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(runs)
    }
}

/// Why a rebuild is not worth its run any more: its branch is gone, or something else builds it,
/// which has the newer commit or the same parents.
async fn why_needless(
    tx: &mut SqliteConnection,
    event: EventId,
    plan: &Planning,
) -> Result<Option<&'static str>, StoreError> {
    if plan.subject.priority != Priority::Rebuild {
        return Ok(None);
    }
    let branch = plan.subject.branch();
    if nodes::is_gone(tx, &branch, event.0).await? {
        return Ok(Some("the branch is deleted"));
    }
    let is_busy = rebuilds::is_busy(tx, &branch, Some(event.0)).await?;
    Ok(is_busy.then_some("another run of the branch is under way"))
}

/// Why an event that was looked at made no run.
fn no_run_reason(plan: &Planning) -> String {
    match plan.skipped.len() {
        0 => "no workflow file: neither the repository nor the release has one".to_owned(),
        1 => format!("1 workflow looked at: {}", plan.skipped[0].reason),
        n => format!("{n} workflows looked at, none fires; each has its reason"),
    }
}

/// Inserts the runs, jobs and statuses of an event inside the caller's transaction.
pub(super) async fn record_plan(
    tx: &mut SqliteConnection,
    event: EventId,
    plan: &Planning,
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, StoreError> {
    for skipped in &plan.skipped {
        sqlx::query("INSERT INTO skipped_workflows (event_id, path, reason) VALUES ($1, $2, $3)")
            .bind(event.0)
            .bind(&skipped.path)
            .bind(&skipped.reason)
            .execute(&mut *tx)
            .await?;
    }
    if let Some(schedules) = &plan.schedules
        && !schedules::is_older(tx, event, &plan.subject).await?
    {
        schedules::set(tx, &plan.subject, schedules, now).await?;
    }
    if plan.subject.priority == Priority::Push && !plan.runs.is_empty() {
        supersede_rebuilds(tx, &plan.subject, now).await?;
    }
    let is_held = plan.subject.is_held(tx).await?;
    let mut runs = Vec::new();
    for planned in &plan.runs {
        plan.subject.supersede_same(tx, planned, now).await?;
        let run = insert_run(tx, event, &plan.subject, planned, Attempt::FIRST, now).await?;
        let head = head::complete(tx, run, planned, now).await?;
        match (&planned.jobs, head) {
            (Ok(jobs), Ok(())) => {
                for PlannedJob { context, draft } in jobs {
                    let priority = plan.subject.priority as i64;
                    progress::insert_draft(tx, run, context, draft, priority, is_held, now).await?;
                }
                progress::settle(tx, run, now).await?;
                head::tell_what_is_behind(tx, run, now).await?;
            }
            (Err(diagnostics), _) => {
                refuse_workflow(tx, run, &plan.subject, planned, diagnostics, now).await?;
            }
            (_, Err(diagnostic)) => {
                refuse_workflow(tx, run, &plan.subject, planned, &[diagnostic], now).await?;
            }
        }
        runs.push(run);
    }
    if let Some(beside) = &plan.beside {
        runs.extend(Box::pin(record_plan(tx, event, beside, now)).await?);
    }
    Ok(runs)
}

/// Ends the rebuilds of a branch that no runner has begun: the push builds on the same parents.
async fn supersede_rebuilds(
    tx: &mut SqliteConnection,
    subject: &Subject,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let branch = subject.branch();
    let waiting = of_branch(
        "SELECT jobs.id AS id FROM jobs JOIN runs ON runs.id = run_id \
         JOIN events ON events.id = event_id WHERE runs.forge = $1 AND runs.repository = $2 \
         AND ref_name = $3 AND events.kind = 'rebuild' \
         AND jobs.state IN ('unpinned', 'waiting', 'queued') ORDER BY jobs.id",
        &branch,
    )
    .fetch_all(&mut *tx)
    .await?;
    let ending = Ending::new(Outcome::Superseded, None, "Superseded by a push to the branch");
    for row in &waiting {
        jobs::end(tx, JobId(column(row, "id")?), &ending, now).await?;
    }
    Ok(())
}

impl Subject {
    fn branch(&self) -> Branch {
        Branch::of(&self.forge, &self.repository, &self.ref_name)
    }
}

/// Which attempt a run is.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// From 1.
    number: i64,
    /// The first one, for all others.
    of: Option<RunId>,
}

impl Attempt {
    const FIRST: Self = Self { number: 1, of: None };
}

async fn insert_run(
    tx: &mut SqliteConnection,
    event: EventId,
    subject: &Subject,
    planned: &PlannedRun,
    attempt: Attempt,
    now: DateTime<Utc>,
) -> Result<RunId, StoreError> {
    let row = sqlx::query(
        "INSERT INTO runs (event_id, forge, repository, ref_name, commit_id, fetch_ref, release, \
         cause, trust, workflow, workflow_path, workflow_origin, workflow_blob, workflow_text, \
         state, created_at, pull_number, head_commit, attempt, rerun_of, called, rank) \
         VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21, \
         (SELECT iif(is_late, 0, id) FROM events WHERE id = $1)) \
         RETURNING id",
    )
    .bind(event.0)
    .bind(&subject.forge)
    .bind(subject.repository.as_str())
    .bind(subject.ref_name.as_str())
    .bind(subject.commit.as_str())
    .bind(&subject.fetch_ref)
    .bind(&subject.release)
    .bind(&subject.cause)
    .bind(subject.trust.as_str())
    .bind(&planned.workflow)
    .bind(&planned.path)
    .bind(planned.origin.as_str())
    .bind(&planned.blob)
    .bind(&planned.text)
    .bind(RunState::Queued.as_str())
    .bind(seconds(now))
    .bind(subject.pull.as_ref().map(|pull| i64::try_from(pull.number).unwrap_or(i64::MAX)))
    .bind(subject.pull.as_ref().map(|pull| pull.head.as_str()))
    .bind(attempt.number)
    .bind(attempt.of.map(|first| first.0))
    .bind(to_json(&planned.called)?)
    .fetch_one(&mut *tx)
    .await?;
    Ok(RunId(column(&row, "id")?))
}
