//! From a delivery to its event, exactly once.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Row, Sqlite, Transaction};
use workflows::event::Event;
use workflows::ids::DeliveryId;

use crate::store::{Store, StoreError, seconds};
use crate::webhook::why_skipped;

/// A delivery whose event is not recorded yet.
pub(crate) struct Undecoded {
    pub(crate) id: DeliveryId,
    pub(crate) forge: String,
    pub(crate) event_name: String,
    /// As the sender gave it.
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What a delivery turned out to mean.
pub(crate) struct Decoded {
    pub(crate) delivery: DeliveryId,
    pub(crate) forge: String,
    pub(crate) event: Event,
}

impl Store {
    /// The oldest deliveries without an event: at most `limit`, and no more after the one with
    /// which their bodies exceed `max_bytes`.
    pub(crate) async fn undecoded(
        &self,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<Undecoded>, StoreError> {
        let mut rows = sqlx::query(
            "SELECT id, forge, event_name, headers ->> 'content-type' AS content_type, body
             FROM deliveries WHERE state = 'waiting' ORDER BY id LIMIT ?",
        )
        .bind(limit)
        .fetch(&self.reader);
        let mut undecoded = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            let body: Vec<u8> = row.try_get("body")?;
            bytes += body.len();
            undecoded.push(Undecoded {
                id: DeliveryId(row.try_get("id")?),
                forge: row.try_get("forge")?,
                event_name: row.try_get("event_name")?,
                content_type: row.try_get("content_type")?,
                body,
            });
            if bytes > max_bytes {
                break;
            }
        }
        Ok(undecoded)
    }

    /// Records what deliveries mean, in one transaction, and marks them decoded. A delivery that
    /// was decoded already is left as it is. Returns how many events wait for intake.
    pub(crate) async fn record_decoded(
        &self,
        batch: &[Decoded],
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let mut transaction = self.write().await?;
        let mut new = 0;
        for decoded in batch {
            let marked = sqlx::query(
                "UPDATE deliveries SET state = 'decoded' WHERE id = ? AND state = 'waiting'",
            )
            .bind(decoded.delivery.0)
            .execute(&mut *transaction)
            .await?;
            if marked.rows_affected() == 1 {
                let standing = standing(&mut transaction, decoded).await?;
                new += usize::from(matches!(standing, Standing::New));
                record(&mut transaction, decoded, &standing, now).await?;
            }
        }
        transaction.commit().await?;
        Ok(new)
    }
}

/// The state of a fresh event.
enum Standing {
    /// Intake has to look.
    New,
    /// Causes nothing, for this reason.
    Skipped(String),
    /// Another event of the same identity came first; the reason names it.
    Duplicate(String),
}

async fn standing(
    transaction: &mut Transaction<'static, Sqlite>,
    decoded: &Decoded,
) -> Result<Standing, StoreError> {
    if let Some(identity) = decoded.event.identity() {
        let first = sqlx::query(
            "SELECT events.id, deliveries.delivery
             FROM events LEFT JOIN deliveries ON deliveries.id = events.delivery_id
             WHERE events.forge = ? AND events.identity = ? AND events.state <> 'duplicate'",
        )
        .bind(&decoded.forge)
        .bind(identity)
        .fetch_optional(&mut **transaction)
        .await?;
        if let Some(row) = first {
            let id: i64 = row.try_get("id")?;
            let source = match row.try_get::<Option<String>, _>("delivery")? {
                Some(delivery) => format!("delivery {delivery}"),
                None => "no delivery".to_owned(),
            };
            return Ok(Standing::Duplicate(format!("the same as event {id} of {source}")));
        }
    }
    Ok(match why_skipped(&decoded.event) {
        Some(reason) => Standing::Skipped(reason.into_owned()),
        None => Standing::New,
    })
}

async fn record(
    transaction: &mut Transaction<'static, Sqlite>,
    decoded: &Decoded,
    standing: &Standing,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (state, reason) = match standing {
        Standing::New => ("new", None),
        Standing::Skipped(reason) => ("skipped", Some(reason)),
        Standing::Duplicate(reason) => ("duplicate", Some(reason)),
    };
    let event = serde_json::to_string(&decoded.event)
        .map_err(|error| StoreError::Corrupt(format!("event cannot be written: {error}")))?;
    sqlx::query(
        "INSERT INTO events
             (forge, delivery_id, kind, repository, identity, event, created_at, state, reason)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&decoded.forge)
    .bind(decoded.delivery.0)
    .bind(decoded.event.kind())
    .bind(decoded.event.repository().map(|name| name.as_str()))
    .bind(decoded.event.identity())
    .bind(event)
    .bind(seconds(now))
    .bind(state)
    .bind(reason)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
