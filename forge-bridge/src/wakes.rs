//! The bells of the loops. A ring is a hint, never a fact: each loop asks the store.

use std::sync::Arc;

use tokio::sync::Notify;

/// One bell for each loop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wakes {
    /// Deliveries were stored.
    pub(crate) decoder: Arc<Notify>,
    /// Events were decoded.
    pub(crate) intake: Arc<Notify>,
    /// Jobs want their pins.
    pub(crate) pinner: Arc<Notify>,
    /// Jobs may be leased.
    pub(crate) queue: Arc<Notify>,
    /// Images want their tags.
    pub(crate) promotion: Arc<Notify>,
    /// Images want their documents.
    pub(crate) attacher: Arc<Notify>,
    /// Statuses changed.
    pub(crate) reporter: Arc<Notify>,
    /// Schedules changed.
    pub(crate) scheduler: Arc<Notify>,
    /// References are due to be asked for.
    pub(crate) watch: Arc<Notify>,
    /// Images, runs or answers of registries changed.
    pub(crate) rebuilds: Arc<Notify>,
    /// Repositories were discovered.
    pub(crate) sweeper: Arc<Notify>,
    /// Comments have answers.
    pub(crate) speaker: Arc<Notify>,
    /// Pull requests ended.
    pub(crate) expiry: Arc<Notify>,
    /// Nothing rings it; the reaper lives by its interval.
    pub(crate) reaper: Arc<Notify>,
}

impl Wakes {
    /// Runs were planned.
    pub(crate) fn after_plan(&self) {
        self.pinner.notify_one();
        self.reporter.notify_one();
        self.scheduler.notify_one();
    }

    /// Jobs were freed to be leased. Every waiting lease request looks: one of them has the
    /// right labels.
    pub(crate) fn after_pins(&self) {
        self.queue.notify_waiters();
        self.reporter.notify_one();
    }

    /// A job ended or was built.
    pub(crate) fn after_job(&self) {
        // What waited for it may want its pins now.
        self.pinner.notify_one();
        self.promotion.notify_one();
        self.attacher.notify_one();
        self.watch.notify_one();
        self.rebuilds.notify_one();
        self.queue.notify_waiters();
        self.reporter.notify_one();
    }
}
