//! Ends leases that ran out.

use std::sync::Arc;

use chrono::Utc;

use crate::level::Turn;
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

pub(crate) struct Reaper {
    pub(crate) store: Store,
    pub(crate) wakes: Wakes,
}

impl Reaper {
    /// Takes back every lease without a heartbeat.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let reaped = self.store.reap_expired(Utc::now()).await?;
        if reaped > 0 {
            tracing::warn!(reaped, "{reaped} leases ran out without a heartbeat");
            self.wakes.after_job();
        }
        Ok(Turn::Idle)
    }
}
