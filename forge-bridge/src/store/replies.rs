//! Answers to comments, to be posted once.

use chrono::{DateTime, Utc};
use workflows::ids::EventId;
use workflows::names::RepositoryName;

use super::pulls::PullKey;
use super::row::{column, parsed};
use super::{Store, StoreError, seconds};

/// Most answers on one pull request: strangers can make us speak, and a person's own project
/// never gets near it.
const MAX_REPLIES_OF_PULL: i64 = 100;

/// An answer that is due.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) id: i64,
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) number: u64,
    pub(crate) body: String,
    pub(crate) tries: u32,
}

impl Store {
    /// Stores the answer to an event, once for each event.
    pub(crate) async fn reply(
        &self,
        key: &PullKey,
        event: EventId,
        body: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO replies (event_id, forge, repository, number, body) \
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM replies \
             WHERE forge = $2 AND repository = $3 AND number = $4) < $6 ON CONFLICT DO NOTHING",
        )
        .bind(event.0)
        .bind(&key.forge)
        .bind(key.repository.as_str())
        .bind(i64::try_from(key.number).unwrap_or(i64::MAX))
        .bind(body)
        .bind(MAX_REPLIES_OF_PULL)
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
            "SELECT id, forge, repository, number, body, tries FROM replies \
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
                    tries: column(row, "tries")?,
                })
            })
            .collect()
    }

    /// Says that a post begins. After a crash in the middle nobody knows whether the forge has it,
    /// and no answer is better than two.
    pub(crate) async fn reply_begun(&self, reply: &Reply) -> Result<(), StoreError> {
        self.set_reply(reply, "begun", None, 0).await
    }

    /// The forge has it.
    pub(crate) async fn reply_told(&self, reply: &Reply) -> Result<(), StoreError> {
        self.set_reply(reply, "told", None, 0).await
    }

    /// The forge has certainly not taken it; it is due again then.
    pub(crate) async fn defer_reply(
        &self,
        reply: &Reply,
        until: DateTime<Utc>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.set_reply(reply, "waiting", Some(why), seconds(until)).await
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
        self.set_reply(reply, "refused", Some(why), 0).await
    }

    async fn set_reply(
        &self,
        reply: &Reply,
        state: &str,
        why: Option<&str>,
        due_at: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE replies SET state = $2, reason = $3, due_at = $4, \
             tries = tries + ($2 = 'waiting') WHERE id = $1",
        )
        .bind(reply.id)
        .bind(state)
        .bind(why)
        .bind(due_at)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}
