//! How far a transfer is, in lines that are not too many.

use std::time::{Duration, Instant};

/// Shortest time between two lines of one transfer.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a transfer has to say.
#[derive(Debug, Clone)]
pub struct Meter {
    name: String,
    total_bytes: Option<u64>,
    began: Instant,
    told: Instant,
}

impl Meter {
    /// Begins a transfer; `total_bytes` is `None` when nobody knows.
    #[must_use]
    pub fn new(name: &str, total_bytes: Option<u64>, now: Instant) -> Self {
        Self { name: name.to_owned(), total_bytes, began: now, told: now }
    }

    /// A line for people, unless the last one was less than a second ago.
    pub fn advance(&mut self, done_bytes: u64, now: Instant) -> Option<String> {
        if now.duration_since(self.told) < INTERVAL {
            return None;
        }
        self.told = now;
        let rate = self.rate(done_bytes, now);
        let done = size(done_bytes);
        Some(match self.total_bytes.filter(|total| *total > 0) {
            Some(total) => {
                let percent = u128::from(done_bytes) * 100 / u128::from(total);
                format!("{}: {done} of {} ({percent} %), {rate}", self.name, size(total))
            }
            None => format!("{}: {done}, {rate}", self.name),
        })
    }

    /// The last line.
    #[must_use]
    pub fn finish(&self, done_bytes: u64, now: Instant) -> String {
        let rate = self.rate(done_bytes, now);
        format!("{}: {done_bytes} bytes, checksum is right, {rate}", self.name)
    }

    fn rate(&self, done_bytes: u64, now: Instant) -> String {
        let millis = now.duration_since(self.began).as_millis().max(1);
        let per_second = u128::from(done_bytes) * 1000 / millis;
        format!("{}/s", size(u64::try_from(per_second).unwrap_or(u64::MAX)))
    }
}

/// Bytes in the largest unit of which there is one, with one decimal.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_one_line_a_second() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut meter = Meter::new("a.tar.xz", Some(4 << 20), start);
        assert_eq!(meter.advance(1, at(999)), None);
        assert_eq!(
            meter.advance(1 << 20, at(1000)).as_deref(),
            Some("a.tar.xz: 1.0 MiB of 4.0 MiB (25 %), 1.0 MiB/s")
        );
        assert_eq!(meter.advance(2 << 20, at(1999)), None);
        assert!(meter.advance(3 << 20, at(2000)).is_some());
        assert_eq!(
            meter.finish(4 << 20, at(4000)),
            "a.tar.xz: 4194304 bytes, checksum is right, 1.0 MiB/s"
        );
    }

    #[test]
    fn an_unknown_total_and_no_time_divide_by_nothing() {
        let start = Instant::now();
        let mut meter = Meter::new("a", None, start);
        assert_eq!(meter.advance(10, start + INTERVAL).as_deref(), Some("a: 10 B, 10 B/s"));
        assert!(meter.finish(u64::MAX, start).ends_with("TiB/s"));
    }
}
