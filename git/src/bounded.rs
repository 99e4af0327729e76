//! What a server may send, and for how long.
//!
//! The library reads a list of refs into memory before anybody can look at it, and nothing of it
//! bounds more than the silence between two pieces: a server that sends on and on, or a byte a
//! minute, would hold memory or a thread for as long as it likes.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Refusal;
use crate::{Deadline, GitError};

/// What one connection may still read, and how its server refused.
#[derive(Debug)]
pub(crate) struct Meter {
    read: AtomicU64,
    max_bytes: u64,
    deadline: Deadline,
    refusal: Mutex<Option<Refusal>>,
}

impl Meter {
    pub(crate) fn new(max_bytes: u64, deadline: &Deadline) -> Arc<Self> {
        let (read, refusal) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { read, max_bytes, deadline: deadline.clone(), refusal })
    }

    pub(crate) fn metered<R>(self: &Arc<Self>, body: R) -> Metered<R> {
        Metered { body, meter: Arc::clone(self) }
    }

    fn count(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.read.load(Ordering::Relaxed) > self.max_bytes
    }

    /// Whether more may be read.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_over() {
            return Err(io::Error::other("the server sends too much"));
        }
        if self.deadline.is_over() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(())
    }

    /// Takes note of a refusal and of its `Retry-After`.
    pub(crate) fn refused(&self, status: u16, retry_after: Option<&str>) {
        let refusal = Refusal { status, pause: retry_after.and_then(pause) };
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    /// How the server refused, if it did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a connection ended that was ended here.
    pub(crate) fn verdict(&self) -> Option<GitError> {
        if self.is_over() {
            let max = self.max_bytes;
            return Some(GitError::TooLarge(format!("the server sends more than {max} bytes")));
        }
        self.deadline.is_over().then_some(GitError::Interrupted)
    }
}

/// A `Retry-After`: seconds, or a date.
fn pause(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = text.trim().replace("GMT", "+0000");
    let until = gix::date::parse(&date, None).ok()?.seconds;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(u64::try_from(until).ok()?).saturating_sub(now))
}

/// A body that ends with an error once the meter says so.
pub(crate) struct Metered<R> {
    body: R,
    meter: Arc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.meter.check()?;
        let count = self.body.read(buffer)?;
        self.meter.count(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.meter.check()?;
        self.body.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.meter.count(count);
        self.body.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("Tue, 14 Nov 2023 22:13:50 GMT"), Some(Duration::ZERO), "it is over");
        let far = pause("Sun, 01 Jan 2090 00:00:00 GMT").unwrap();
        assert!(far > Duration::from_secs(1_000_000), "{far:?}");
        for bad in ["", "soon", "-1", "99999999999999999999999"] {
            assert_eq!(pause(bad), None, "{bad}");
        }
    }
}
