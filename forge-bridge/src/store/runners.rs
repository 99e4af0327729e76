//! Registered runners; only the hash of a credential is kept.

use chrono::{DateTime, Utc};
use workflows::ids::RunnerId;
use workflows::protocol::Register;

use super::row::{column, to_json};
use super::{Store, StoreError, at, seconds};

impl Store {
    /// Registers a runner, or gives a known name a new credential; then it also tells when somebody
    /// of that name asked for work last.
    pub(crate) async fn register_runner(
        &self,
        register: &Register,
        credential_sha256: &str,
        now: DateTime<Utc>,
    ) -> Result<(RunnerId, Option<DateTime<Utc>>), StoreError> {
        let mut tx = self.write().await?;
        let seen_at: Option<i64> =
            sqlx::query_scalar("SELECT seen_at FROM runners WHERE name = $1")
                .bind(&register.name)
                .fetch_optional(&mut *tx)
                .await?;
        let row = sqlx::query(
            "INSERT INTO runners (name, credential_sha256, labels, slots, version, registered_at, \
             seen_at) VALUES ($1,$2,$3,$4,$5,$6,$6) ON CONFLICT (name) DO UPDATE SET \
             credential_sha256 = excluded.credential_sha256, labels = excluded.labels, \
             slots = excluded.slots, version = excluded.version, \
             registered_at = excluded.registered_at, seen_at = excluded.seen_at RETURNING id",
        )
        .bind(&register.name)
        .bind(credential_sha256)
        .bind(to_json(&register.labels)?)
        .bind(register.slots)
        .bind(&register.version)
        .bind(seconds(now))
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok((RunnerId(column(&row, "id")?), seen_at.map(at)))
    }

    /// The runner with this credential. The hash is the key of the look-up: a search by it tells
    /// a guesser nothing about the credential itself.
    pub(crate) async fn runner_with(
        &self,
        credential_sha256: &str,
    ) -> Result<Option<RunnerId>, StoreError> {
        let id: Option<i64> =
            sqlx::query_scalar("SELECT id FROM runners WHERE credential_sha256 = $1")
                .bind(credential_sha256)
                .fetch_optional(&self.reader)
                .await?;
        Ok(id.map(RunnerId))
    }

    /// Notes that a runner asked for work.
    pub(crate) async fn runner_seen(
        &self,
        runner: RunnerId,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE runners SET seen_at = $2 WHERE id = $1")
            .bind(runner.0)
            .bind(seconds(now))
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}
