//! Which of the events that are about to be recorded were told before, and which may have been.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};
use workflows::event::repetition::{Known, Newest, Novelty, novelty};

use super::record::EventRow;
use crate::store::StoreError;
use crate::store::row::{column, to_json};

/// An event that was recorded, or is of the same batch: then it has no id yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Recorded {
    id: Option<i64>,
    delivery: i64,
}

/// Marks those of the rows that repeat an event, and those of which only the forge can tell. No two
/// rows may have the same identity, or leave the same branch or pull request at the same head.
pub(super) async fn mark(
    transaction: &mut Transaction<'static, Sqlite>,
    rows: &mut [EventRow<'_>],
) -> Result<(), StoreError> {
    let written = to_json(&&*rows)?;
    let twins = twins(transaction, &written).await?;
    let mut newest = newest(transaction, &written).await?;
    for row in rows {
        let known = Known {
            twin: twins.get(&row.delivery).copied(),
            newest: newest.get(&row.place()).cloned(),
        };
        match novelty(row.head.as_deref(), row.revives, &known) {
            Novelty::New => {}
            Novelty::Repeats(event) => repeats(transaction, row, event).await?,
            Novelty::Doubtful { twin, newest } => doubt(transaction, row, twin, newest).await?,
        }
        if row.place.is_some() && row.state != "duplicate" && row.repeats.is_none() {
            let event = Recorded { id: None, delivery: row.delivery };
            let is_planned = row.state == "new";
            newest.insert(row.place(), Newest { event, head: row.head.clone(), is_planned });
        }
    }
    Ok(())
}

/// The first event of each row's identity, by the row's delivery.
async fn twins(
    transaction: &mut Transaction<'static, Sqlite>,
    rows: &str,
) -> Result<HashMap<i64, Recorded>, StoreError> {
    let found = sqlx::query(
        "SELECT new.value ->> 'delivery' AS row, events.id, delivery_id
         FROM json_each(?) AS new
         JOIN events ON events.forge = new.value ->> 'forge'
                    AND events.identity = new.value ->> 'identity'
                    AND events.identity IS NOT NULL AND events.state <> 'duplicate'",
    )
    .bind(rows)
    .fetch_all(&mut **transaction)
    .await?;
    found.iter().map(|row| Ok((column(row, "row")?, event(row)?))).collect()
}

fn event(row: &SqliteRow) -> Result<Recorded, StoreError> {
    let delivery: Option<i64> = column(row, "delivery_id")?;
    Ok(Recorded { id: Some(column(row, "id")?), delivery: delivery.unwrap_or_default() })
}

/// A forge, a repository there, and its branch or pull request.
pub(super) type PlaceKey = (String, String, String);

/// The newest event of each branch and pull request, but those that were doubtful and have not
/// proved themselves.
async fn newest(
    transaction: &mut Transaction<'static, Sqlite>,
    rows: &str,
) -> Result<HashMap<PlaceKey, Newest<Recorded>>, StoreError> {
    let found = sqlx::query(
        "SELECT id, delivery_id, forge, repository, moved_ref, moved_to, state FROM events WHERE id IN (
             SELECT (SELECT id FROM events
                     WHERE forge = new.value ->> 'forge'
                       AND repository = new.value ->> 'repository'
                       AND moved_ref = new.value ->> 'place' AND state <> 'duplicate'
                       AND (repeats IS NULL OR state = 'planned')
                     ORDER BY id DESC LIMIT 1)
             FROM json_each(?) AS new WHERE new.value ->> 'place' IS NOT NULL)",
    )
    .bind(rows)
    .fetch_all(&mut **transaction)
    .await?;
    let read = |row: &SqliteRow| {
        let key = (column(row, "forge")?, column(row, "repository")?, column(row, "moved_ref")?);
        let state: String = column(row, "state")?;
        let is_planned = matches!(state.as_str(), "new" | "planned");
        Ok((key, Newest { event: event(row)?, head: column(row, "moved_to")?, is_planned }))
    };
    found.iter().map(read).collect()
}

/// The row is a duplicate of an event that is recorded.
async fn repeats(
    transaction: &mut Transaction<'static, Sqlite>,
    row: &mut EventRow<'_>,
    event: Recorded,
) -> Result<(), StoreError> {
    let delivery: Option<String> =
        sqlx::query_scalar("SELECT delivery FROM deliveries WHERE id = ?")
            .bind(event.delivery)
            .fetch_optional(&mut **transaction)
            .await?;
    let source = delivery.map_or_else(|| "no delivery".to_owned(), |id| format!("delivery {id}"));
    let id = event.id.unwrap_or_default();
    row.state = "duplicate";
    row.reason = Some(format!("the same as event {id} of {source}"));
    Ok(())
}

/// The row has the words of an event after which the branch or pull request went elsewhere. The
/// bytes of that event's delivery tell a replay, which repeats them; where they differ, intake asks
/// the forge.
async fn doubt(
    transaction: &mut Transaction<'static, Sqlite>,
    row: &mut EventRow<'_>,
    twin: Recorded,
    newest: Recorded,
) -> Result<(), StoreError> {
    let identity = row.identity.as_deref().unwrap_or_default();
    let identity = format!("{identity} after delivery {}", newest.delivery);
    let asked = sqlx::query(
        "SELECT id, delivery_id FROM events
         WHERE forge = ? AND identity = ? AND state <> 'duplicate'",
    )
    .bind(row.forge)
    .bind(&identity)
    .fetch_optional(&mut **transaction)
    .await?;
    if let Some(asked) = asked {
        return repeats(transaction, row, event(&asked)?).await;
    }
    if is_replayed(transaction, twin.delivery, row.delivery).await? {
        return repeats(transaction, row, twin).await;
    }
    row.repeats = twin.id;
    row.identity = Some(identity);
    Ok(())
}

/// Whether a forge sent the very same bytes. What a sweep makes up is what it saw.
async fn is_replayed(
    transaction: &mut Transaction<'static, Sqlite>,
    first: i64,
    again: i64,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) > 0 FROM deliveries AS first JOIN deliveries AS again
         ON again.id = ? AND again.body = first.body AND again.source <> 'sweep'
         WHERE first.id = ?",
    )
    .bind(again)
    .bind(first)
    .fetch_one(&mut **transaction)
    .await?)
}
