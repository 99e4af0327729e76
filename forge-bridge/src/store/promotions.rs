//! Promotions: who gave which image the stable tags of its release, and how far that is.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use workflows::ids::{ImageId, JobId};
use workflows::image::{Digest, Reference, Tag, TagClass};
use workflows::state::PromotionState;

use super::row::{column, json, parsed, readable, to_json};
use super::{Store, StoreError, at, images, record, seconds, watched};
use crate::views::Promoted;

/// Most promotions of one image that are told, the newest of them.
const MAX_TOLD: u32 = 100;

/// A wish to promote what a job built.
#[derive(Debug, Clone)]
pub(crate) struct NewPromotion {
    pub(crate) job: JobId,
    pub(crate) tags: Vec<Tag>,
    pub(crate) by: String,
    pub(crate) reason: String,
    /// Whether the tags may go back to an older build.
    pub(crate) back: bool,
}

/// What became of such a wish.
#[derive(Debug)]
pub(crate) enum Promoting {
    /// It is written, or was before: the same image has the same tags, or is about to.
    Written(Promoted),
    /// A newer build has the tags; this is its NVR.
    Older(String),
    /// The job left no image.
    NoImage,
}

/// A promotion whose tags the registry has not got yet.
#[derive(Debug)]
pub(crate) struct DuePromotion {
    pub(crate) id: i64,
    pub(crate) image: ImageId,
    /// By digest.
    pub(crate) source: Reference,
    pub(crate) digest: Digest,
    pub(crate) tags: Vec<Tag>,
    pub(crate) tries: u32,
}

/// Whether a newer promotion, done or under way, has the tag of a row `tag` that a row `p` of
/// `promotions` moves.
const IS_TAKEN: &str = "EXISTS (SELECT 1 FROM promotions AS newer \
     JOIN promotion_progress AS its ON its.promotion_id = newer.id \
     WHERE newer.registry = p.registry AND newer.repository = p.repository AND newer.id > p.id \
     AND its.state IN ('due', 'done') \
     AND tag.value IN (SELECT value FROM json_each(newer.tags)))";

/// A promotion that is the newest of one of its tags, done or under way.
struct Newest {
    id: i64,
    job: JobId,
    nvr: String,
    tags: Vec<Tag>,
    /// Whether another one of its tags was asked for since, however that ended.
    is_followed: bool,
}

impl Store {
    /// Appends a promotion. One that is under way leaves it the tags that both move, and is overtaken
    /// when it has no other: releases with tags of their own may push to one place.
    pub(crate) async fn promote(
        &self,
        new: &NewPromotion,
        now: DateTime<Utc>,
    ) -> Result<Promoting, StoreError> {
        let mut tx = self.write().await?;
        let Some(image) = image_of(&mut tx, new.job).await? else { return Ok(Promoting::NoImage) };
        let (registry, repository): (&str, &str) =
            (column(&image, "registry")?, column(&image, "repository")?);
        let holders = newest(&mut tx, (registry, repository), &new.tags).await?;
        let is_known = |newest: &&Newest| {
            newest.job == new.job && newest.tags == new.tags && !newest.is_followed
        };
        if let Some(known) = holders.first().filter(is_known) {
            return Ok(Promoting::Written(one(&mut tx, known.id).await?));
        }
        for holder in holders.into_iter().filter(|_| !new.back) {
            if images::is_newer(&mut tx, holder.job, new.job).await? {
                return Ok(Promoting::Older(holder.nvr));
            }
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO promotions (image_id, registry, repository, tags, asked_by, reason, \
             asked_at) VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING id",
        )
        .bind(column::<i64>(&image, "id")?)
        .bind(registry)
        .bind(repository)
        .bind(to_json(&new.tags)?)
        .bind(&new.by)
        .bind(&new.reason)
        .bind(seconds(now))
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query("INSERT INTO promotion_progress (promotion_id) VALUES ($1)")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        overtake(&mut tx, registry, repository, now).await?;
        let promoted = one(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Promoting::Written(promoted))
    }

    /// Promotions that are due, oldest first, with those of their tags that no newer one has.
    pub(crate) async fn promotions_due(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DuePromotion>, StoreError> {
        let sql = format!(
            "SELECT p.id, p.image_id, s.tries, i.reference, i.digest, \
             (SELECT json_group_array(tag.value) FROM json_each(p.tags) AS tag \
             WHERE NOT {IS_TAKEN}) AS tags \
             FROM promotion_progress s JOIN promotions p ON p.id = s.promotion_id \
             JOIN images i ON i.id = p.image_id \
             WHERE s.state = 'due' AND s.due_at <= $1 ORDER BY p.id LIMIT $2",
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(seconds(now))
            .bind(limit)
            .fetch_all(&self.reader)
            .await?;
        Ok(readable("promotion", &rows, due))
    }

    /// Writes that the registry has a stable tag, and that no other image of the repository has
    /// it any more; whoever stands on it is to look. Nothing, when a newer promotion has it.
    pub(crate) async fn stable_tag_put(
        &self,
        promotion: &DuePromotion,
        tag: &Tag,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if !is_due(&mut tx, promotion.id, tag).await? {
            return Ok(());
        }
        let Reference { registry, repository, .. } = &promotion.source;
        sqlx::query(
            "DELETE FROM image_tags WHERE class = $1 AND tag = $2 AND image_id <> $3 \
             AND image_id IN (SELECT id FROM images WHERE registry = $4 AND repository = $5)",
        )
        .bind(TagClass::Stable.as_str())
        .bind(tag.as_str())
        .bind(promotion.image.0)
        .bind(registry)
        .bind(repository)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO image_tags (image_id, class, tag, put_at) VALUES ($1,$2,$3,$4) \
             ON CONFLICT (image_id, tag) DO UPDATE SET put_at = excluded.put_at",
        )
        .bind(promotion.image.0)
        .bind(TagClass::Stable.as_str())
        .bind(tag.as_str())
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        record::tag_put(&mut tx, promotion.image, tag.as_str(), now).await?;
        watched::hint(&mut tx, repository, tag.as_str(), now).await?;
        Ok(tx.commit().await?)
    }

    /// Ends a promotion that is due: done, or refused for a reason.
    pub(crate) async fn end_promotion(
        &self,
        id: i64,
        state: PromotionState,
        message: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE promotion_progress SET state = $2, message = $3, ended_at = $4 \
             WHERE promotion_id = $1 AND state = 'due'",
        )
        .bind(id)
        .bind(state.as_str())
        .bind(message)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Puts a promotion off because its registry does not take a tag now.
    pub(crate) async fn defer_promotion(
        &self,
        id: i64,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE promotion_progress SET tries = tries + 1, due_at = $2, message = $3 \
             WHERE promotion_id = $1 AND state = 'due'",
        )
        .bind(id)
        .bind(seconds(until))
        .bind(why)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

/// What is told of one promotion.
const TOLD: &str = "SELECT p.*, s.state, s.message, s.ended_at, i.digest FROM promotions p \
     JOIN promotion_progress s ON s.promotion_id = p.id JOIN images i ON i.id = p.image_id";

/// The promotions of what a job built, oldest first.
pub(super) async fn of_job(
    tx: &mut SqliteConnection,
    job: JobId,
) -> Result<Vec<Promoted>, StoreError> {
    let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(TOLD);
    query.push(" WHERE i.job_id = ").push_bind(job.0);
    query.push(" ORDER BY p.id DESC LIMIT ").push_bind(MAX_TOLD);
    let rows = query.build().fetch_all(tx).await?;
    rows.iter().rev().map(promoted).collect()
}

async fn one(tx: &mut SqliteConnection, id: i64) -> Result<Promoted, StoreError> {
    let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(TOLD);
    query.push(" WHERE p.id = ").push_bind(id);
    promoted(&query.build().fetch_one(tx).await?)
}

async fn image_of(tx: &mut SqliteConnection, job: JobId) -> Result<Option<SqliteRow>, StoreError> {
    let query = sqlx::query("SELECT id, registry, repository FROM images WHERE job_id = $1");
    Ok(query.bind(job.0).fetch_optional(tx).await?)
}

/// Of each of these tags the newest promotion that is done or under way, the newest of all first.
/// One that was refused does not count, though it may have put some of its tags before.
async fn newest(
    tx: &mut SqliteConnection,
    (registry, repository): (&str, &str),
    tags: &[Tag],
) -> Result<Vec<Newest>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.id, p.tags, i.job_id, i.nvr, EXISTS (SELECT 1 FROM promotions AS later \
         JOIN json_each(later.tags) AS its_tag WHERE later.registry = p.registry \
         AND later.repository = p.repository AND later.id > p.id \
         AND its_tag.value IN (SELECT value FROM json_each(p.tags))) AS is_followed \
         FROM promotions p \
         JOIN images i ON i.id = p.image_id WHERE p.id IN (SELECT \
         (SELECT max(holder.id) FROM promotions AS holder \
         JOIN promotion_progress AS its ON its.promotion_id = holder.id \
         WHERE holder.registry = $1 AND holder.repository = $2 AND its.state IN ('due', 'done') \
         AND tag.value IN (SELECT value FROM json_each(holder.tags))) \
         FROM json_each($3) AS tag) ORDER BY p.id DESC",
    )
    .bind(registry)
    .bind(repository)
    .bind(to_json(&tags)?)
    .fetch_all(tx)
    .await?;
    let newest = |row: &SqliteRow| {
        Ok(Newest {
            id: column(row, "id")?,
            job: JobId(column(row, "job_id")?),
            nvr: row.try_get::<Option<String>, _>("nvr")?.unwrap_or_default(),
            tags: json(row, "tags")?,
            is_followed: column(row, "is_followed")?,
        })
    };
    rows.iter().map(newest).collect()
}

/// Ends those that are due and whose tags are all taken.
async fn overtake(
    tx: &mut SqliteConnection,
    registry: &str,
    repository: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE promotion_progress SET state = $3, ended_at = $4 WHERE state = 'due' \
         AND promotion_id IN (SELECT p.id FROM promotions p \
         WHERE p.registry = $1 AND p.repository = $2 \
         AND NOT EXISTS (SELECT 1 FROM json_each(p.tags) AS tag WHERE NOT {IS_TAKEN}))",
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(registry)
        .bind(repository)
        .bind(PromotionState::Overtaken.as_str())
        .bind(seconds(now))
        .execute(tx)
        .await?;
    Ok(())
}

/// Whether a promotion is to move this tag.
async fn is_due(tx: &mut SqliteConnection, id: i64, tag: &Tag) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT 1 FROM promotion_progress JOIN promotions p ON p.id = promotion_id \
         JOIN json_each(p.tags) AS tag \
         WHERE promotion_id = $1 AND state = 'due' AND tag.value = $2 AND NOT {IS_TAKEN}"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(tag.as_str());
    Ok(query.fetch_optional(tx).await?.is_some())
}

fn due(row: &SqliteRow) -> Result<DuePromotion, StoreError> {
    let corrupt = |error: workflows::image::ImageNameError| StoreError::Corrupt(error.to_string());
    let pushed = Reference::try_from(column::<String>(row, "reference")?).map_err(corrupt)?;
    let digest = Digest::try_from(column::<String>(row, "digest")?).map_err(corrupt)?;
    Ok(DuePromotion {
        id: column(row, "id")?,
        image: ImageId(column(row, "image_id")?),
        source: pushed.at(&digest),
        digest,
        tags: json(row, "tags")?,
        tries: column(row, "tries")?,
    })
}

fn promoted(row: &SqliteRow) -> Result<Promoted, StoreError> {
    let tags: Vec<Tag> = json(row, "tags")?;
    let name =
        format!("{}/{}", column::<&str>(row, "registry")?, column::<&str>(row, "repository")?);
    Ok(Promoted {
        id: column(row, "id")?,
        references: tags.iter().map(|tag| format!("{name}:{tag}")).collect(),
        digest: column(row, "digest")?,
        by: column(row, "asked_by")?,
        reason: column(row, "reason")?,
        at: at(column(row, "asked_at")?),
        state: parsed(row, "state")?,
        message: column(row, "message")?,
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(at),
    })
}
