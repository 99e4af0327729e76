//! From a delivery to its event, exactly once.

use std::borrow::Cow;
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use workflows::event::Event;
use workflows::ids::DeliveryId;

use crate::store::{Store, StoreError, seconds, sweep};
use crate::webhook::why_skipped;

/// A delivery whose event is not recorded yet.
pub(crate) struct Undecoded {
    pub(crate) id: DeliveryId,
    pub(crate) forge: String,
    pub(crate) event_name: String,
    /// As the sender gave it.
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Made up by a sweep: the body is an event of ours, and no forge's.
    pub(crate) is_swept: bool,
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
            "SELECT id, forge, event_name, headers ->> 'content-type' AS content_type, body,
                    source = 'sweep' AS is_swept
             FROM deliveries WHERE id > (SELECT decoded_up_to FROM decoding)
             ORDER BY id LIMIT ?",
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
                is_swept: row.try_get("is_swept")?,
                body,
            });
            if bytes > max_bytes {
                break;
            }
        }
        Ok(undecoded)
    }

    /// Records what the oldest deliveries that wait mean, in one transaction. A delivery that was
    /// decoded already is left as it is. Returns how many events wait for intake.
    pub(crate) async fn record_decoded(
        &self,
        batch: &[Decoded],
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let mut transaction = self.write().await?;
        let decoded_up_to: i64 = sqlx::query_scalar("SELECT decoded_up_to FROM decoding")
            .fetch_one(&mut *transaction)
            .await?;
        let done = batch.iter().take_while(|one| one.delivery.0 <= decoded_up_to).count();
        let mut new = 0;
        let mut rest = &batch[done..];
        while !rest.is_empty() {
            let (part, later) = rest.split_at(of_different_identity(rest));
            new += record(&mut transaction, part, now).await?;
            rest = later;
        }
        if let Some(last) = batch[done..].last() {
            sqlx::query("UPDATE decoding SET decoded_up_to = ?")
                .bind(last.delivery.0)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(new)
    }
}

/// How many of these, from the first, have an identity that none before them has: they can be
/// recorded together, and the next one can name the event that it repeats.
fn of_different_identity(batch: &[Decoded]) -> usize {
    let mut known = HashSet::new();
    let is_first = |one: &Decoded| {
        one.event.identity().is_none_or(|identity| known.insert((one.forge.clone(), identity)))
    };
    batch.iter().map(is_first).position(|first| !first).unwrap_or(batch.len())
}

/// A row of `events`, as the database reads it from JSON: one statement for a batch, since each
/// costs a change of threads, for which webhooks wait.
#[derive(Serialize)]
struct EventRow<'a> {
    forge: &'a str,
    delivery: i64,
    kind: &'static str,
    repository: Option<&'a str>,
    identity: Option<String>,
    event: String,
    state: &'static str,
    reason: Option<String>,
}

impl<'a> EventRow<'a> {
    fn of(decoded: &'a Decoded) -> Result<Self, StoreError> {
        let reason = why_skipped(&decoded.event).map(Cow::into_owned);
        Ok(Self {
            forge: &decoded.forge,
            delivery: decoded.delivery.0,
            kind: decoded.event.kind(),
            repository: decoded.event.repository().map(|name| name.as_str()),
            identity: decoded.event.identity(),
            event: json(&decoded.event)?,
            state: if reason.is_none() { "new" } else { "skipped" },
            reason,
        })
    }
}

/// Records events of different identities; returns how many of them intake has to look at.
async fn record(
    transaction: &mut Transaction<'static, Sqlite>,
    batch: &[Decoded],
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let mut rows = batch.iter().map(EventRow::of).collect::<Result<Vec<_>, _>>()?;
    for (delivery, reason) in repetitions(transaction, &json(&rows)?).await? {
        if let Some(row) = rows.iter_mut().find(|row| row.delivery == delivery) {
            row.state = "duplicate";
            row.reason = Some(reason);
        }
    }
    sqlx::query(
        "INSERT INTO events
             (forge, delivery_id, kind, repository, identity, event, created_at, state, reason)
         SELECT value ->> 'forge', value ->> 'delivery', value ->> 'kind', value ->> 'repository',
                value ->> 'identity', value ->> 'event', ?, value ->> 'state', value ->> 'reason'
         FROM json_each(?) ORDER BY key",
    )
    .bind(seconds(now))
    .bind(json(&rows)?)
    .execute(&mut **transaction)
    .await?;
    sweep::watch(transaction, &json(&rows)?).await?;
    Ok(rows.iter().filter(|row| row.state == "new").count())
}

/// Those of the rows whose event came before, each with words that name the first.
async fn repetitions(
    transaction: &mut Transaction<'static, Sqlite>,
    rows: &str,
) -> Result<Vec<(i64, String)>, StoreError> {
    let found = sqlx::query(
        "SELECT new.value ->> 'delivery' AS repetition, events.id, deliveries.delivery
         FROM json_each(?) AS new
         JOIN events ON events.forge = new.value ->> 'forge'
                    AND events.identity = new.value ->> 'identity'
                    AND events.identity IS NOT NULL AND events.state <> 'duplicate'
         LEFT JOIN deliveries ON deliveries.id = events.delivery_id",
    )
    .bind(rows)
    .fetch_all(&mut **transaction)
    .await?;
    let in_words = |row: &SqliteRow| {
        let id: i64 = row.try_get("id")?;
        let source = match row.try_get::<Option<String>, _>("delivery")? {
            Some(delivery) => format!("delivery {delivery}"),
            None => "no delivery".to_owned(),
        };
        Ok((row.try_get("repetition")?, format!("the same as event {id} of {source}")))
    };
    found.iter().map(in_words).collect()
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Corrupt(format!("event cannot be written: {error}")))
}
