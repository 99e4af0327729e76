//! When a reference is looked at next.

use chrono::{DateTime, TimeDelta, Utc};

use crate::image::Reference;
use crate::schedule::Schedule;

/// Longest delay behind the time that a release asks for: it spreads the questions of one moment,
/// and is not felt by anybody who waits for a rebuild.
const MAX_JITTER: TimeDelta = TimeDelta::minutes(5);

/// The next look at a reference by the earliest of these schedules, with a delay that is always
/// the same for one reference and differs between references: ten thousand of them are not asked
/// for in one second, and two bridges with the same state ask at the same times.
#[must_use]
pub fn next_check(
    reference: &Reference,
    schedules: &[Schedule],
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let next = |schedule: &Schedule| {
        let first = schedule.next_after(now)?;
        // Half of the way to the one after it, so that none is ever jumped over.
        let room = schedule.next_after(first).map_or(MAX_JITTER, |second| (second - first) / 2);
        Some(first + jitter(reference, room.min(MAX_JITTER)))
    };
    schedules.iter().filter_map(next).min()
}

fn jitter(reference: &Reference, room: TimeDelta) -> TimeDelta {
    let room = u64::try_from(room.num_seconds()).unwrap_or(0);
    let delay = spread(reference.to_string().as_bytes()).checked_rem(room).unwrap_or(0);
    TimeDelta::seconds(i64::try_from(delay).unwrap_or(0))
}

/// FNV-1a: the same number for the same bytes in every version of the program.
fn spread(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::image::DOCKER_HUB;

    #[test]
    fn looks_are_spread_and_always_at_the_same_place() {
        let schedule = [Schedule::parse("*/30 * * * *", "UTC").unwrap()];
        let now = DateTime::from_timestamp(1_800_000_000 + 60, 0).unwrap();
        let reference =
            |n: u32| Reference::parse(&format!("r.example/f43/image-{n}"), DOCKER_HUB).unwrap();
        let delay = |n, now| {
            let at = next_check(&reference(n), &schedule, now).unwrap();
            (at - schedule[0].next_after(now).unwrap()).num_seconds()
        };
        let delays: Vec<i64> = (0..1_000).map(|n| delay(n, now)).collect();
        assert!(delays.iter().all(|seconds| (0..300).contains(seconds)), "{delays:?}");
        assert!(delays.iter().collect::<BTreeSet<_>>().len() > 200, "{delays:?}");
        assert_eq!(delay(7, now), delay(7, now + TimeDelta::hours(9)));
    }

    #[test]
    fn a_schedule_of_every_minute_is_kept() {
        let schedule = [Schedule::parse("* * * * *", "UTC").unwrap()];
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for n in 0..100 {
            let reference = Reference::parse(&format!("base-{n}"), DOCKER_HUB).unwrap();
            let at = next_check(&reference, &schedule, now).unwrap();
            assert!(at - now <= TimeDelta::seconds(90), "{at}");
        }
        assert_eq!(next_check(&Reference::parse("a", DOCKER_HUB).unwrap(), &[], now), None);
    }
}
