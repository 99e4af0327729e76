//! Builds and runs that people ask for: stored first, as a delivery is, and planned by intake.

use chrono::{DateTime, Utc};
use sqlx::Row;
use workflows::event::Event;
use workflows::ids::EventId;
use workflows::names::RepositoryName;

use super::row::{json, to_json};
use super::{Store, StoreError, seconds};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// It is on disk now.
    Stored(EventId),
    /// The same was asked before with this key; nothing changed.
    Known(EventId),
    /// Something else was asked before with this key; nothing changed.
    Other(EventId),
}

impl Store {
    /// Stores a request, once for each key.
    pub(crate) async fn ask(
        &self,
        forge: &str,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<Asking, StoreError> {
        let mut tx = self.write().await?;
        let known = sqlx::query(
            "SELECT id, event FROM events \
             WHERE forge = $1 AND identity = $2 AND state <> 'duplicate'",
        )
        .bind(forge)
        .bind(event.identity())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = known {
            let id = EventId(row.try_get("id")?);
            let before: Event = json(&row, "event")?;
            return Ok(if before == *event { Asking::Known(id) } else { Asking::Other(id) });
        }
        let id = sqlx::query_scalar(
            "INSERT INTO events (forge, kind, repository, identity, event, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(forge)
        .bind(event.kind())
        .bind(event.repository().map(RepositoryName::as_str))
        .bind(event.identity())
        .bind(to_json(event)?)
        .bind(seconds(now))
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Asking::Stored(EventId(id)))
    }
}
