//! Scratch builds whose time is over, and what became of their tags.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use workflows::ids::ImageId;
use workflows::image::{Digest, Reference};
use workflows::job::JobSpec;

use super::nodes::layered_build;
use super::row::{column, json, readable};
use super::{Store, StoreError, record, seconds};

/// Images that are marked in one transaction; webhooks wait for it.
const MAX_MARKED: u32 = 256;

/// A tag that the registry is to lose.
#[derive(Debug)]
pub(crate) struct DueRemoval {
    pub(crate) image: ImageId,
    /// With its tag.
    pub(crate) tagged: Reference,
    pub(crate) digest: Digest,
    pub(crate) tries: u32,
}

/// Who else may want the manifest of an image that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nobody.
    No,
    /// A build under way, perhaps: it pushes to that place, some time before it is told, and builds
    /// of one commit have one manifest.
    Perhaps,
    /// Another image that stays.
    Yes,
}

/// From when on scratch builds are not kept any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptSince {
    /// Of pull requests that are over: those that were open then.
    pub(crate) closed: DateTime<Utc>,
    /// Of all: those that were built then.
    pub(crate) built: DateTime<Utc>,
}

/// How a removal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemovalEnd {
    /// The registry does not have the tag.
    Done,
    /// The manifest has another name that stays.
    Kept,
    /// The registry does not let us.
    Refused,
}

impl RemovalEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Kept => "kept",
            Self::Refused => "refused",
        }
    }
}

impl Store {
    /// Marks scratch builds whose time is over, and says how many: the oldest of those that have
    /// all their documents.
    pub(crate) async fn mark_removals(
        &self,
        since: KeptSince,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let marked = sqlx::query(
            "INSERT INTO removals (image_id, cause, asked_at) \
             SELECT i.id, CASE WHEN p.state <> 'open' AND p.changed_at <= $1 THEN 'closed' \
             ELSE 'age' END, $3 FROM images i JOIN jobs j ON j.id = i.job_id \
             JOIN runs r ON r.id = j.run_id LEFT JOIN pull_requests p ON p.forge = r.forge \
             AND p.repository = r.repository AND p.number = r.pull_number \
             WHERE i.mode = 'scratch' AND j.state = 'finished' \
             AND NOT EXISTS (SELECT 1 FROM removals WHERE image_id = i.id) \
             AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.job_id = i.job_id \
             AND a.attached_at IS NULL AND a.refusal IS NULL) \
             AND (i.created_at <= $2 OR (p.state <> 'open' AND p.changed_at <= $1)) \
             ORDER BY i.created_at, i.id LIMIT $4",
        )
        .bind(seconds(since.closed))
        .bind(seconds(since.built))
        .bind(seconds(now))
        .bind(MAX_MARKED)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(marked.rows_affected())
    }

    /// Removals that are due, the longest waiting first.
    pub(crate) async fn removals_due(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DueRemoval>, StoreError> {
        let rows = sqlx::query(
            "SELECT i.id, i.reference, i.digest, m.tries FROM removals m JOIN images i ON i.id = m.image_id \
             WHERE m.state = 'due' AND m.due_at <= $1 ORDER BY m.due_at, m.image_id LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        Ok(readable("image to remove", &rows, due))
    }

    /// Who else may want a manifest now. To be asked right before it goes.
    pub(crate) async fn wanted(&self, removal: &DueRemoval) -> Result<Wanted, StoreError> {
        // In one look: a build that is told between two would be in neither.
        let mut tx = self.reader.begin().await?;
        let is_shared: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM images i JOIN images o ON o.registry = i.registry \
             AND o.repository = i.repository AND o.digest = i.digest AND o.id <> i.id \
             WHERE i.id = $1 AND NOT EXISTS (SELECT 1 FROM removals WHERE image_id = o.id))",
        )
        .bind(removal.image.0)
        .fetch_one(&mut *tx)
        .await?;
        if is_shared {
            return Ok(Wanted::Yes);
        }
        let rows = sqlx::query("SELECT id, spec FROM jobs WHERE state = 'leased'")
            .fetch_all(&mut *tx)
            .await?;
        let place = |reference: &Reference| {
            let Reference { registry, repository, .. } = reference;
            (registry.clone(), repository.clone())
        };
        let targets = readable("job that runs", &rows, |row| {
            let spec: JobSpec = json(row, "spec")?;
            Ok(layered_build(&spec).map(|build| place(&build.target)))
        });
        let is_target = targets.contains(&Some(place(&removal.tagged)));
        Ok(if is_target { Wanted::Perhaps } else { Wanted::No })
    }

    /// Ends a removal; of one that is done, the tag is gone.
    pub(crate) async fn end_removal(
        &self,
        image: ImageId,
        end: RemovalEnd,
        message: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let ended = sqlx::query(
            "UPDATE removals SET state = $2, message = $3, ended_at = $4 \
             WHERE image_id = $1 AND state = 'due'",
        )
        .bind(image.0)
        .bind(end.as_str())
        .bind(message)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        if end == RemovalEnd::Done && ended.rows_affected() == 1 {
            record::tags_removed(&mut tx, image, now).await?;
            sqlx::query(
                "UPDATE image_tags SET removed_at = $2 WHERE image_id = $1 AND removed_at IS NULL",
            )
            .bind(image.0)
            .bind(seconds(now))
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Puts a removal off because its registry does not answer.
    pub(crate) async fn defer_removal(
        &self,
        image: ImageId,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.wait_to_remove(image, until, why, 1).await
    }

    /// As [`Store::defer_removal`], where nobody asked the registry: that is no failed try.
    pub(crate) async fn put_removal_off(
        &self,
        image: ImageId,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.wait_to_remove(image, until, why, 0).await
    }

    async fn wait_to_remove(
        &self,
        image: ImageId,
        until: DateTime<Utc>,
        why: &str,
        tries: u32,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE removals SET tries = tries + $4, due_at = $2, message = $3 \
             WHERE image_id = $1 AND state = 'due'",
        )
        .bind(image.0)
        .bind(seconds(until))
        .bind(why)
        .bind(tries)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

fn due(row: &SqliteRow) -> Result<DueRemoval, StoreError> {
    let corrupt = |error: workflows::image::ImageNameError| StoreError::Corrupt(error.to_string());
    Ok(DueRemoval {
        image: ImageId(column(row, "id")?),
        tagged: Reference::try_from(column::<String>(row, "reference")?).map_err(corrupt)?,
        digest: Digest::try_from(column::<String>(row, "digest")?).map_err(corrupt)?,
        tries: column(row, "tries")?,
    })
}
