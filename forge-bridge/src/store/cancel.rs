//! Stops runs, at the word of a person or of a concurrency group.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::ids::{JobId, RunId};
use workflows::state::{JobState, Outcome, RunState};

use super::jobs::{self, Ending};
use super::row::{column, parsed};
use super::{Store, StoreError, progress};

/// What became of the wish to stop a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// It stops, or has stopped.
    Yes,
    /// It was over before.
    Over,
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Stops a run: what no runner has ends at once, what one has by its next heartbeat, and jobs
    /// whose `if` asks to go on go on. `reason` is a sentence for pages and statuses.
    pub(crate) async fn cancel_run(
        &self,
        run: RunId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Cancelled, StoreError> {
        let mut tx = self.write().await?;
        let cancelled = cancel_unfinished(&mut tx, run, reason, now).await?;
        tx.commit().await?;
        Ok(cancelled)
    }

    /// Stops all jobs of a run, those that ask to go on included.
    pub(crate) async fn force_cancel(
        &self,
        run: RunId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Cancelled, StoreError> {
        let mut tx = self.write().await?;
        let cancelled = cancel_unfinished(&mut tx, run, reason, now).await?;
        stop(&mut tx, run, Outcome::Cancelled, reason, now).await?;
        tx.commit().await?;
        Ok(cancelled)
    }
}

async fn cancel_unfinished(
    tx: &mut SqliteConnection,
    run: RunId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Cancelled, StoreError> {
    let row = sqlx::query("SELECT state FROM runs WHERE id = $1")
        .bind(run.0)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(Cancelled::Unknown) };
    if parsed::<RunState>(&row, "state")? == RunState::Finished {
        return Ok(Cancelled::Over);
    }
    cancel(tx, run, reason, now).await?;
    Ok(Cancelled::Yes)
}

/// Stops a run inside of the caller's transaction.
pub(super) async fn cancel(
    tx: &mut SqliteConnection,
    run: RunId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET cancelled = COALESCE(cancelled, $2) WHERE id = $1")
        .bind(run.0)
        .bind(reason)
        .execute(&mut *tx)
        .await?;
    Box::pin(progress::settle(tx, run, now)).await
}

/// Stops one job, whatever its `if` says. One that is being published is beyond that.
pub(super) async fn cancel_job(
    tx: &mut SqliteConnection,
    run: RunId,
    job: JobId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row =
        sqlx::query("SELECT state FROM jobs WHERE id = $1").bind(job.0).fetch_one(&mut *tx).await?;
    let ending = Ending::new(Outcome::Cancelled, None, reason);
    end_or_ask(tx, job, parsed(&row, "state")?, &ending, now).await?;
    Box::pin(progress::settle(tx, run, now)).await
}

/// Ends all of a run that is not wanted any more, those that ask to go on included: what no runner
/// holds at once, the rest with the next heartbeat. An image that is pushed already gets its tags:
/// half of them would be worse.
pub(super) async fn stop(
    tx: &mut SqliteConnection,
    run: RunId,
    outcome: Outcome,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // Those that need others come before them, or they would end as skipped.
    let rows = sqlx::query(
        "SELECT id, state FROM jobs WHERE run_id = $1 AND state <> 'finished' ORDER BY id DESC",
    )
    .bind(run.0)
    .fetch_all(&mut *tx)
    .await?;
    let ending = Ending::new(outcome, None, reason);
    for row in &rows {
        let job = JobId(column(row, "id")?);
        end_or_ask(tx, job, parsed(row, "state")?, &ending, now).await?;
    }
    Ok(())
}

/// Ends a job that no runner has; the runner that has it is told to. What is being published is
/// beyond that.
async fn end_or_ask(
    tx: &mut SqliteConnection,
    job: JobId,
    state: JobState,
    ending: &Ending,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    match state {
        JobState::Held | JobState::Unpinned | JobState::Waiting | JobState::Queued => {
            Box::pin(jobs::end(tx, job, ending, now)).await
        }
        JobState::Leased | JobState::Calling => ask(tx, job, &ending.message).await,
        JobState::Publishing | JobState::Finished => Ok(()),
    }
}

/// Tells the runner of a job to stop it.
pub(super) async fn ask(
    tx: &mut SqliteConnection,
    job: JobId,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE jobs SET cancel = 1, cancel_reason = $2 WHERE id = $1")
        .bind(job.0)
        .bind(reason)
        .execute(&mut *tx)
        .await?;
    Ok(())
}
