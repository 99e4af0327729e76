//! Deliveries as received, from their first byte on disk to their event.
//!
//! What people read of them is in `store::views`.

mod arrival;
mod insert;
mod record;
mod repetition;

use std::sync::Arc;

use workflows::ids::DeliveryId;

pub(crate) use record::{Decoded, Undecoded};

use super::{Store, StoreError};
use crate::webhook::signature::Verified;

/// A delivery that is to be stored; it holds the proof that its sender knew the secret.
pub(crate) struct NewDelivery {
    pub(crate) forge: Arc<str>,
    /// The forge's id for it.
    pub(crate) delivery: String,
    pub(crate) event_name: String,
    /// A JSON object.
    pub(crate) headers: String,
    pub(crate) body: Verified,
}

/// What became of a [`NewDelivery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// It is on disk now.
    Stored(DeliveryId),
    /// One of the same forge and id was there already; nothing changed.
    Seen(DeliveryId),
}

/// How far the store is with all that was delivered, for those who measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Deliveries on disk.
    pub deliveries: u64,
    /// Those of them that are not decoded yet.
    pub undecoded: u64,
    /// Events that intake has to look at, duplicates left out.
    pub new: u64,
}

impl Store {
    /// How far the store is.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        let (deliveries, undecoded, new): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM deliveries), \
             (SELECT count(*) FROM deliveries WHERE id > (SELECT decoded_up_to FROM decoding)), \
             (SELECT count(*) FROM events WHERE state = 'new')",
        )
        .fetch_one(&self.reader)
        .await?;
        Ok(Standing {
            deliveries: deliveries.unsigned_abs(),
            undecoded: undecoded.unsigned_abs(),
            new: new.unsigned_abs(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
