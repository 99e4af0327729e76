//! Images that were built, and the tags that they have or still want.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::evidence::BuildEvidence;
use workflows::ids::{ImageId, JobId};
use workflows::image::{Digest, ImageNameError, Nvr, Reference, Tag, TagClass};
use workflows::job::{BuildSpec, JobSpec, RebuildFacts};
use workflows::protocol::JobReport;
use workflows::status::{self, Sentence};

use super::jobs::{self, Ending};
use super::leases::Leased;
use super::row::{column, json, parsed, readable, to_json};
use super::{Store, StoreError, nodes, record, seconds, watched};

/// A built image that still wants tags.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) job: JobId,
    pub(crate) image: ImageId,
    /// By digest.
    pub(crate) source: Reference,
    pub(crate) digest: Digest,
    pub(crate) unique: Tag,
    pub(crate) nvr: Option<Nvr>,
    pub(crate) tries: u32,
    /// In the order in which to put them.
    pub(crate) wanted: Vec<(TagClass, Tag)>,
    /// Floating tags that a newer build has put already. The newer one is that of the newer event: a
    /// job that a run gets late, or that is run again, has a higher number than those of the events
    /// since.
    pub(crate) forgone: Vec<Tag>,
}

/// Records what an attempt built and pushed, with the tags that it is to get. `None` when the
/// job pushed nothing, and then it is over.
pub(super) async fn record_built(
    tx: &mut SqliteConnection,
    lease: &Leased,
    report: &JobReport,
    now: DateTime<Utc>,
) -> Result<Option<Sentence>, StoreError> {
    let build = nodes::layered_build(&lease.spec);
    let (Some(image), Some(build)) = (&report.image, build) else { return Ok(None) };
    let row = sqlx::query(
        "INSERT INTO images (job_id, release, reference, registry, repository, digest, \
         size_bytes, mode, nvr, created_at, content) \
         VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) RETURNING id",
    )
    .bind(lease.job.0)
    .bind(&lease.spec.release)
    .bind(image.reference.to_string())
    .bind(&build.target.registry)
    .bind(&build.target.repository)
    .bind(image.digest.as_str())
    .bind(i64::try_from(image.size_bytes).unwrap_or(i64::MAX))
    .bind(build.mode.as_str())
    .bind(build.nvr.as_ref().map(ToString::to_string))
    .bind(seconds(now))
    .bind(content(report.evidence.as_ref(), build))
    .fetch_one(&mut *tx)
    .await?;
    let id = ImageId(column(&row, "id")?);
    if let Some(tag) = &image.reference.tag {
        insert_tag(tx, id, TagClass::Unique, tag, Some(now)).await?;
        record::tag_put(tx, id, tag.as_str(), now).await?;
    }
    if let Some(tag) = &build.tags.primary {
        insert_tag(tx, id, TagClass::Primary, tag, None).await?;
    }
    let RebuildFacts { skip_unchanged, unchanged_by, .. } = build.rebuild;
    if skip_unchanged && nodes::is_unchanged(tx, lease.job).await? {
        tracing::info!(
            job.id = %lease.job,
            "job {}: the same {unchanged_by}; no floating tag moves",
            lease.job
        );
        return Ok(Some(status::publishing()));
    }
    for tag in &build.tags.floating {
        insert_tag(tx, id, TagClass::Floating, tag, None).await?;
    }
    Ok(Some(status::publishing()))
}

/// What the next build is compared with.
fn content(evidence: Option<&BuildEvidence>, build: &BuildSpec) -> Option<String> {
    Some(evidence?.content(build)?.to_string())
}

async fn insert_tag(
    tx: &mut SqliteConnection,
    image: ImageId,
    class: TagClass,
    tag: &Tag,
    put_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO image_tags (image_id, class, tag, put_at) VALUES ($1,$2,$3,$4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(image.0)
    .bind(class.as_str())
    .bind(tag.as_str())
    .bind(put_at.map(seconds))
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Whether what one job built is newer than what another one did: of the newer event, or of one
/// event the later job.
pub(super) async fn is_newer(
    tx: &mut SqliteConnection,
    one: JobId,
    other: JobId,
) -> Result<bool, StoreError> {
    let is_newer = sqlx::query_scalar(
        "SELECT (one_run.rank, one.id) > (other_run.rank, other.id) FROM jobs AS one \
         JOIN runs AS one_run ON one_run.id = one.run_id JOIN jobs AS other ON other.id = $2 \
         JOIN runs AS other_run ON other_run.id = other.run_id WHERE one.id = $1",
    )
    .bind(one.0)
    .bind(other.0)
    .fetch_one(tx)
    .await?;
    Ok(is_newer)
}

impl Store {
    /// Images that still want tags, oldest first, so that of several in one turn the newest has the
    /// last word. A job that came late has a high number and may be of an old event all the same.
    pub(crate) async fn publications(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Publication>, StoreError> {
        let rows = sqlx::query(
            "SELECT jobs.id AS id, jobs.tries AS tries, jobs.spec AS spec, images.id AS image, \
             images.reference AS reference, images.digest AS digest \
             FROM jobs JOIN images ON images.job_id = jobs.id JOIN runs ON runs.id = jobs.run_id \
             WHERE jobs.state = 'publishing' AND jobs.due_at <= $1 \
             ORDER BY runs.rank, jobs.id LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        let mut publications = Vec::with_capacity(rows.len());
        for mut publication in readable("image to tag", &rows, publication) {
            let image = publication.image;
            match self.open_tags(image).await {
                Ok(tags) => (publication.wanted, publication.forgone) = tags,
                // Without one of its tags it must not count as published.
                Err(StoreError::Corrupt(why)) => {
                    tracing::error!(image.id = %image, "a tag of image {image} cannot be read: {why}");
                    continue;
                }
                Err(error) => return Err(error),
            }
            publications.push(publication);
        }
        Ok(publications)
    }

    /// The tags that an image still wants, and those of them that a newer build has. A build of
    /// another release at the same place takes none but those of its own name.
    async fn open_tags(
        &self,
        image: ImageId,
    ) -> Result<(Vec<(TagClass, Tag)>, Vec<Tag>), StoreError> {
        let rows = sqlx::query(
            "SELECT wanted.class AS class, wanted.tag AS tag, wanted.class = 'floating' \
             AND EXISTS (SELECT 1 FROM images AS newer \
             JOIN image_tags AS moved ON moved.image_id = newer.id AND moved.tag = wanted.tag \
             JOIN jobs AS its_job ON its_job.id = newer.job_id \
             JOIN runs AS its_run ON its_run.id = its_job.run_id \
             WHERE newer.registry = images.registry AND newer.repository = images.repository \
             AND (its_run.rank, newer.job_id) > (runs.rank, images.job_id) \
             AND moved.class = 'floating' AND moved.put_at IS NOT NULL) AS is_overtaken \
             FROM image_tags AS wanted JOIN images ON images.id = wanted.image_id \
             JOIN jobs ON jobs.id = images.job_id JOIN runs ON runs.id = jobs.run_id \
             WHERE wanted.image_id = $1 AND wanted.put_at IS NULL \
             ORDER BY wanted.class = 'floating', wanted.rowid",
        )
        .bind(image.0)
        .fetch_all(&self.reader)
        .await?;
        let (mut wanted, mut forgone) = (Vec::new(), Vec::new());
        for row in &rows {
            let tag = Tag::parse(column(row, "tag")?)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            if column(row, "is_overtaken")? {
                forgone.push(tag);
            } else {
                wanted.push((parsed(row, "class")?, tag));
            }
        }
        Ok((wanted, forgone))
    }

    /// Writes that the registry may have the primary tag of a job's image from now on, whatever
    /// becomes of the job.
    pub(crate) async fn primary_begun(&self, job: JobId) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE nvrs SET state = 'begun' WHERE job_id = $1 AND state = 'reserved'")
            .bind(job.0)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Writes that the registry has a tag; whoever stands on it is to look.
    pub(crate) async fn tag_put(
        &self,
        image: ImageId,
        tag: &Tag,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let put = sqlx::query(
            "UPDATE image_tags SET put_at = $3 WHERE image_id = $1 AND tag = $2 AND put_at IS NULL",
        )
        .bind(image.0)
        .bind(tag.as_str())
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        if put.rows_affected() == 1 {
            record::tag_put(&mut tx, image, tag.as_str(), now).await?;
            let repository: String =
                sqlx::query_scalar("SELECT repository FROM images WHERE id = $1")
                    .bind(image.0)
                    .fetch_one(&mut *tx)
                    .await?;
            watched::hint(&mut tx, &repository, tag.as_str(), now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Gives up these floating tags of an image, which a newer one has.
    pub(crate) async fn forgo_tags(
        &self,
        image: ImageId,
        tags: &[Tag],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        record::tags_forgone(&mut tx, image, tags, now).await?;
        sqlx::query(
            "DELETE FROM image_tags WHERE image_id = $1 AND class = 'floating' AND put_at IS NULL \
             AND tag IN (SELECT value FROM json_each($2))",
        )
        .bind(image.0)
        .bind(to_json(&tags)?)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Ends the job of an image that has all its tags.
    pub(crate) async fn published(
        &self,
        publication: &Publication,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let sentence = status::built(publication.nvr.as_ref(), &publication.unique);
        let ending = Ending {
            outcome: workflows::state::Outcome::Success,
            fault: None,
            message: sentence.description.clone(),
            sentence,
        };
        let mut tx = self.write().await?;
        jobs::end(&mut tx, publication.job, &ending, now).await?;
        nodes::record(&mut tx, publication.job, now).await?;
        Ok(tx.commit().await?)
    }

    /// Puts the tagging of an image off because its registry does not answer.
    pub(crate) async fn defer_publication(
        &self,
        job: JobId,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE jobs SET tries = tries + 1, due_at = $2, message = $3 \
             WHERE id = $1 AND state = 'publishing'",
        )
        .bind(job.0)
        .bind(seconds(until))
        .bind(why)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

/// An image without its tags, which have rows of their own.
fn publication(row: &SqliteRow) -> Result<Publication, StoreError> {
    let corrupt = |error: ImageNameError| StoreError::Corrupt(error.to_string());
    let pushed = Reference::try_from(column::<String>(row, "reference")?).map_err(corrupt)?;
    let digest = Digest::try_from(column::<String>(row, "digest")?).map_err(corrupt)?;
    let spec: JobSpec = json(row, "spec")?;
    let unique = pushed.tag.clone();
    Ok(Publication {
        job: JobId(column(row, "id")?),
        image: ImageId(column(row, "image")?),
        source: pushed.at(&digest),
        digest,
        unique: unique.ok_or_else(|| StoreError::Corrupt("no unique tag".to_owned()))?,
        nvr: nodes::layered_build(&spec).and_then(|build| build.nvr.clone()),
        tries: column(row, "tries")?,
        wanted: Vec::new(),
        forgone: Vec::new(),
    })
}
