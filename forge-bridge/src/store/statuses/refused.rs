//! Statuses that a forge finally refused: listed, retried, told in another way, closed after all.

use chrono::{DateTime, Utc};
use workflows::ids::{JobId, RunId};
use workflows::names::RepositoryName;
use workflows::status;

use crate::store::desired::desire_for_job;
use crate::store::row::{column, parsed, parsed_option, to_json};
use crate::store::{Store, StoreError, seconds};

/// Most statuses that are retried, or closed, at once; what is left waits for the next time.
const MAX_AT_ONCE: u32 = 10_000;

impl Store {
    /// Refused statuses of a run, or of all, with their repositories; the newest of them.
    pub(crate) async fn refused_statuses(
        &self,
        run: Option<RunId>,
    ) -> Result<Vec<(i64, RepositoryName)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, repository FROM statuses WHERE refusal IS NOT NULL \
             AND ($1 IS NULL OR run_id = $1) ORDER BY id DESC LIMIT $2",
        )
        .bind(run.map(|run| run.0))
        .bind(MAX_AT_ONCE)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok((column(row, "id")?, parsed(row, "repository")?))).collect()
    }

    /// Makes these due again where they are refused still, and says how many.
    pub(crate) async fn retry_statuses(&self, ids: &[i64]) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let retried = sqlx::query(
            "UPDATE statuses SET refusal = NULL, attempts = 0, due_at = 0 \
             WHERE refusal IS NOT NULL AND id IN (SELECT value FROM json_each($1))",
        )
        .bind(to_json(&ids)?)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(retried.rows_affected())
    }

    /// Has the forges told again what is over here and pending or unknown there, if it changed after
    /// `since`: an end that was refused and is in no comment either, and a job whose end never became
    /// a status. Says how many.
    pub(crate) async fn close_statuses(
        &self,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let reopened = sqlx::query(
            "UPDATE statuses SET refusal = NULL, attempts = 0, due_at = 0 WHERE id IN (\
             SELECT id FROM statuses WHERE refusal IS NOT NULL AND (told_state = 'pending' \
             OR told_state IS NULL AND NOT EXISTS (SELECT 1 FROM status_comments \
                 WHERE marker = 'end of run ' || run_id AND said)) AND state <> 'pending' \
             AND changed_at >= $1 ORDER BY id DESC LIMIT $2)",
        )
        .bind(seconds(since))
        .bind(MAX_AT_ONCE)
        .execute(&mut *tx)
        .await?;
        let forgotten = sqlx::query(
            // In this order: few statuses are pending, and most jobs are over.
            "SELECT j.id, j.outcome, j.fault, j.message FROM statuses s \
             CROSS JOIN jobs j ON j.run_id = s.run_id AND j.context = s.context \
             WHERE s.state = 'pending' AND j.state = 'finished' AND j.outcome IS NOT NULL \
             AND s.changed_at >= $1 ORDER BY j.id DESC LIMIT $2",
        )
        .bind(seconds(since))
        .bind(MAX_AT_ONCE)
        .fetch_all(&mut *tx)
        .await?;
        for row in &forgotten {
            let message: &str = column(row, "message")?;
            let end =
                status::finished(parsed(row, "outcome")?, parsed_option(row, "fault")?, message);
            desire_for_job(&mut tx, JobId(column(row, "id")?), &end, now).await?;
        }
        tx.commit().await?;
        Ok(reopened.rows_affected() + forgotten.len() as u64)
    }
}

#[cfg(test)]
mod tests;
