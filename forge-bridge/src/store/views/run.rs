//! One run with its jobs, and what following a log needs to know.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use workflows::ids::{DeliveryId, EventId, JobId, RunId};
use workflows::image::Nvr;
use workflows::names::RepositoryName;
use workflows::state::JobState;
use workflows::workflow::Called;

use super::images::{image, tags_where};
use super::runs::{SUMMARY_COLUMNS, summary};
use super::{time, time_option, unsigned};
use crate::store::row::{json, parsed, parsed_option};
use crate::store::{Store, StoreError};
use crate::views::{Image, Job, Pin, RunDetail, SkippedWorkflow, Status, Step};

/// Which log a follower reads, and whether more of it can come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogTarget {
    /// The job's number, which names its files.
    pub(crate) job: JobId,
    /// The attempt now; 0 before any.
    pub(crate) attempt: u32,
    /// Whether the job is over.
    pub(crate) finished: bool,
    /// Changes whenever the job's page would: its state, its attempt, its steps.
    pub(crate) revision: String,
}

impl Store {
    /// One run with all that belongs to it; `None` when there is no such run.
    pub(crate) async fn show_run(&self, id: RunId) -> Result<Option<RunDetail>, StoreError> {
        let mut tx = self.reader.begin().await?;
        let sql = format!(
            "SELECT {SUMMARY_COLUMNS}, r.message, r.event_id, e.delivery_id, r.workflow_path, \
             r.workflow_origin, r.workflow_blob, r.called, r.rerun_of, (SELECT min(later.id) FROM runs later \
             WHERE later.event_id = r.event_id AND later.workflow_origin = r.workflow_origin \
             AND later.workflow_path = r.workflow_path AND later.attempt > r.attempt) AS rerun_as \
             FROM runs r JOIN events e ON e.id = r.event_id WHERE r.id = $1"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(id.0);
        let Some(row) = query.fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        let event = EventId(row.try_get("event_id")?);
        Ok(Some(RunDetail {
            run: summary(&row)?,
            event,
            delivery: row.try_get::<Option<i64>, _>("delivery_id")?.map(DeliveryId),
            rerun_of: row.try_get::<Option<i64>, _>("rerun_of")?.map(RunId),
            rerun_as: row.try_get::<Option<i64>, _>("rerun_as")?.map(RunId),
            workflow_path: row.try_get("workflow_path")?,
            workflow_origin: row.try_get("workflow_origin")?,
            workflow_blob: row.try_get("workflow_blob")?,
            called_workflows: json::<Called>(&row, "called")?.commits().clone(),
            jobs: jobs(&mut tx, id).await?,
            statuses: statuses(&mut tx, id).await?,
            skipped_workflows: skipped(&mut tx, event).await?,
        }))
    }

    /// The repository of a run; `None` when there is no such run.
    pub(crate) async fn repository_of_run(
        &self,
        run: RunId,
    ) -> Result<Option<RepositoryName>, StoreError> {
        let row = sqlx::query("SELECT repository FROM runs WHERE id = $1")
            .bind(run.0)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| parsed(&row, "repository")).transpose()
    }

    /// Where the log of a job is; `None` when the run has no such job.
    pub(crate) async fn log_target(
        &self,
        run: RunId,
        job: &str,
    ) -> Result<Option<LogTarget>, StoreError> {
        let row = sqlx::query(
            "SELECT COALESCE(j.kept_from, j.id) AS id, j.attempt, j.state, j.state || ' ' || j.attempt || ' ' || \
                 (SELECT count(*) || ' ' || count(finished_at) FROM steps s \
                  WHERE s.job_id = COALESCE(j.kept_from, j.id) AND s.attempt = j.attempt) \
                 AS revision \
             FROM jobs j WHERE j.run_id = $1 AND j.name = $2",
        )
        .bind(run.0)
        .bind(job)
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| {
            Ok(LogTarget {
                job: JobId(row.try_get("id")?),
                attempt: unsigned(&row, "attempt")?,
                finished: parsed::<JobState>(&row, "state")? == JobState::Finished,
                revision: row.try_get("revision")?,
            })
        })
        .transpose()
    }
}

async fn jobs(tx: &mut SqliteConnection, run: RunId) -> Result<Vec<Job>, StoreError> {
    let rows = sqlx::query(
        "SELECT j.id, j.name, j.needs, j.draft ->> '$.runs_on' AS runs_on, j.state, j.outcome, \
             j.fault, j.message, j.attempt, n.name AS runner, j.cancel, j.created_at, \
             j.queued_at, j.started_at, j.finished_at, j.summary, j.annotations, \
             (SELECT origin.run_id FROM jobs origin WHERE origin.id = j.kept_from) AS kept_from \
         FROM jobs j LEFT JOIN runners n ON n.id = j.runner_id \
         WHERE j.run_id = $1 ORDER BY j.id",
    )
    .bind(run.0)
    .fetch_all(&mut *tx)
    .await?;
    let mut steps = steps(tx, run).await?;
    let mut pins = pins(tx, run).await?;
    let mut nvrs = nvrs(tx, run).await?;
    let mut images = images(tx, run).await?;
    let mut jobs = rows.iter().map(job).collect::<Result<Vec<_>, _>>()?;
    for job in &mut jobs {
        job.steps = steps.remove(&job.id).unwrap_or_default();
        job.pins = pins.remove(&job.id).unwrap_or_default();
        job.nvr = nvrs.remove(&job.id);
        job.image = images.remove(&job.id);
    }
    Ok(jobs)
}

fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    let labels: Option<&str> = row.try_get("runs_on")?;
    Ok(Job {
        id: JobId(row.try_get("id")?),
        name: row.try_get("name")?,
        needs: json(row, "needs")?,
        runs_on: if labels.is_some() { json(row, "runs_on")? } else { Vec::new() },
        state: parsed(row, "state")?,
        outcome: parsed_option(row, "outcome")?,
        fault: parsed_option(row, "fault")?,
        message: row.try_get("message")?,
        attempt: unsigned(row, "attempt")?,
        runner: row.try_get("runner")?,
        kept_from: row.try_get::<Option<i64>, _>("kept_from")?.map(RunId),
        cancel: row.try_get("cancel")?,
        created_at: time(row, "created_at")?,
        queued_at: time_option(row, "queued_at")?,
        started_at: time_option(row, "started_at")?,
        finished_at: time_option(row, "finished_at")?,
        steps: Vec::new(),
        pins: Vec::new(),
        nvr: None,
        image: None,
        summary: row.try_get("summary")?,
        annotations: json(row, "annotations")?,
    })
}

/// Rows of a job's belongings, by job, in the order of the query.
fn by_job<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<HashMap<JobId, Vec<T>>, StoreError> {
    let mut found: HashMap<JobId, Vec<T>> = HashMap::new();
    for row in rows {
        found.entry(JobId(row.try_get("owner")?)).or_default().push(read(row)?);
    }
    Ok(found)
}

async fn steps(
    tx: &mut SqliteConnection,
    run: RunId,
) -> Result<HashMap<JobId, Vec<Step>>, StoreError> {
    let rows = sqlx::query(
        "SELECT s.*, j.id AS owner FROM steps s JOIN jobs j \
         ON COALESCE(j.kept_from, j.id) = s.job_id AND j.attempt = s.attempt \
         WHERE j.run_id = $1 ORDER BY j.id, s.position",
    )
    .bind(run.0)
    .fetch_all(tx)
    .await?;
    by_job(&rows, |row| {
        Ok(Step {
            position: unsigned(row, "position")?,
            name: row.try_get("name")?,
            log_offset: unsigned(row, "log_offset")?,
            started_at: time(row, "started_at")?,
            finished_at: time_option(row, "finished_at")?,
            outcome: parsed_option(row, "outcome")?,
        })
    })
}

async fn pins(
    tx: &mut SqliteConnection,
    run: RunId,
) -> Result<HashMap<JobId, Vec<Pin>>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.*, j.id AS owner FROM pins p JOIN jobs j ON COALESCE(j.kept_from, j.id) = p.job_id \
         WHERE j.run_id = $1 ORDER BY j.id, p.position",
    )
    .bind(run.0)
    .fetch_all(tx)
    .await?;
    by_job(&rows, |row| {
        Ok(Pin {
            written: row.try_get("written")?,
            reference: row.try_get("reference")?,
            digest: row.try_get("digest")?,
        })
    })
}

async fn nvrs(tx: &mut SqliteConnection, run: RunId) -> Result<HashMap<JobId, String>, StoreError> {
    let rows = sqlx::query(
        "SELECT j.id AS owner, n.name, n.version, n.release FROM nvrs n \
         JOIN jobs j ON COALESCE(j.kept_from, j.id) = n.job_id WHERE j.run_id = $1 AND n.state <> 'free'",
    )
    .bind(run.0)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let nvr = Nvr {
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                release: row.try_get("release")?,
            };
            Ok((JobId(row.try_get("owner")?), nvr.to_string()))
        })
        .collect()
}

async fn images(
    tx: &mut SqliteConnection,
    run: RunId,
) -> Result<HashMap<JobId, Image>, StoreError> {
    let rows = sqlx::query(
        "SELECT i.*, j.id AS owner, origin.run_id, origin.name AS job FROM images i \
         JOIN jobs j ON COALESCE(j.kept_from, j.id) = i.job_id \
         JOIN jobs origin ON origin.id = i.job_id WHERE j.run_id = $1 ORDER BY i.id",
    )
    .bind(run.0)
    .fetch_all(&mut *tx)
    .await?;
    let built = rows.iter().map(image).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<i64> = built.iter().map(|image| image.id.0).collect();
    let mut tags = tags_where(tx, &ids).await?;
    let mut images = HashMap::new();
    for (row, mut image) in rows.iter().zip(built) {
        image.tags = tags.remove(&image.id).unwrap_or_default();
        images.insert(JobId(row.try_get("owner")?), image);
    }
    Ok(images)
}

async fn statuses(tx: &mut SqliteConnection, run: RunId) -> Result<Vec<Status>, StoreError> {
    let rows = sqlx::query("SELECT * FROM statuses WHERE run_id = $1 ORDER BY id")
        .bind(run.0)
        .fetch_all(tx)
        .await?;
    rows.iter()
        .map(|row| {
            let desired: i64 = row.try_get("desired")?;
            Ok(Status {
                context: row.try_get("context")?,
                state: row.try_get("state")?,
                description: row.try_get("description")?,
                target_url: row.try_get("target_url")?,
                reported: row.try_get::<i64, _>("reported")? >= desired,
                attempts: unsigned(row, "attempts")?,
                refusal: row.try_get("refusal")?,
                changed_at: time(row, "changed_at")?,
                reported_at: time_option(row, "reported_at")?,
            })
        })
        .collect()
}

pub(super) async fn skipped(
    tx: &mut SqliteConnection,
    event: EventId,
) -> Result<Vec<SkippedWorkflow>, StoreError> {
    let rows = sqlx::query(
        "SELECT path, reason FROM skipped_workflows WHERE event_id = $1 ORDER BY rowid",
    )
    .bind(event.0)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(SkippedWorkflow { path: row.try_get("path")?, reason: row.try_get("reason")? })
        })
        .collect()
}
