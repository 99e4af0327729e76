//! The write that every webhook waits for.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, Sqlite, Transaction};
use uuid::Uuid;
use workflows::ids::DeliveryId;

use super::{Insertion, NewDelivery};
use crate::store::{Store, StoreError, seconds};

/// Rows of one statement. A batch is cut into these sizes, largest first, so that a handful of
/// prepared statements serves every batch.
const ROWS: [usize; 4] = [32, 8, 4, 1];

/// The text for each of [`ROWS`].
static INSERTS: LazyLock<[(usize, Arc<str>); 4]> = LazyLock::new(|| {
    ROWS.map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let sql = format!(
            "INSERT INTO deliveries (forge, delivery, event_name, headers, body, received_at)
             VALUES {values} ON CONFLICT (forge, delivery) DO NOTHING
             RETURNING id, forge, delivery"
        );
        (rows, sql.into())
    })
});

impl Store {
    /// Stores a batch in one transaction. The answers stand in the order of the deliveries; of
    /// two with the same forge and id within the batch the first is stored.
    pub(crate) async fn insert_deliveries(
        &self,
        batch: Vec<NewDelivery>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Insertion>, StoreError> {
        let keys: Vec<(Arc<str>, String)> =
            batch.iter().map(|new| (Arc::clone(&new.forge), new.delivery.clone())).collect();
        let mut stored = vec![None; keys.len()];
        let mut first = HashMap::with_capacity(keys.len());
        for (index, (forge, delivery)) in keys.iter().enumerate() {
            first.entry((forge.as_ref(), delivery.as_str())).or_insert(index);
        }
        let mut transaction = self.write().await?;
        let mut batch = batch.into_iter();
        for (rows, sql) in INSERTS.iter() {
            while batch.len() >= *rows {
                let part = batch.by_ref().take(*rows);
                for row in insert(&mut transaction, sql, part, now).await? {
                    let key = (row.try_get("forge")?, row.try_get("delivery")?);
                    if let Some(&index) = first.get(&key) {
                        stored[index] = Some(DeliveryId(row.try_get("id")?));
                    }
                }
            }
        }
        let mut insertions = Vec::with_capacity(keys.len());
        for ((forge, delivery), stored) in keys.iter().zip(stored) {
            insertions.push(match stored {
                Some(id) => Insertion::Stored(id),
                None => Insertion::Seen(seen(&mut transaction, forge, delivery).await?),
            });
        }
        transaction.commit().await?;
        Ok(insertions)
    }

    /// Stores the bytes of a delivery once more, under an id of its own, so that it is decoded
    /// again; what was already done about its event is not done twice. `None` when there is no
    /// such delivery.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn replay(
        &self,
        delivery: DeliveryId,
        now: DateTime<Utc>,
    ) -> Result<Option<DeliveryId>, StoreError> {
        let mut transaction = self.write().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO deliveries
                 (forge, delivery, event_name, headers, body, received_at, source)
             SELECT forge, ?, event_name, headers, body, ?, source FROM deliveries WHERE id = ?
             RETURNING id",
        )
        .bind(format!("replay-{}", Uuid::new_v4()))
        .bind(seconds(now))
        .bind(delivery.0)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(id.map(DeliveryId))
    }
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    sql: &Arc<str>,
    rows: impl Iterator<Item = NewDelivery>,
    now: DateTime<Utc>,
) -> Result<Vec<SqliteRow>, StoreError> {
    // The text is made of constants above; every value is bound.
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    for new in rows {
        query = query
            .bind(new.forge)
            .bind(new.delivery)
            .bind(new.event_name)
            .bind(new.headers)
            .bind(new.body.into_body())
            .bind(seconds(now));
    }
    Ok(query.fetch_all(&mut **transaction).await?)
}

async fn seen(
    transaction: &mut Transaction<'static, Sqlite>,
    forge: &str,
    delivery: &str,
) -> Result<DeliveryId, StoreError> {
    let id = sqlx::query_scalar("SELECT id FROM deliveries WHERE forge = ? AND delivery = ?")
        .bind(forge)
        .bind(delivery)
        .fetch_one(&mut **transaction)
        .await?;
    Ok(DeliveryId(id))
}
