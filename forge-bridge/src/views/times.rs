//! Times and sizes in words, for pages and terminals.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Silence after which a runner counts as offline, in seconds: two lease waits and a margin.
pub const RUNNER_SILENCE_SECONDS: i64 = 90;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// From here on a date says more than a number of days.
const DATE_AFTER: i64 = 30 * DAY;

/// How long ago, as people say it; a time ahead, which clocks that differ produce, is "now".
#[must_use]
pub fn ago(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    match (now - then).num_seconds() {
        ..5 => "now".to_owned(),
        n @ 5..MINUTE => format!("{n} s ago"),
        n @ MINUTE..HOUR => format!("{} min ago", n / MINUTE),
        n @ HOUR..DAY => format!("{} h ago", n / HOUR),
        n @ DAY..DATE_AFTER if n < 2 * DAY => "yesterday".to_owned(),
        n @ DAY..DATE_AFTER => format!("{} days ago", n / DAY),
        _ => then.format("%Y-%m-%d").to_string(),
    }
}

/// A length of time with two units at most: `7 s`, `3 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn duration(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => two(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        HOUR..DAY => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

/// From a beginning to an end, or to now while there is none; empty before the beginning.
#[must_use]
pub fn span(
    now: DateTime<Utc>,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
) -> String {
    start.map(|start| duration(end.unwrap_or(now) - start)).unwrap_or_default()
}

/// The time for programs: RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A size with a binary unit and three digits at most.
#[must_use]
pub fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    let (unit, name) = match bytes {
        ..KIB => return format!("{bytes} B"),
        KIB..MIB => (KIB, "KiB"),
        MIB..GIB => (MIB, "MiB"),
        _ => (GIB, "GiB"),
    };
    match bytes / unit {
        whole @ ..10 => format!("{whole}.{} {name}", bytes % unit * 10 / unit),
        whole => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn distances_read_as_people_say_them() {
        for (seconds, words) in [
            (-10, "now"),
            (4, "now"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (2 * HOUR, "2 h ago"),
            (DAY, "yesterday"),
            (3 * DAY, "3 days ago"),
            (40 * DAY, "2027-01-15"),
        ] {
            assert_eq!(ago(at(seconds), at(0)), words, "{seconds}");
        }
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, words) in [
            (-3, "0 s"),
            (59, "59 s"),
            (120, "2 min"),
            (200, "3 min 20 s"),
            (2 * HOUR + 5 * MINUTE + 7, "2 h 5 min"),
            (DAY + HOUR, "1 d 1 h"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), words);
        }
        assert_eq!(span(at(9), None, None), "");
        assert_eq!(span(at(9), Some(at(2)), None), "7 s");
    }

    #[test]
    fn sizes_keep_a_digit_where_it_tells_something() {
        for (bytes, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (20 << 20, "20 MiB"),
            (u64::MAX, "17179869183 GiB"),
        ] {
            assert_eq!(size(bytes), words);
        }
    }
}
