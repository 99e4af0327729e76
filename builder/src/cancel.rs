//! The wish that a build ends before its end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

const GO_ON: u8 = 0;
const ASKED: u8 = 1;
const KILLED: u8 = 2;

/// Ends a build before its end; clones are the same wish. Nothing new begins once it was made,
/// registries are not waited for, and the commands that run hear of it within a tenth of a second.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Wish>);

#[derive(Debug, Default)]
struct Wish {
    urgency: AtomicU8,
    /// Wakes who waits for something else.
    made: Notify,
}

/// How urgent the wish is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// There is none.
    None,
    /// Commands may tidy up: they get SIGTERM.
    Asked,
    /// Commands are killed.
    Now,
}

impl Cancel {
    /// Asks every command to end (SIGTERM); those that do not are killed after the grace of the
    /// build's limits.
    pub fn ask(&self) {
        self.raise(ASKED);
    }

    /// Kills every command.
    pub fn kill(&self) {
        self.raise(KILLED);
    }

    fn raise(&self, urgency: u8) {
        self.0.urgency.fetch_max(urgency, Ordering::SeqCst);
        self.0.made.notify_waiters();
    }

    /// What `work` gives; `None` when the wish is made before, and `work` is dropped.
    pub(crate) async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // Whoever wishes between the look and the wait is heard, too.
        let mut made = pin!(self.0.made.notified());
        made.as_mut().enable();
        if self.urgency() != Urgency::None {
            return None;
        }
        tokio::select! {
            () = made => None,
            done = work => Some(done),
        }
    }

    pub(crate) fn urgency(&self) -> Urgency {
        match self.0.urgency.load(Ordering::SeqCst) {
            GO_ON => Urgency::None,
            ASKED => Urgency::Asked,
            _ => Urgency::Now,
        }
    }
}

/// Kills what runs when the one who waits is gone.
#[derive(Debug)]
pub(crate) struct KillOnDrop(Option<Cancel>);

impl KillOnDrop {
    pub(crate) fn new(cancel: Cancel) -> Self {
        Self(Some(cancel))
    }

    /// What ran has ended; whoever still uses the same wish for something else is not concerned.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_not_taken_back_by_asking() {
        let cancel = Cancel::default();
        assert_eq!(cancel.urgency(), Urgency::None);
        cancel.clone().ask();
        assert_eq!(cancel.urgency(), Urgency::Asked);
        KillOnDrop::new(cancel.clone()).disarm();
        assert_eq!(cancel.urgency(), Urgency::Asked);
        assert_eq!(Arc::strong_count(&cancel.0), 1, "nothing of it is left");
        drop(KillOnDrop::new(cancel.clone()));
        cancel.ask();
        assert_eq!(cancel.urgency(), Urgency::Now);
    }

    #[test]
    fn a_disarmed_guard_kills_nothing_and_keeps_nothing() {
        let cancel = Cancel::default();
        KillOnDrop::new(cancel.clone()).disarm();
        assert_eq!(cancel.urgency(), Urgency::None);
        assert_eq!(Arc::strong_count(&cancel.0), 1);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_wish() {
        let cancel = Cancel::default();
        assert_eq!(cancel.unless_asked(async { 1 }).await, Some(1));
        let (wish, silence) = (cancel.clone(), std::future::pending::<()>());
        let wishes = async {
            tokio::task::yield_now().await;
            wish.ask();
        };
        let (heard, ()) = futures_util::future::join(cancel.unless_asked(silence), wishes).await;
        assert_eq!(heard, None);
        assert_eq!(cancel.unless_asked(std::future::pending::<()>()).await, None);
    }
}
