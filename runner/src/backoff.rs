//! How long to wait before the same thing is tried again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Wait after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait; a bridge or registry that comes back is noticed within this.
const LONGEST: Duration = Duration::from_secs(15);

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paused {
    /// The time is over: try again.
    Elapsed,
    /// Nobody wants another try.
    Stopped,
}

impl Paused {
    /// Whether nobody wants another try.
    pub(crate) fn is_stopped(self) -> bool {
        self == Self::Stopped
    }
}

/// Waits after the `failures`th failure in a row, longer each time, or until told to stop.
pub(crate) async fn pause(failures: u32, stop: &CancellationToken) -> Paused {
    let wait = wait_after(failures, uuid::Uuid::new_v4().as_u128());
    tokio::select! {
        () = tokio::time::sleep(wait) => Paused::Elapsed,
        () = stop.cancelled() => Paused::Stopped,
    }
}

/// Doubles with each failure up to the longest; up to half of it is left to chance, so that
/// runners which lost the same bridge do not come back in step.
fn wait_after(failures: u32, chance: u128) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let half = whole / 2;
    let extra = chance % half.as_millis().max(1);
    half + Duration::from_millis(u64::try_from(extra).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        assert_eq!(wait_after(1, 0), FIRST / 2);
        assert!(wait_after(3, 0) > wait_after(1, 249));
        for failures in [10, 1_000, u32::MAX] {
            assert!(wait_after(failures, u128::MAX) <= LONGEST);
        }
    }
}
