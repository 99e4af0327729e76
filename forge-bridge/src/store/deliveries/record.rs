//! From a delivery to its event, exactly once.

use std::borrow::Cow;
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::{Row, Sqlite, Transaction};
use workflows::event::{Event, Landing};
use workflows::ids::DeliveryId;

use super::repetition::{self, PlaceKey};
use crate::store::row::to_json;
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
    /// The number that it gives its repository.
    pub(crate) claimed: Option<u64>,
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

/// How many of these, from the first, neither have an identity that one before them has, nor leave
/// a branch or a pull request where one before them left it: they can be recorded together, and the
/// next one can name the event that it repeats.
fn of_different_identity(batch: &[Decoded]) -> usize {
    let mut known = HashSet::new();
    let mut is_first = |one: &Decoded, words: Option<String>| {
        words.is_none_or(|words| known.insert((one.forge.clone(), words)))
    };
    let repeats = |one: &Decoded| {
        let is_new = is_first(one, one.event.identity());
        !(is_first(one, landing(&one.event)) && is_new)
    };
    batch.iter().position(repeats).unwrap_or(batch.len())
}

/// What the event moves and where it leaves it.
fn landing(event: &Event) -> Option<String> {
    let Landing { place, head, .. } = event.landing()?;
    Some(format!("{} {place} at {}", event.repository()?, head?))
}

/// A row of `events`, as the database reads it from JSON: one statement for a batch, since each
/// costs a change of threads, for which webhooks wait.
#[derive(Serialize)]
pub(super) struct EventRow<'a> {
    pub(super) forge: &'a str,
    pub(super) delivery: i64,
    kind: &'static str,
    repository: Option<&'a str>,
    /// As text, as ids are kept.
    claimed: Option<String>,
    pub(super) identity: Option<String>,
    /// The branch or pull request that it is about, and where it leaves it.
    pub(super) place: Option<String>,
    pub(super) head: Option<String>,
    #[serde(skip)]
    pub(super) revives: bool,
    /// The event in whose words it is told, when only the forge can tell whether it is new.
    pub(super) repeats: Option<i64>,
    event: String,
    pub(super) state: &'static str,
    pub(super) reason: Option<String>,
}

impl<'a> EventRow<'a> {
    fn of(decoded: &'a Decoded) -> Result<Self, StoreError> {
        let reason = why_skipped(&decoded.event).map(Cow::into_owned);
        let landing = decoded.event.landing();
        let revives = landing.as_ref().is_some_and(|landing| landing.revives);
        let (place, head) = landing.map(|landing| (landing.place, landing.head)).unzip();
        Ok(Self {
            forge: &decoded.forge,
            delivery: decoded.delivery.0,
            kind: decoded.event.kind(),
            repository: decoded.event.repository().map(|name| name.as_str()),
            claimed: decoded.claimed.map(|id| id.to_string()),
            identity: decoded.event.identity(),
            place,
            head: head.flatten(),
            revives,
            repeats: None,
            event: to_json(&decoded.event)?,
            state: if reason.is_none() { "new" } else { "skipped" },
            reason,
        })
    }

    pub(super) fn place(&self) -> PlaceKey {
        let repository = self.repository.unwrap_or_default().to_owned();
        (self.forge.to_owned(), repository, self.place.clone().unwrap_or_default())
    }
}

/// Records events of different identities; returns how many of them intake has to look at.
async fn record(
    transaction: &mut Transaction<'static, Sqlite>,
    batch: &[Decoded],
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let mut rows = batch.iter().map(EventRow::of).collect::<Result<Vec<_>, _>>()?;
    repetition::mark(transaction, &mut rows).await?;
    let written = to_json(&rows)?;
    sqlx::query(
        "INSERT INTO events
             (forge, delivery_id, kind, repository, identity, moved_ref, moved_to, repeats, event,
              created_at, state, reason)
         SELECT value ->> 'forge', value ->> 'delivery', value ->> 'kind', value ->> 'repository',
                value ->> 'identity', value ->> 'place', value ->> 'head', value ->> 'repeats',
                value ->> 'event', ?, value ->> 'state', value ->> 'reason'
         FROM json_each(?) ORDER BY key",
    )
    .bind(seconds(now))
    .bind(&written)
    .execute(&mut **transaction)
    .await?;
    sweep::watch(transaction, &written).await?;
    if rows.iter().any(|row| row.claimed.is_some()) {
        sweep::taken::doubt(transaction, &written).await?;
    }
    Ok(rows.iter().filter(|row| row.state == "new").count())
}
