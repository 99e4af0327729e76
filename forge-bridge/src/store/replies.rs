//! Answers to comments, to be posted once.

use chrono::{DateTime, Utc};
use workflows::ids::EventId;
use workflows::names::RepositoryName;

use super::pulls::PullKey;
use super::row::{column, parsed};
use super::{Store, StoreError, at, seconds};

/// Most answers on one pull request: strangers can make us speak, and a person's own project
/// never gets near it.
const MAX_REPLIES_OF_PULL: i64 = 100;
/// How many answers there may be before none more goes to people who may do nothing there.
const MAX_REPLIES_TO_STRANGERS: i64 = 20;

/// What is answered, and to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answered {
    /// Something was done.
    Done,
    /// Nothing was done. The same is said once to the same person since this event, which told the
    /// head.
    Refused {
        /// What was said before it was said of another head.
        since: EventId,
        /// Whether neither the author asked nor who may write.
        is_stranger: bool,
    },
}

/// An answer that is due.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) id: i64,
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) number: u64,
    pub(crate) body: String,
    /// Stands hidden in the text that is posted, and in no other.
    pub(crate) marker: String,
    pub(crate) tries: u32,
    /// When a post began that was never answered: the forge may have it.
    pub(crate) unsure_since: Option<DateTime<Utc>>,
}

impl Store {
    /// Stores the answer to an event, once for each event.
    pub(crate) async fn reply(
        &self,
        key: &PullKey,
        event: EventId,
        body: &str,
        answered: Answered,
    ) -> Result<(), StoreError> {
        let (max, since) = match answered {
            Answered::Done => (MAX_REPLIES_OF_PULL, i64::MAX),
            Answered::Refused { since, is_stranger: false } => (MAX_REPLIES_OF_PULL, since.0),
            Answered::Refused { since, is_stranger: true } => (MAX_REPLIES_TO_STRANGERS, since.0),
        };
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO replies (event_id, forge, repository, number, body, marker) \
             SELECT $1, $2, $3, $4, $5, lower(hex(randomblob(16))) WHERE (SELECT count(*) FROM replies \
             WHERE forge = $2 AND repository = $3 AND number = $4) < $6 \
             AND NOT EXISTS (SELECT 1 FROM replies WHERE forge = $2 AND repository = $3 \
             AND number = $4 AND body = $5 AND event_id > $7) ON CONFLICT DO NOTHING",
        )
        .bind(event.0)
        .bind(&key.forge)
        .bind(key.repository.as_str())
        .bind(i64::try_from(key.number).unwrap_or(i64::MAX))
        .bind(body)
        .bind(max)
        .bind(since)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Answers to post, oldest first.
    pub(crate) async fn replies_due(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Reply>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, forge, repository, number, body, marker, tries, unsure_since FROM replies \
             WHERE state = 'waiting' AND due_at <= $1 ORDER BY id LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let number: i64 = column(row, "number")?;
                Ok(Reply {
                    id: column(row, "id")?,
                    forge: column(row, "forge")?,
                    repository: parsed(row, "repository")?,
                    number: number.unsigned_abs(),
                    body: column(row, "body")?,
                    marker: column(row, "marker")?,
                    tries: column(row, "tries")?,
                    unsure_since: column::<Option<i64>>(row, "unsure_since")?.map(at),
                })
            })
            .collect()
    }

    /// Says that a post begins. After a crash in the middle nobody knows whether the forge has it.
    pub(crate) async fn reply_begun(
        &self,
        reply: &Reply,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE replies SET state = 'begun', due_at = 0, \
             unsure_since = COALESCE(unsure_since, $2) WHERE id = $1",
        )
        .bind(reply.id)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Makes those due again whose post a crash cut short. One without a marker cannot be looked
    /// for, and no answer is better than two.
    pub(crate) async fn resume_replies(&self) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE replies SET state = CASE marker WHEN '' THEN 'refused' ELSE 'waiting' END, \
             reason = 'a crash cut its post short' WHERE state = 'begun'",
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The forge has it.
    pub(crate) async fn reply_told(&self, reply: &Reply) -> Result<(), StoreError> {
        self.end_reply(reply, "told", None).await
    }

    /// The forge does not say that it has it; it is due again then. `may_be_done` when it may have
    /// it all the same.
    pub(crate) async fn defer_reply(
        &self,
        reply: &Reply,
        until: DateTime<Utc>,
        may_be_done: bool,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        // What was unsure before stays so.
        sqlx::query(
            "UPDATE replies SET state = 'waiting', reason = $2, due_at = $3, tries = tries + 1, \
             unsure_since = CASE WHEN $4 THEN unsure_since ELSE $5 END WHERE id = $1",
        )
        .bind(reply.id)
        .bind(why)
        .bind(seconds(until))
        .bind(may_be_done)
        .bind(reply.unsure_since.map(seconds))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Nobody tried it, because the forge is to be left alone until then.
    pub(crate) async fn postpone_reply(
        &self,
        reply: &Reply,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE replies SET due_at = $2 WHERE id = $1 AND state = 'waiting'")
            .bind(reply.id)
            .bind(seconds(until))
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// The forge will not take it.
    pub(crate) async fn refuse_reply(&self, reply: &Reply, why: &str) -> Result<(), StoreError> {
        self.end_reply(reply, "refused", Some(why)).await
    }

    async fn end_reply(
        &self,
        reply: &Reply,
        state: &str,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE replies SET state = $2, reason = $3, due_at = 0 WHERE id = $1")
            .bind(reply.id)
            .bind(state)
            .bind(why)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}
