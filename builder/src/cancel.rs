//! The wish that a build ends before its end.

use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

const GO_ON: u8 = 0;
const ASKED: u8 = 1;
const KILLED: u8 = 2;

/// Ends a build before its end; clones are the same wish. Nothing new begins once it was made,
/// registries are not waited for, the files that are read or packed are left where they are, and the
/// commands that run hear of it within a tenth of a second.
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

    /// An error once the wish was made, for work of many steps; [`is_wish`] knows it again.
    pub(crate) fn heard(&self) -> io::Result<()> {
        match self.urgency() {
            Urgency::None => Ok(()),
            _ => Err(io::Error::other(Unwanted)),
        }
    }

    /// Reads or writes as `inner` does until the wish is made, and then fails.
    pub(crate) fn watching<T>(&self, inner: T) -> Watching<T> {
        Watching { cancel: self.clone(), inner }
    }
}

/// Why work broke off that somebody wanted no more.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
struct Unwanted;

/// Whether work broke off because of the wish, and not because it failed.
pub(crate) fn is_wish(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unwanted>())
}

/// A reader or writer that hears the wish.
#[derive(Debug)]
pub(crate) struct Watching<T> {
    cancel: Cancel,
    inner: T,
}

impl<T> Watching<T> {
    pub(crate) fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: Read> Read for Watching<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.heard()?;
        self.inner.read(buffer)
    }
}

impl<T: Write> Write for Watching<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cancel.heard()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
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
