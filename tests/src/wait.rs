//! Waiting for what will be true, with an end.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a whole build may take on a busy machine with two cores.
pub const LONG: Duration = Duration::from_secs(120);
/// How long anything else may take.
pub const SHORT: Duration = Duration::from_secs(30);

/// Looks until there is an answer.
///
/// # Panics
/// When there is none within the limit; the message says what was awaited and what was seen.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    until_every(LOOK_INTERVAL, what, limit, look).await
}

/// The same, looking as seldom as told: each look costs a busy server something.
///
/// # Panics
/// As [`until`].
pub async fn until_every<T>(
    interval: Duration,
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(answer) => return answer,
            Err(seen) if Instant::now() >= deadline => {
                panic!("{what}: not within {} s; last seen: {seen}", limit.as_secs())
            }
            Err(_) => tokio::time::sleep(interval).await,
        }
    }
}
