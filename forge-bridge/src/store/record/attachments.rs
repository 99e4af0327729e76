//! The documents that images are to have beside them in their registries, and have.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::ids::JobId;
use workflows::image::Digest;
use workflows::record::{BuildRecord, ExportForm};

use crate::store::row::{column, json, parsed, readable};
use crate::store::{Store, StoreError, seconds};

/// The forms that are attached to each image that was built well from a trusted change.
const ATTACHED: [ExportForm; 2] = [ExportForm::Sbom, ExportForm::Provenance];

/// A document that an image does not have yet.
#[derive(Debug)]
pub(crate) struct DueAttachment {
    pub(crate) id: i64,
    pub(crate) form: ExportForm,
    pub(crate) tries: u32,
    /// Of the image.
    pub(crate) record: BuildRecord,
}

/// Desires the documents of a job's image.
pub(super) async fn want(tx: &mut SqliteConnection, job: JobId) -> Result<(), StoreError> {
    for form in ATTACHED {
        sqlx::query("INSERT INTO attachments (job_id, form) VALUES ($1,$2) ON CONFLICT DO NOTHING")
            .bind(job.0)
            .bind(form.as_str())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Documents that are due, oldest first.
    pub(crate) async fn attachments_due(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DueAttachment>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.id, a.form, a.tries, b.record FROM attachments a \
             JOIN build_records b ON b.job_id = a.job_id \
             WHERE a.attached_at IS NULL AND a.refusal IS NULL AND a.due_at <= $1 \
             ORDER BY a.due_at, a.id LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        Ok(readable("document", &rows, |row| {
            Ok(DueAttachment {
                id: column(row, "id")?,
                form: parsed(row, "form")?,
                tries: column(row, "tries")?,
                record: json(row, "record")?,
            })
        }))
    }

    /// Writes that an image has a document, and appends it to the image's record.
    pub(crate) async fn attached(
        &self,
        attachment: &DueAttachment,
        digest: &Digest,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let changed = sqlx::query(
            "UPDATE attachments SET attached_at = $2, digest = $3, message = '' \
             WHERE id = $1 AND attached_at IS NULL",
        )
        .bind(attachment.id)
        .bind(seconds(now))
        .bind(digest.as_str())
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 1 {
            sqlx::query(
                "INSERT INTO record_events (job_id, at, kind, subject, digest) \
                 VALUES ($1,$2,'attached',$3,$4)",
            )
            .bind(attachment.record.job.0)
            .bind(seconds(now))
            .bind(attachment.form.as_str())
            .bind(digest.as_str())
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Puts a document off because its registry does not take it now.
    pub(crate) async fn defer_attachment(
        &self,
        id: i64,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE attachments SET tries = tries + 1, due_at = $2, message = $3 WHERE id = $1",
        )
        .bind(id)
        .bind(seconds(until))
        .bind(why)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Gives a document up; the reason stays with it.
    pub(crate) async fn refuse_attachment(&self, id: i64, why: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE attachments SET tries = tries + 1, refusal = $2 WHERE id = $1")
            .bind(id)
            .bind(why)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}
