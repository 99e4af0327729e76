//! How jobs end, what that frees, and what it makes of their run.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::gate::Refusal;
use workflows::ids::{JobId, RunId};
use workflows::state::{Fault, Outcome};
use workflows::status::{self, Sentence};

use super::row::column;
use super::{Store, StoreError, desired, groups, progress, record, seconds};

/// How a job ends, with the words for its status.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) fault: Option<Fault>,
    pub(crate) message: String,
    pub(crate) sentence: Sentence,
}

impl Ending {
    /// An ending whose status says its message.
    pub(crate) fn new(outcome: Outcome, fault: Option<Fault>, message: impl Into<String>) -> Self {
        let message = message.into();
        let sentence = status::finished(outcome, fault, &message);
        Self { outcome, fault, message, sentence }
    }

    /// The repository's fault.
    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::new(Outcome::Failure, None, message)
    }

    /// The repository's fault, with a summary for the status and the whole for the page.
    pub(crate) fn refused(refusal: &Refusal) -> Self {
        let sentence = status::finished(Outcome::Failure, None, &refusal.summary());
        Self { outcome: Outcome::Failure, fault: None, message: refusal.to_string(), sentence }
    }

    /// Our fault.
    pub(crate) fn error(fault: Fault, message: impl Into<String>) -> Self {
        Self::new(Outcome::Error, Some(fault), message)
    }
}

impl Store {
    /// Ends a job that no runner holds.
    pub(crate) async fn end_job(
        &self,
        job: JobId,
        ending: &Ending,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        end(&mut tx, job, ending, now).await?;
        Ok(tx.commit().await?)
    }
}

/// Ends a job, once: settles its NVR, its record, its status, the jobs that need it and its run.
pub(super) async fn end(
    tx: &mut SqliteConnection,
    job: JobId,
    ending: &Ending,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(run) = end_row(tx, job, ending, now).await? else { return Ok(()) };
    record::write(tx, job, now).await?;
    desired::desire_for_job(tx, job, &ending.sentence, now).await?;
    progress::settle(tx, run, now).await
}

/// Ends the row of a job, once, with its NVR and its place in a group; the answer is its run.
pub(super) async fn end_row(
    tx: &mut SqliteConnection,
    job: JobId,
    ending: &Ending,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, StoreError> {
    let row = sqlx::query(
        "UPDATE jobs SET state = 'finished', outcome = $2, fault = $3, message = $4, \
         finished_at = $5, lease_expires_at = NULL WHERE id = $1 AND state <> 'finished' \
         RETURNING run_id",
    )
    .bind(job.0)
    .bind(ending.outcome.as_str())
    .bind(ending.fault.map(Fault::as_str))
    .bind(&ending.message)
    .bind(seconds(now))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    // A primary tag never moves, so that a number whose tag may be there is nobody's any more.
    sqlx::query(
        "UPDATE nvrs SET state = CASE WHEN $2 THEN 'complete' WHEN state = 'begun' THEN 'spent' \
         ELSE 'free' END WHERE job_id = $1 AND state IN ('reserved', 'begun')",
    )
    .bind(job.0)
    .bind(ending.outcome.is_success())
    .execute(&mut *tx)
    .await?;
    groups::leave(tx, job).await?;
    Ok(Some(RunId(column(&row, "run_id")?)))
}
