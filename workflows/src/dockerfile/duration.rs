//! Durations as Go writes them: `1m30s`, `1.5h`, `500ms`.

use std::time::Duration;

use super::error::shown;

/// Shortest duration that a health check takes; Docker refuses shorter ones.
const MIN_DURATION: Duration = Duration::from_millis(1);

/// Reads a duration; zero stands for the default.
///
/// # Errors
/// A sentence when it is no duration or shorter than a millisecond.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{}` is no duration such as 30s, 1m30s or 500ms", shown(text));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_end =
            rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let number: f64 = number.parse().map_err(|_| refused())?;
        seconds += number
            * match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(refused()),
            };
        rest = tail;
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| refused())?;
    if text.is_empty() {
        return Err(refused());
    }
    if duration.is_zero() || duration >= MIN_DURATION {
        return Ok(duration);
    }
    Err(format!("`{}` is shorter than a millisecond", shown(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "1x", "-1s", "1us", "1..5s", "999999999999999999999h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
