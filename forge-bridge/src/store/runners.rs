//! Registered runners; only the hash of a credential is kept.

use chrono::{DateTime, Utc};
use workflows::ids::RunnerId;
use workflows::protocol::{LEASE_SECONDS, Register};

use super::row::{column, to_json};
use super::{Store, StoreError, seconds};

/// How long a name is its runner's after that was last heard of, in seconds: longer than a request
/// for a job waits, and than a heartbeat takes to come.
pub(crate) const NAME_HELD_SECONDS: i64 = 60;

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// The runner is known by this number.
    Made(RunnerId),
    /// Another one of that name lives: it was heard of so many seconds ago.
    NameHeld(i64),
}

impl Store {
    /// Registers a runner, or gives the name of one that is not heard of any more to another. One
    /// that has registered and asked for nothing yet may do so again: it may not have heard that it
    /// was registered.
    pub(crate) async fn register_runner(
        &self,
        register: &Register,
        credential_sha256: &str,
        now: DateTime<Utc>,
    ) -> Result<Registration, StoreError> {
        let mut tx = self.write().await?;
        // One whose slots are all taken asks for nothing, and its heartbeats extend its leases.
        let heard_at: Option<i64> = sqlx::query_scalar(
            "SELECT max(CASE WHEN seen_at > registered_at THEN seen_at ELSE 0 END, \
             coalesce((SELECT max(lease_expires_at) FROM jobs \
             WHERE state = 'leased' AND runner_id = runners.id), 0) - $2) \
             FROM runners WHERE name = $1",
        )
        .bind(&register.name)
        .bind(LEASE_SECONDS)
        .fetch_optional(&mut *tx)
        .await?;
        let silence = heard_at.map(|heard_at| (seconds(now) - heard_at).max(0));
        if let Some(silence) = silence.filter(|silence| *silence <= NAME_HELD_SECONDS) {
            return Ok(Registration::NameHeld(silence));
        }
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
        Ok(Registration::Made(RunnerId(column(&row, "id")?)))
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

    /// Notes that a runner asked for work, which is later than it was registered.
    pub(crate) async fn runner_seen(
        &self,
        runner: RunnerId,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE runners SET seen_at = max($2, registered_at + 1) WHERE id = $1")
            .bind(runner.0)
            .bind(seconds(now))
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}
