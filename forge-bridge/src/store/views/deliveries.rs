//! The list of deliveries joined with what became of them.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};
use workflows::ids::{DeliveryId, EventId, RunId};

use super::run::skipped;
use super::{cut_page, time, unsigned};
use crate::store::row::json;
use crate::store::{Store, StoreError};
use crate::views::{
    Deliveries, DeliveryDetail, DeliveryFilter, DeliverySummary, EventSummary, page_rows,
};

/// Most runs of one event that a list names; an event has a run for each workflow that fires.
const SHOWN_RUNS: usize = 50;

/// What an event is about: a ref, or a pull request by its number.
macro_rules! about {
    () => {
        "coalesce(json_extract(e.event, '$.ref'), '#' || json_extract(e.event, '$.number')) AS about"
    };
}
const SUMMARY: &str = concat!(
    "SELECT d.id, d.forge, d.delivery, d.event_name, d.received_at, d.source, \
         length(d.body) AS size_bytes, \
         iif(e.id IS NULL, 'waiting', 'decoded') AS state, e.id AS event_id, e.kind, e.repository, \
         e.state AS event_state, e.reason, \
         (SELECT json_group_array(r.id) FROM runs r WHERE r.event_id = e.id) AS runs, ",
    about!()
);
const TABLES: &str = " FROM deliveries d LEFT JOIN events e ON e.delivery_id = d.id";

impl Store {
    /// A page of deliveries, newest first, each with its event.
    pub(crate) async fn view_deliveries(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Deliveries, StoreError> {
        let wanted = page_rows(filter.limit);
        let mut query = QueryBuilder::<Sqlite>::new(SUMMARY);
        query.push(TABLES).push(" WHERE 1");
        if let Some(repository) = &filter.repository {
            query.push(" AND e.repository = ").push_bind(repository);
        }
        if let Some(state) = &filter.state {
            query.push(" AND coalesce(e.state, 'waiting') = ").push_bind(state);
        }
        if let Some(source) = &filter.source {
            query.push(" AND d.source = ").push_bind(source);
        }
        if let Some(before) = filter.before {
            query.push(" AND d.id < ").push_bind(before);
        }
        query.push(" ORDER BY d.id DESC LIMIT ").push_bind(i64::from(wanted) + 1);
        let rows = query.build().fetch_all(&self.reader).await?;
        let mut deliveries = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
        let next = cut_page(&mut deliveries, wanted, |delivery| delivery.id.0);
        Ok(Deliveries { deliveries, next })
    }

    /// One delivery with its event; `None` when there is no such delivery.
    pub(crate) async fn view_delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<DeliveryDetail>, StoreError> {
        let mut tx = self.reader.begin().await?;
        let sql = format!("{SUMMARY}, d.headers, e.event{TABLES} WHERE d.id = $1");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(id.0);
        let Some(row) = query.fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        let delivery = summary(&row)?;
        let event = delivery.event.as_ref().map(|event| event.id);
        Ok(Some(DeliveryDetail {
            delivery,
            headers: json(&row, "headers")?,
            decoded: if event.is_some() { Some(json(&row, "event")?) } else { None },
            skipped_workflows: match event {
                Some(event) => skipped(&mut tx, event).await?,
                None => Vec::new(),
            },
        }))
    }

    /// An event, whatever brought it about; `None` when there is no such event.
    pub(crate) async fn view_event(&self, id: EventId) -> Result<Option<EventSummary>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT e.id AS event_id, e.kind, e.repository, e.state AS event_state, e.reason, \
             (SELECT json_group_array(r.id) FROM runs r WHERE r.event_id = e.id) AS runs, ",
            about!(),
            " FROM events e WHERE e.id = $1",
        ))
        .bind(id.0)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map_or(Ok(None), event)
    }

    /// The body of a delivery as it was received.
    pub(crate) async fn delivery_body(
        &self,
        id: DeliveryId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_scalar("SELECT body FROM deliveries WHERE id = $1").bind(id.0);
        Ok(query.fetch_optional(&self.reader).await?)
    }
}

/// The event of a row, where it has one.
fn event(row: &SqliteRow) -> Result<Option<EventSummary>, StoreError> {
    let Some(id) = row.try_get::<Option<i64>, _>("event_id")? else { return Ok(None) };
    let mut runs: Vec<RunId> = json(row, "runs")?;
    runs.truncate(SHOWN_RUNS);
    Ok(Some(EventSummary {
        id: EventId(id),
        kind: row.try_get("kind")?,
        repository: row.try_get("repository")?,
        about: row.try_get("about")?,
        state: row.try_get("event_state")?,
        reason: row.try_get("reason")?,
        runs,
    }))
}

fn summary(row: &SqliteRow) -> Result<DeliverySummary, StoreError> {
    let event = event(row)?;
    Ok(DeliverySummary {
        id: DeliveryId(row.try_get("id")?),
        forge: row.try_get("forge")?,
        delivery: row.try_get("delivery")?,
        event_name: row.try_get("event_name")?,
        source: row.try_get("source")?,
        received_at: time(row, "received_at")?,
        size_bytes: unsigned(row, "size_bytes")?,
        state: row.try_get("state")?,
        event,
    })
}
