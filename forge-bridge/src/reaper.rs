//! Ends leases that ran out.

use std::sync::Arc;

use chrono::Utc;

use crate::level::Turn;
use crate::logs::Logs;
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

pub(crate) struct Reaper {
    pub(crate) store: Store,
    pub(crate) logs: Logs,
    pub(crate) wakes: Wakes,
}

impl Reaper {
    /// Takes back every lease without a heartbeat.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let now = Utc::now();
        for (job, attempt) in self.store.expired_attempts(now).await? {
            self.logs.seal_into(&self.store, job, attempt).await?;
        }
        let reaped = self.store.reap_expired(now).await?;
        if reaped > 0 {
            tracing::warn!(reaped, "{reaped} leases ran out without a heartbeat");
            self.wakes.after_job();
        }
        Ok(Turn::Idle)
    }
}
