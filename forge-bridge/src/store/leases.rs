//! The queue: who may run which attempt of which job, until when.

pub(super) mod end;

use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteExecutor};
use workflows::ids::{JobId, RunId, RunnerId};
use workflows::job::JobSpec;
use workflows::plan::{Handed, SecretNames};
use workflows::protocol::{LEASE_SECONDS, StepReport};
use workflows::state::Fault;
use workflows::status;

use super::groups::IS_BEHIND;
use super::jobs::{self, Ending};
use super::row::{column, json, to_json};
use super::{Store, StoreError, at, desired, progress, seconds};

/// Whether the labels of a request, its first parameter, fit a row of `jobs`.
const FITS: &str = "NOT EXISTS (SELECT 1 FROM json_each(jobs.runs_on) AS need \
     WHERE need.value NOT IN (SELECT value FROM json_each($1)))";
/// Whether fewer jobs of its matrix run than may.
const HAS_ROOM: &str = "(jobs.max_parallel IS NULL OR jobs.max_parallel > (SELECT count(*) \
     FROM jobs AS peer WHERE peer.run_id = jobs.run_id AND peer.key = jobs.key \
     AND peer.within = jobs.within \
     AND peer.state IN ('leased', 'publishing')))";

/// A lease as the queue gave it.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) job: JobId,
    pub(crate) run: RunId,
    pub(crate) attempt: u32,
    pub(crate) fence: i64,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) spec: JobSpec,
    /// Those that it names; they are read when it is handed out.
    pub(crate) secrets: SecretNames,
    /// What stands behind their names, in a job of a call.
    pub(crate) handed: Handed,
}

/// The proof that a call acts under the lease that holds now.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) log_bytes: u64,
}

/// Why a call about a job was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaseError {
    #[error("no such job")]
    Unknown,
    #[error("the lease is over or another's")]
    Stale,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for LeaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Gives the next job that the labels fit to a runner. The same request again, because its
    /// answer was lost, gets the same lease.
    pub(crate) async fn lease_next(
        &self,
        runner: RunnerId,
        request: &str,
        labels: &[String],
        now: DateTime<Utc>,
    ) -> Result<Option<Leased>, StoreError> {
        if let Some(again) = lease_of_request(&self.reader, runner, request).await? {
            return Ok(Some(again));
        }
        if !self.is_anything_free(labels, now).await? {
            return Ok(None);
        }
        self.give(runner, request, labels, now).await
    }

    /// Leases what is free now. A request whose first connection died unseen has two that wait, so
    /// that it is asked once more, with the writer alone, whether it has a lease.
    pub(super) async fn give(
        &self,
        runner: RunnerId,
        request: &str,
        labels: &[String],
        now: DateTime<Utc>,
    ) -> Result<Option<Leased>, StoreError> {
        let mut tx = self.write().await?;
        if let Some(again) = lease_of_request(&mut *tx, runner, request).await? {
            return Ok(Some(again));
        }
        let sql = format!(
            "UPDATE jobs SET state = 'leased', runner_id = $3, lease_request = $4, \
             fence = fence + 1, attempt = attempt + 1, lease_expires_at = $5, leased_at = $2, \
             started_at = COALESCE(started_at, $2) \
             WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND due_at <= $2 \
               AND {FITS} AND NOT {IS_BEHIND} AND {HAS_ROOM} \
               ORDER BY priority DESC, id LIMIT 1) RETURNING *"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(to_json(&labels)?)
            .bind(seconds(now))
            .bind(runner.0)
            .bind(request)
            .bind(seconds(now + Duration::seconds(LEASE_SECONDS)))
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let job = JobId(column(&row, "id")?);
        let leased = match leased(&row) {
            Ok(leased) => leased,
            Err(error) => {
                // A row that cannot be read must not stop the queue: it ends alone.
                let ending = Ending::error(Fault::Bug, error.to_string());
                jobs::end(&mut tx, job, &ending, now).await?;
                tx.commit().await?;
                return Err(error);
            }
        };
        desired::desire_for_job(&mut tx, job, &status::running(leased.attempt), now).await?;
        progress::settle(&mut tx, leased.run, now).await?;
        tx.commit().await?;
        Ok(Some(leased))
    }

    /// Looks before the writer is asked for: most requests find nothing.
    async fn is_anything_free(
        &self,
        labels: &[String],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND due_at <= $2 \
             AND {FITS} AND NOT {IS_BEHIND} AND {HAS_ROOM})"
        );
        let found = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(to_json(&labels)?)
            .bind(seconds(now))
            .fetch_one(&self.reader)
            .await?;
        Ok(found)
    }

    /// Gives every lease the time of a new one. To be asked before the first look for those that ran
    /// out: while this bridge was away no heartbeat could come, and the work goes on.
    pub(crate) async fn give_leases_time(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE jobs SET lease_expires_at = max(lease_expires_at, $1) WHERE state = 'leased'",
        )
        .bind(seconds(now + Duration::seconds(LEASE_SECONDS)))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Extends a lease; the answer is its new end and whether a person cancelled the job.
    pub(crate) async fn heartbeat(
        &self,
        runner: RunnerId,
        job: JobId,
        fence: i64,
        now: DateTime<Utc>,
    ) -> Result<(DateTime<Utc>, bool), LeaseError> {
        let expires_at = now + Duration::seconds(LEASE_SECONDS);
        let mut tx = self.write().await?;
        let row = sqlx::query(
            "UPDATE jobs SET lease_expires_at = $4 WHERE id = $1 AND fence = $2 AND runner_id = $3 \
             AND state = 'leased' RETURNING cancel",
        )
        .bind(job.0)
        .bind(fence)
        .bind(runner.0)
        .bind(seconds(expires_at))
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        match row {
            Some(row) => Ok((expires_at, column(&row, "cancel")?)),
            None => Err(self.why_not_held(job).await),
        }
    }

    /// Whether a call with this fence acts under the lease that holds now.
    pub(crate) async fn held(
        &self,
        runner: RunnerId,
        job: JobId,
        fence: i64,
    ) -> Result<Held, LeaseError> {
        let row = sqlx::query(
            "SELECT attempt, spec FROM jobs WHERE id = $1 AND fence = $2 AND runner_id = $3 \
             AND state = 'leased'",
        )
        .bind(job.0)
        .bind(fence)
        .bind(runner.0)
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Err(self.why_not_held(job).await) };
        let spec: JobSpec = json(&row, "spec")?;
        Ok(Held { job, attempt: column(&row, "attempt")?, log_bytes: spec.limits.log_bytes })
    }

    async fn why_not_held(&self, job: JobId) -> LeaseError {
        match sqlx::query("SELECT 1 FROM jobs WHERE id = $1")
            .bind(job.0)
            .fetch_optional(&self.reader)
            .await
        {
            Ok(Some(_)) => LeaseError::Stale,
            Ok(None) => LeaseError::Unknown,
            Err(error) => error.into(),
        }
    }

    /// Writes that a step began or ended.
    pub(crate) async fn record_step(
        &self,
        held: &Held,
        step: &StepReport,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO steps (job_id, attempt, position, name, log_offset, started_at, \
             finished_at, outcome) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) \
             ON CONFLICT DO UPDATE SET finished_at = excluded.finished_at, \
             outcome = excluded.outcome",
        )
        .bind(held.job.0)
        .bind(held.attempt)
        .bind(step.index)
        .bind(&step.name)
        .bind(i64::try_from(step.log_offset).unwrap_or(i64::MAX))
        .bind(seconds(step.started_at))
        .bind(step.finished.as_ref().map(|end| seconds(end.at)))
        .bind(step.finished.as_ref().map(|end| end.outcome.as_str()))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

async fn lease_of_request(
    executor: impl SqliteExecutor<'_>,
    runner: RunnerId,
    request: &str,
) -> Result<Option<Leased>, StoreError> {
    let row = sqlx::query(
        "SELECT * FROM jobs WHERE runner_id = $1 AND lease_request = $2 AND state = 'leased'",
    )
    .bind(runner.0)
    .bind(request)
    .fetch_optional(executor)
    .await?;
    row.as_ref().map(leased).transpose()
}

fn leased(row: &SqliteRow) -> Result<Leased, StoreError> {
    let named = json::<Named>(row, "draft")?;
    Ok(Leased {
        job: JobId(column(row, "id")?),
        run: RunId(column(row, "run_id")?),
        attempt: column(row, "attempt")?,
        fence: column(row, "fence")?,
        expires_at: at(column(row, "lease_expires_at")?),
        spec: json(row, "spec")?,
        secrets: named.secrets,
        handed: named.within.map(|within| within.secrets).unwrap_or_default(),
    })
}

/// What of a draft counts for a lease.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    secrets: SecretNames,
    #[serde(default)]
    within: Option<NamedWithin>,
}

#[derive(Deserialize)]
struct NamedWithin {
    secrets: Handed,
}
