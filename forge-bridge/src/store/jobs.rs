//! How jobs end, what that frees, and what it makes of their run.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::gate::Refusal;
use workflows::ids::{JobId, RunId};
use workflows::state::{Fault, JobState, Outcome, RunState};
use workflows::status::{self, Sentence};

use super::row::{column, json, parsed, parsed_option};
use super::{Store, StoreError, desired, record, seconds};

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
    let Some(row) = row else { return Ok(()) };
    let nvr_state = if ending.outcome.is_success() { "complete" } else { "free" };
    sqlx::query("UPDATE nvrs SET state = $2 WHERE job_id = $1 AND state = 'reserved'")
        .bind(job.0)
        .bind(nvr_state)
        .execute(&mut *tx)
        .await?;
    record::write(tx, job, now).await?;
    desired::desire_for_job(tx, job, &ending.sentence, now).await?;
    settle_run(tx, RunId(column(&row, "run_id")?), now).await
}

struct Sibling {
    id: JobId,
    name: String,
    needs: Vec<String>,
    state: JobState,
    outcome: Option<Outcome>,
}

/// Frees or skips the jobs whose needs have ended, until nothing changes, and then writes what
/// all jobs together make of the run.
pub(super) async fn settle_run(
    tx: &mut SqliteConnection,
    run: RunId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    loop {
        let siblings = siblings(tx, run).await?;
        let Some((id, next)) = next_to_settle(&siblings) else {
            return write_run_state(tx, run, &siblings, now).await;
        };
        match next {
            Settled::Free => {
                sqlx::query("UPDATE jobs SET state = 'queued', queued_at = $2 WHERE id = $1")
                    .bind(id.0)
                    .bind(seconds(now))
                    .execute(&mut *tx)
                    .await?;
                desired::desire_for_job(tx, id, &status::queued(), now).await?;
            }
            Settled::Skip(cause) => skip(tx, id, &cause, now).await?,
        }
    }
}

enum Settled {
    Free,
    Skip(String),
}

/// A waiting job whose needs are all over. A job that waits for its pins is skipped too when a
/// need of it has failed: nobody will want its digests.
fn next_to_settle(siblings: &[Sibling]) -> Option<(JobId, Settled)> {
    let outcome_of =
        |name: &String| siblings.iter().find(|job| job.name == *name).and_then(|job| job.outcome);
    siblings
        .iter()
        .filter(|job| matches!(job.state, JobState::Waiting | JobState::Unpinned))
        .find_map(|job| {
            let failed = job
                .needs
                .iter()
                .find(|need| outcome_of(need).is_some_and(|outcome| !outcome.is_success()));
            if let Some(failed) = failed {
                return Some((job.id, Settled::Skip(failed.clone())));
            }
            let over = job.needs.iter().all(|need| outcome_of(need).is_some());
            (over && job.state == JobState::Waiting).then_some((job.id, Settled::Free))
        })
}

async fn skip(
    tx: &mut SqliteConnection,
    job: JobId,
    cause: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ending =
        Ending::new(Outcome::Skipped, None, format!("Skipped, because {cause} did not succeed"));
    sqlx::query(
        "UPDATE jobs SET state = 'finished', outcome = $2, message = $3, finished_at = $4 \
         WHERE id = $1",
    )
    .bind(job.0)
    .bind(ending.outcome.as_str())
    .bind(&ending.message)
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE nvrs SET state = 'free' WHERE job_id = $1 AND state = 'reserved'")
        .bind(job.0)
        .execute(&mut *tx)
        .await?;
    desired::desire_for_job(tx, job, &ending.sentence, now).await
}

async fn siblings(tx: &mut SqliteConnection, run: RunId) -> Result<Vec<Sibling>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, name, needs, state, outcome FROM jobs WHERE run_id = $1 ORDER BY id",
    )
    .bind(run.0)
    .fetch_all(&mut *tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Sibling {
                id: JobId(column(row, "id")?),
                name: column(row, "name")?,
                needs: json(row, "needs")?,
                state: parsed(row, "state")?,
                outcome: parsed_option(row, "outcome")?,
            })
        })
        .collect()
}

async fn write_run_state(
    tx: &mut SqliteConnection,
    run: RunId,
    siblings: &[Sibling],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if siblings.is_empty() {
        return Ok(());
    }
    let over = siblings.iter().all(|job| job.state == JobState::Finished);
    let begun = siblings.iter().any(|job| {
        matches!(job.state, JobState::Leased | JobState::Publishing | JobState::Finished)
    });
    let (state, outcome) = if over {
        let outcome = Outcome::of_all(siblings.iter().filter_map(|job| job.outcome));
        (RunState::Finished, Some(outcome))
    } else if begun {
        (RunState::Running, None)
    } else {
        (RunState::Queued, None)
    };
    sqlx::query(
        "UPDATE runs SET state = $2, outcome = $3, \
         started_at = CASE WHEN $2 = 'queued' THEN started_at ELSE COALESCE(started_at, $4) END, \
         finished_at = CASE WHEN $2 = 'finished' THEN $4 END WHERE id = $1 AND state <> 'finished'",
    )
    .bind(run.0)
    .bind(state.as_str())
    .bind(outcome.map(Outcome::as_str))
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    Ok(())
}
