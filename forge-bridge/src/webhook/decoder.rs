//! The loop that turns stored deliveries into events.
//!
//! It asks the store what is not decoded yet, so that neither a crash nor a lost notification
//! leaves a delivery behind, and a delivery that makes no sense becomes an ignored event instead
//! of being tried for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::Notify;
use workflows::event::Event;

use super::{DecodeError, claimed, decode_sent};
use crate::config::ForgeKind;
use crate::store::{Decoded, Store, StoreError, Undecoded};

/// Longest time between two looks at the store when nobody notifies.
const DECODE_INTERVAL: Duration = Duration::from_secs(10);
/// Deliveries decoded in one transaction; webhooks wait for it, so it is short.
const MAX_BATCH: u32 = 64;
/// Bytes of bodies in memory at once, give or take the last body.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Decodes deliveries as they are stored.
pub struct Decoder {
    store: Store,
    kinds: Arc<HashMap<String, ForgeKind>>,
    stored: Arc<Notify>,
    decoded: Arc<Notify>,
}

impl Decoder {
    /// A decoder of deliveries of these forges, by name, woken by `stored`; it notifies `decoded`
    /// when there is an event for intake.
    #[must_use]
    pub fn new(
        store: Store,
        forges: impl IntoIterator<Item = (String, ForgeKind)>,
        stored: Arc<Notify>,
        decoded: Arc<Notify>,
    ) -> Self {
        Self { store, kinds: Arc::new(forges.into_iter().collect()), stored, decoded }
    }

    /// Runs until the future is dropped, which is safe at any point.
    pub async fn run(self) {
        loop {
            match self.decode_waiting().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::error!(%error, "deliveries wait to be decoded: {error}"),
            }
            let _ = tokio::time::timeout(DECODE_INTERVAL, self.stored.notified()).await;
        }
    }

    /// Decodes one batch of those that wait; returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; the same deliveries wait again then.
    pub async fn decode_waiting(&self) -> Result<usize, StoreError> {
        let waiting = self.store.undecoded(MAX_BATCH, MAX_BATCH_BYTES).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let kinds = Arc::clone(&self.kinds);
        let decode = move || waiting.into_iter().map(|one| decoded(&kinds, one)).collect();
        // Parsing megabytes would keep webhooks waiting.
        let batch: Vec<Decoded> = tokio::task::spawn_blocking(decode)
            .await
            .map_err(|error| StoreError::Corrupt(format!("decoding ended early: {error}")))?;
        if self.store.record_decoded(&batch, Utc::now()).await? > 0 {
            self.decoded.notify_one();
        }
        Ok(batch.len())
    }
}

fn decoded(kinds: &HashMap<String, ForgeKind>, undecoded: Undecoded) -> Decoded {
    let event = match kinds.get(&undecoded.forge) {
        _ if undecoded.is_swept => swept(&undecoded),
        Some(&kind) => event(kind, &undecoded).unwrap_or_else(|error| {
            tracing::warn!(delivery.id = %undecoded.id, "delivery not understood: {error}");
            Event::ignored(None, error.to_string())
        }),
        None => Event::ignored(None, "the forge is no longer configured"),
    };
    tracing::debug!(delivery.id = %undecoded.id, event.kind = event.kind(), "delivery decoded");
    let claimed = (!undecoded.is_swept).then(|| claimed::id(&undecoded.body)).flatten();
    Decoded { delivery: undecoded.id, forge: undecoded.forge, event, claimed }
}

/// What a sweep made up is stored as the event that it is.
fn swept(undecoded: &Undecoded) -> Event {
    serde_json::from_slice(&undecoded.body)
        .unwrap_or_else(|error| Event::ignored(None, format!("no event of a sweep: {error}")))
}

fn event(kind: ForgeKind, undecoded: &Undecoded) -> Result<Event, DecodeError> {
    let content_type = undecoded.content_type.as_deref();
    decode_sent(kind, &undecoded.event_name, content_type, &undecoded.body)
}

#[cfg(test)]
mod tests;
