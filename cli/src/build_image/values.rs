//! Values as people write them.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use workflows::dockerfile::is_linux_of;

/// A directory, from the root: what runs for us has another working directory.
pub(crate) fn directory() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(std::path::absolute)
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// `NAME=VALUE`, or `NAME` for what the environment says, which may be nothing.
pub(super) fn argument(text: &str) -> Result<(String, Option<String>), String> {
    if text.is_empty() || text.contains('=') {
        let wrong = |_| "write NAME=VALUE, or NAME for its value in the environment".to_owned();
        return pair(text).map(|(name, value)| (name, Some(value))).map_err(wrong);
    }
    match std::env::var(text) {
        Ok(value) => Ok((text.to_owned(), Some(value))),
        Err(std::env::VarError::NotPresent) => Ok((text.to_owned(), None)),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(format!("the value of {text} in the environment is no text"))
        }
    }
}

/// The platform of this machine, in any spelling that a FROM line may have.
pub(super) fn platform(text: &str) -> Result<String, String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let own = format!("linux/{architecture}");
    match is_linux_of(text, architecture) {
        true => Ok(own),
        false => Err(format!("this machine builds for {own} only")),
    }
}

/// A time in seconds since 1970; none where nothing is written, as scripts leave a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp(pub(super) Option<i64>);

impl Timestamp {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let seconds = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
        Ok(Self(Some(seconds)))
    }
}

/// `512m`, `2g` or a number of bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size such as 512m");
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['b', 'k', 'm', 'g']);
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

/// A number of processors, such as 1.5.
pub(super) fn processors(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    // Less than a hundredth is below what the scheduler counts in.
    let fits = |number: &f64| (0.01..=4096.0).contains(number);
    number.filter(fits).ok_or_else(|| format!("`{text}` is no number of processors such as 1.5"))
}

/// `90m`, `12h`, `7d`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no age such as 12h");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_bounds() {
        assert_eq!(bytes("512m"), Ok(512 << 20));
        assert_eq!(bytes("7"), Ok(7));
        assert_eq!(processors("1.5"), Ok(1.5));
        for bad in ["", "m", "0", "1x", "99999999999999999999"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "-1", "NaN", "inf"] {
            assert!(processors(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_platform_of_the_machine_has_several_spellings() {
        let (own, others) = match std::env::consts::ARCH {
            "aarch64" => ("linux/arm64", ["linux/arm64/v8", "linux/aarch64", "linux"]),
            _ => ("linux/amd64", ["linux/amd64/v1", "linux/x86_64", "linux"]),
        };
        for text in others.into_iter().chain([own]) {
            assert_eq!(platform(text), Ok(own.to_owned()), "{text}");
        }
        for bad in ["", "windows/amd64", "linux/s390x", "linux/amd64/v9"] {
            assert!(platform(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_is_empty_is_none() {
        assert_eq!(Timestamp::parse(""), Ok(Timestamp(None)));
        assert_eq!(Timestamp::parse("-1"), Ok(Timestamp(Some(-1))));
        assert!(Timestamp::parse("today").is_err());
    }

    #[test]
    fn pairs_have_names() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err());
        assert!(pair("A").is_err());
    }

    #[test]
    fn an_argument_without_a_value_has_that_of_the_environment() {
        let own = |value: Option<String>| Ok(("CARGO_PKG_NAME".to_owned(), value));
        // Cargo and nextest set it for tests; a test that is started by hand has none.
        assert_eq!(argument("CARGO_PKG_NAME"), own(std::env::var("CARGO_PKG_NAME").ok()));
        assert_eq!(argument("STRATA_UNSET_9"), Ok(("STRATA_UNSET_9".to_owned(), None)));
        assert_eq!(argument("A="), Ok(("A".to_owned(), Some(String::new()))));
        assert!(argument("").is_err());
        assert!(argument("=b").is_err());
    }

    #[test]
    fn ages_have_units() {
        assert_eq!(duration("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "h", "1w", "-1h", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
