//! Loops that ask the store what is not yet done.
//!
//! A wake-up only shortens the wait: a lost one costs an interval, never a piece of work.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

mod under_way;

pub(crate) use under_way::UnderWay;

/// How often an idle loop looks by itself.
pub(crate) const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// How long a loop rests after its own failure, such as a store that does not answer.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two tries of the same thing, in seconds.
const MAX_BACKOFF_SECONDS: i64 = 5 * 60;

/// What a turn of a loop found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Work was done; look again at once.
    Busy,
    /// Nothing was due.
    Idle,
}

/// Calls `turn` until shutdown: again at once while it is busy, else after a wake-up or the
/// idle interval. A turn that panics is told and tried again like one that fails: the work of one row
/// that meets a fault of ours must not end the bridge, and all that is not done is in the store.
pub(crate) async fn run<E: std::fmt::Display, F: Future<Output = Result<Turn, E>>>(
    name: &'static str,
    wake: &Notify,
    shutdown: &CancellationToken,
    mut turn: impl FnMut() -> F,
) {
    while !shutdown.is_cancelled() {
        let pause = match AssertUnwindSafe(turn()).catch_unwind().await {
            Ok(Ok(Turn::Busy)) => continue,
            Ok(Ok(Turn::Idle)) => IDLE_INTERVAL,
            Ok(Err(error)) => {
                tracing::error!(agent = name, %error, "{name}: turn failed: {error}");
                FAILURE_PAUSE
            }
            Err(_) => {
                tracing::error!(agent = name, "{name}: turn broke, which is a fault of Strata");
                FAILURE_PAUSE
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    tracing::debug!(agent = name, "{name}: ended");
}

/// When to try again after `tries` failures: doubling seconds up to a cap, spread by `seed` so
/// that many failures of one moment do not come back in one moment.
pub(crate) fn retry_at(now: DateTime<Utc>, tries: u32, seed: i64) -> DateTime<Utc> {
    let base = 1_i64.checked_shl(tries.min(16)).unwrap_or(i64::MAX).min(MAX_BACKOFF_SECONDS);
    let spread = seed.rem_euclid((base / 4).max(1));
    now + TimeDelta::seconds(base + spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_panics_is_followed_by_others() {
        let (wake, shutdown) = (Notify::new(), CancellationToken::new());
        let turns = std::cell::Cell::new(0);
        let turn = || async {
            turns.set(turns.get() + 1);
            assert_ne!(turns.get(), 1, "the first one breaks");
            shutdown.cancel();
            Ok::<_, String>(Turn::Idle)
        };
        run("test", &wake, &shutdown, turn).await;
        assert_eq!(turns.get(), 2);
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let now = DateTime::UNIX_EPOCH;
        let pause = |tries| (retry_at(now, tries, 0) - now).num_seconds();
        assert_eq!([pause(0), pause(1), pause(3), pause(30)], [1, 2, 8, MAX_BACKOFF_SECONDS]);
        assert!(retry_at(now, 30, 7919) > retry_at(now, 30, 0));
    }
}
