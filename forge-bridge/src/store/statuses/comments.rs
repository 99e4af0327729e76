//! Comments that stand in for statuses which a forge refused: each is said once.

use chrono::{DateTime, Utc};
use workflows::status::Sentence;

use super::StatusBehind;
use crate::store::row::{column, parsed};
use crate::store::{Store, StoreError, at, seconds};

/// Most jobs of a run that a comment tells of.
pub(crate) const MAX_TOLD: u32 = 50;

/// How far a comment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comment {
    /// Nobody had begun it; it is begun now.
    New,
    /// It was begun then, and nobody knows whether the forge has it.
    Begun(DateTime<Utc>),
    /// The forge has it.
    Said,
}

impl Store {
    /// Begins a comment with this marker, unless somebody has.
    pub(crate) async fn begin_comment(
        &self,
        marker: &str,
        now: DateTime<Utc>,
    ) -> Result<Comment, StoreError> {
        let mut tx = self.write().await?;
        let known = sqlx::query("SELECT begun_at, said FROM status_comments WHERE marker = $1")
            .bind(marker)
            .fetch_optional(&mut *tx)
            .await?;
        let comment = match known {
            Some(row) if column(&row, "said")? => Comment::Said,
            Some(row) => Comment::Begun(at(column(&row, "begun_at")?)),
            None => {
                sqlx::query("INSERT INTO status_comments (marker, begun_at) VALUES ($1, $2)")
                    .bind(marker)
                    .bind(seconds(now))
                    .execute(&mut *tx)
                    .await?;
                Comment::New
            }
        };
        tx.commit().await?;
        Ok(comment)
    }

    /// The forge has the comment.
    pub(crate) async fn comment_said(&self, marker: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE status_comments SET said = 1 WHERE marker = $1")
            .bind(marker)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// The forge has certainly not taken the comment; it may be begun again.
    pub(crate) async fn comment_failed(&self, marker: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM status_comments WHERE marker = $1 AND NOT said")
            .bind(marker)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// What the jobs of a status's run say, each with its context, and how many there are.
    pub(crate) async fn words_of_run(
        &self,
        status: &StatusBehind,
    ) -> Result<(Vec<(String, Sentence)>, u64), StoreError> {
        let rows = sqlx::query(
            "SELECT s.context, c.state, c.description, count(*) OVER () AS total \
             FROM statuses s JOIN status_claims c ON c.status_id = s.id AND c.run_id = $3 \
             WHERE (s.forge, s.repository, s.commit_id) = \
             (SELECT forge, repository, commit_id FROM statuses WHERE id = $1) \
             ORDER BY s.id LIMIT $2",
        )
        .bind(status.id)
        .bind(MAX_TOLD)
        .bind(status.run.0)
        .fetch_all(&self.reader)
        .await?;
        let total: i64 = rows.first().map_or(Ok(0), |row| column(row, "total"))?;
        let words = rows
            .iter()
            .map(|row| {
                let (state, description) = (parsed(row, "state")?, column(row, "description")?);
                let sentence = Sentence { state, description };
                Ok((column(row, "context")?, sentence))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok((words, total.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_comment_is_begun_once_and_again_only_when_it_is_certainly_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
        let now = at(1_800_000_000);
        let later = now + chrono::TimeDelta::minutes(1);
        assert_eq!(store.begin_comment("a", now).await.unwrap(), Comment::New);
        assert_eq!(store.begin_comment("a", later).await.unwrap(), Comment::Begun(now));
        store.comment_failed("a").await.unwrap();
        assert_eq!(store.begin_comment("a", later).await.unwrap(), Comment::New);
        store.comment_said("a").await.unwrap();
        store.comment_failed("a").await.unwrap();
        assert_eq!(store.begin_comment("a", later).await.unwrap(), Comment::Said);
        assert_eq!(store.begin_comment("b", later).await.unwrap(), Comment::New);
    }
}
