//! Deliveries as received, from their first byte on disk to their event.
//!
//! What people read of them is in `store::views`.

mod insert;
mod record;

use std::sync::Arc;

use workflows::ids::DeliveryId;

pub(crate) use record::{Decoded, Undecoded};

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

#[cfg(test)]
pub(super) mod tests;
