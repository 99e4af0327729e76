//! What ends a lease: a report of the runner, or its silence.

use chrono::{DateTime, Duration, Utc};
use sqlx::SqliteConnection;
use workflows::ids::{JobId, RunId, RunnerId};
use workflows::protocol::{JobReport, LEASE_SECONDS};
use workflows::state::{Fault, JobState, Outcome};
use workflows::status;

use super::{LeaseError, Leased, leased};
use crate::store::jobs::{self, Ending};
use crate::store::row::{column, parsed};
use crate::store::{Store, StoreError, desired, images, progress, record, said, seconds};

/// How often a job is tried again after a fault of ours.
pub(crate) const MAX_ATTEMPTS: u32 = 3;
/// Pause before the next attempt, in seconds, for each attempt made.
const RETRY_SECONDS: i64 = 5;

impl Store {
    /// Ends an attempt. The same report again is answered well and changes nothing.
    pub(crate) async fn finish(
        &self,
        runner: RunnerId,
        job: JobId,
        report: &JobReport,
        now: DateTime<Utc>,
    ) -> Result<(), LeaseError> {
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT * FROM jobs WHERE id = $1 AND runner_id = $2 AND fence = $3")
            .bind(job.0)
            .bind(runner.0)
            .bind(report.fence)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else {
            drop(tx);
            return Err(self.why_not_held(job).await);
        };
        match parsed::<JobState>(&row, "state")? {
            JobState::Leased => {}
            JobState::Publishing | JobState::Finished => return Ok(()),
            JobState::Held
            | JobState::Unpinned
            | JobState::Waiting
            | JobState::Queued
            | JobState::Calling => return Err(LeaseError::Stale),
        }
        let lease = leased(&row)?;
        let report = &said::bounded(report);
        said::note(&mut tx, job, report).await?;
        if let Some(evidence) = &report.evidence {
            let image = report.image.as_ref();
            record::note_built(&mut tx, job, lease.attempt, image, evidence).await?;
        }
        conclude(&mut tx, &lease, report, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes back every lease that ran out; the answer counts them.
    pub(crate) async fn reap_expired(&self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let expired = sqlx::query(
            "SELECT id, run_id, attempt, lease_expires_at FROM jobs \
             WHERE state = 'leased' AND lease_expires_at < $1",
        )
        .bind(seconds(now))
        .fetch_all(&self.reader)
        .await?;
        for row in &expired {
            let (job, attempt): (i64, u32) = (column(row, "id")?, column(row, "attempt")?);
            let mut tx = self.write().await?;
            // The fence moves, so that a runner that comes back late is refused; the condition
            // keeps out a heartbeat that arrived between the query and now.
            let taken = sqlx::query(
                "UPDATE jobs SET fence = fence + 1 WHERE id = $1 AND state = 'leased' \
                 AND lease_expires_at < $2",
            )
            .bind(job)
            .bind(seconds(now))
            .execute(&mut *tx)
            .await?;
            if taken.rows_affected() == 1 {
                let run = RunId(column(row, "run_id")?);
                let message = format!("no heartbeat for {LEASE_SECONDS} s in attempt {attempt}");
                retry_or_end(&mut tx, JobId(job), run, attempt, Fault::RunnerLost, &message, now)
                    .await?;
            }
            tx.commit().await?;
        }
        Ok(expired.len())
    }
}

/// What the end of an attempt makes of its job.
async fn conclude(
    tx: &mut SqliteConnection,
    lease: &Leased,
    report: &JobReport,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    match (report.outcome, report.fault) {
        (Outcome::Error, Some(fault)) if fault.is_transient() => {
            let Leased { job, run, attempt, .. } = *lease;
            retry_or_end(tx, job, run, attempt, fault, &report.message, now).await
        }
        (Outcome::Success, _) => match images::record_built(tx, lease, report, now).await? {
            Some(sentence) => {
                sqlx::query(
                    "UPDATE jobs SET state = 'publishing', due_at = 0, tries = 0, \
                     lease_expires_at = NULL WHERE id = $1",
                )
                .bind(lease.job.0)
                .execute(&mut *tx)
                .await?;
                desired::desire_for_job(tx, lease.job, &sentence, now).await?;
                progress::settle(tx, lease.run, now).await
            }
            None => {
                let ending = Ending::new(Outcome::Success, None, report.message.clone());
                jobs::end(tx, lease.job, &ending, now).await
            }
        },
        (Outcome::Cancelled, _) => {
            let reason = cancel_reason(tx, lease.job).await?;
            let message = reason.unwrap_or_else(|| report.message.clone());
            jobs::end(tx, lease.job, &Ending::new(Outcome::Cancelled, None, message), now).await
        }
        (outcome, fault) => {
            let ending = Ending::new(outcome, fault, report.message.clone());
            jobs::end(tx, lease.job, &ending, now).await
        }
    }
}

/// Why a job's runner was told to stop it, if it was.
async fn cancel_reason(
    tx: &mut SqliteConnection,
    job: JobId,
) -> Result<Option<String>, StoreError> {
    let reason = sqlx::query_scalar("SELECT cancel_reason FROM jobs WHERE id = $1 AND cancel = 1")
        .bind(job.0)
        .fetch_optional(tx)
        .await?;
    Ok(reason.flatten())
}

/// After a fault of ours: another attempt while there are any left.
async fn retry_or_end(
    tx: &mut SqliteConnection,
    job: JobId,
    run: RunId,
    attempt: u32,
    fault: Fault,
    message: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if let Some(reason) = cancel_reason(tx, job).await? {
        // Nobody wants another attempt of what was to stop.
        return jobs::end(tx, job, &Ending::new(Outcome::Cancelled, None, reason), now).await;
    }
    if attempt >= MAX_ATTEMPTS {
        return jobs::end(tx, job, &Ending::error(fault, message), now).await;
    }
    let due_at = now + Duration::seconds(RETRY_SECONDS * i64::from(attempt));
    sqlx::query(
        "UPDATE jobs SET state = 'queued', due_at = $2, fault = $3, message = $4, \
         lease_expires_at = NULL, lease_request = NULL WHERE id = $1",
    )
    .bind(job.0)
    .bind(seconds(due_at))
    .bind(fault.as_str())
    .bind(message)
    .execute(&mut *tx)
    .await?;
    desired::desire_for_job(tx, job, &status::queued(), now).await?;
    progress::settle(tx, run, now).await
}
