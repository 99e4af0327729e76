//! What is known of an attempt before its job ends: its log, and what its runner found.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::evidence::BuildEvidence;
use workflows::ids::JobId;
use workflows::image::BuiltImage;
use workflows::record::RecordedLog;

use crate::store::row::{column, to_json};
use crate::store::{Store, StoreError, seconds};

impl Store {
    /// Keeps what an attempt's log is, until the record is written.
    pub(crate) async fn note_log(
        &self,
        job: JobId,
        attempt: u32,
        log: &RecordedLog,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO attempt_facts (job_id, attempt, log_path, log_bytes, log_sha256) \
             VALUES ($1,$2,$3,$4,$5) ON CONFLICT DO UPDATE SET log_path = excluded.log_path, \
             log_bytes = excluded.log_bytes, log_sha256 = excluded.log_sha256",
        )
        .bind(job.0)
        .bind(attempt)
        .bind(&log.path)
        .bind(i64::try_from(log.bytes).unwrap_or(i64::MAX))
        .bind(&log.sha256)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The attempts whose lease has run out and is not taken back yet.
    pub(crate) async fn expired_attempts(
        &self,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Vec<(JobId, u32)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, attempt FROM jobs WHERE state = 'leased' AND lease_expires_at < $1",
        )
        .bind(seconds(now))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok((JobId(column(row, "id")?), column(row, "attempt")?))).collect()
    }
}

/// Keeps what a runner pushed and what it found in it, until the record is written.
pub(in crate::store) async fn note_built(
    tx: &mut SqliteConnection,
    job: JobId,
    attempt: u32,
    image: Option<&BuiltImage>,
    evidence: &BuildEvidence,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO attempt_facts (job_id, attempt, evidence, image) VALUES ($1,$2,$3,$4) \
         ON CONFLICT DO UPDATE SET evidence = excluded.evidence, image = excluded.image",
    )
    .bind(job.0)
    .bind(attempt)
    .bind(to_json(evidence)?)
    .bind(image.map(to_json).transpose()?)
    .execute(tx)
    .await?;
    Ok(())
}

/// The log of a row that has its columns.
pub(super) fn log(row: &SqliteRow) -> Result<Option<RecordedLog>, StoreError> {
    let Some(path) = column(row, "log_path")? else { return Ok(None) };
    let bytes = column::<i64>(row, "log_bytes")?.unsigned_abs();
    Ok(Some(RecordedLog { path, bytes, sha256: column(row, "log_sha256")? }))
}
