//! Deliveries on their way to the disk, many to one commit.
//!
//! A commit costs a flush of the disk, whoever pays it. One writer takes all that are waiting,
//! commits them together and only then lets their handlers answer, so that a burst of pushes
//! costs a few flushes and an answered delivery is never lost.

use std::sync::Arc;

use chrono::Utc;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};

use crate::store::{Insertion, NewDelivery, Store, StoreError};

/// Deliveries that may wait for the writer; one more is sent away with 503.
const MAX_WAITING: usize = 2048;
/// Deliveries in one transaction. More would only make the first of them wait longer.
const MAX_BATCH: usize = 128;

/// Why a delivery was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InboxError {
    #[error("{MAX_WAITING} deliveries are waiting to be stored")]
    Full,
    #[error("the store does not take the delivery")]
    Store,
}

/// A delivery, who waits for it, and its share of the memory for bodies.
struct Waiting {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Insertion, InboxError>>,
    held: OwnedSemaphorePermit,
}

/// Where verified deliveries are handed in.
#[derive(Debug, Clone)]
pub struct Inbox {
    sender: mpsc::Sender<Waiting>,
}

/// The other end of an [`Inbox`]; see [`Writer::run`].
pub struct Writer {
    store: Store,
    stored: Arc<Notify>,
    receiver: mpsc::Receiver<Waiting>,
}

/// An inbox and its writer. `stored` is notified after each commit that added something.
#[must_use]
pub fn inbox(store: Store, stored: Arc<Notify>) -> (Inbox, Writer) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Inbox { sender }, Writer { store, stored, receiver })
}

impl Inbox {
    /// Returns once the delivery is safe on disk. A caller that gives up waiting does not undo
    /// the storing.
    pub(crate) async fn store(
        &self,
        delivery: NewDelivery,
        held: OwnedSemaphorePermit,
    ) -> Result<Insertion, InboxError> {
        let (answer, answered) = oneshot::channel();
        self.sender.try_send(Waiting { delivery, answer, held }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => InboxError::Full,
            mpsc::error::TrySendError::Closed(_) => InboxError::Store,
        })?;
        answered.await.unwrap_or(Err(InboxError::Store))
    }
}

impl Writer {
    /// Stores deliveries until every [`Inbox`] is dropped and the last delivery is on disk.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(MAX_BATCH);
        while self.receiver.recv_many(&mut waiting, MAX_BATCH).await > 0 {
            let count = waiting.len();
            let mut batch = Vec::with_capacity(count);
            let mut callers = Vec::with_capacity(count);
            for Waiting { delivery, answer, held } in waiting.drain(..) {
                batch.push(delivery);
                callers.push((answer, held));
            }
            let outcome = self.store.insert_deliveries(batch, Utc::now()).await;
            self.tell(callers, outcome);
        }
    }

    fn tell(
        &self,
        callers: Vec<(oneshot::Sender<Result<Insertion, InboxError>>, OwnedSemaphorePermit)>,
        outcome: Result<Vec<Insertion>, StoreError>,
    ) {
        // A handler that is gone had its delivery stored all the same.
        match outcome {
            Ok(insertions) => {
                if insertions.iter().any(|insertion| matches!(insertion, Insertion::Stored(_))) {
                    self.stored.notify_one();
                }
                for ((answer, _), insertion) in callers.into_iter().zip(insertions) {
                    let _ = answer.send(Ok(insertion));
                }
            }
            Err(error) => {
                tracing::error!(count = callers.len(), %error, "deliveries were not stored");
                for (answer, _) in callers {
                    let _ = answer.send(Err(InboxError::Store));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::webhook::signature::tests::verified;

    fn delivery(number: usize) -> NewDelivery {
        NewDelivery {
            forge: "bare".into(),
            delivery: number.to_string(),
            event_name: "push".into(),
            headers: "{}".into(),
            body: verified("{}"),
        }
    }

    #[tokio::test]
    async fn a_full_inbox_refuses_at_once_and_what_it_took_is_stored_though_nobody_waits() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
        let stored = Arc::new(Notify::new());
        let (inbox, writer) = inbox(store.clone(), Arc::clone(&stored));
        let bodies = Arc::new(Semaphore::new(MAX_WAITING + 1));
        let hand_in = |number| {
            let held = Arc::clone(&bodies).try_acquire_owned().unwrap();
            inbox.store(delivery(number), held).now_or_never()
        };
        for number in 0..MAX_WAITING {
            assert_eq!(hand_in(number), None);
        }
        assert_eq!(hand_in(MAX_WAITING), Some(Err(InboxError::Full)));
        assert_eq!(bodies.available_permits(), 1);

        drop(inbox);
        writer.run().await;
        let waiting = store.undecoded(u32::MAX, usize::MAX).await.unwrap();
        assert_eq!(waiting.len(), MAX_WAITING);
        assert_eq!(bodies.available_permits(), MAX_WAITING + 1);
        assert!(stored.notified().now_or_never().is_some());
    }
}
