//! One field of a schedule, as a set of numbers.

use crate::diagnostic::quoted;

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    first: u32,
    last: u32,
    /// Words for the numbers from `first` on.
    words: &'static [&'static str],
}

pub(super) const MINUTE: Spec = Spec { name: "minute", first: 0, last: 59, words: &[] };
pub(super) const HOUR: Spec = Spec { name: "hour", first: 0, last: 23, words: &[] };
pub(super) const DAY_OF_MONTH: Spec = Spec { name: "day of month", first: 1, last: 31, words: &[] };
pub(super) const MONTH: Spec = Spec {
    name: "month",
    first: 1,
    last: 12,
    words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// Sunday may be written 7; it is kept as 0.
pub(super) const DAY_OF_WEEK: Spec = Spec {
    name: "day of week",
    first: 0,
    last: 7,
    words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

/// The numbers at which a field matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    bits: u64,
    starred: bool,
}

impl Field {
    /// Every number.
    pub(super) fn all(spec: &Spec) -> Self {
        Self { bits: range(spec, spec.first, spec.last, 1), starred: true }
    }

    /// Reads a list of numbers, words, ranges and steps.
    pub(super) fn parse(spec: &Spec, text: &str) -> Result<Self, String> {
        let mut bits = 0;
        for item in text.split(',') {
            bits |= parse_item(spec, item)?;
        }
        Ok(Self { bits, starred: text.starts_with('*') })
    }

    /// Whether the field begins with `*`, which makes it no restriction in cron's eyes even as
    /// `*/2`.
    pub(super) fn is_starred(&self) -> bool {
        self.starred
    }

    pub(super) fn values(&self) -> impl Iterator<Item = u32> + '_ {
        (0..u64::BITS).filter(|&value| self.bits & (1 << value) != 0)
    }

    /// The numbers, changed by `change`, with commas between.
    pub(super) fn listed(&self, change: impl Fn(u32) -> u32) -> String {
        let numbers: Vec<String> = self.values().map(|value| change(value).to_string()).collect();
        numbers.join(",")
    }
}

fn parse_item(spec: &Spec, item: &str) -> Result<u64, String> {
    let (span, step) = match item.split_once('/') {
        Some((span, step)) => {
            let step = step.parse().ok().filter(|step| (1..=spec.last).contains(step));
            (span, Some(step.ok_or_else(|| format!("{} has no step that fits", quoted(item)))?))
        }
        None => (item, None),
    };
    let (first, last) = match span.split_once('-') {
        _ if span == "*" => (spec.first, spec.last),
        Some((first, last)) => (parse_value(spec, first)?, parse_value(spec, last)?),
        None if step.is_some() => {
            let hint = spec.last.min(if spec.words.len() == 7 { 6 } else { spec.last });
            return Err(format!(
                "a step needs a range: write {}-{hint}/… instead of {}",
                span.escape_debug(),
                quoted(item)
            ));
        }
        None => {
            let value = parse_value(spec, span)?;
            (value, value)
        }
    };
    // `SAT-SUN` means what it says.
    let last = if is_weekday(spec) && last == 0 && first > 0 { 7 } else { last };
    if first > last {
        return Err(format!("{} goes backwards", quoted(item)));
    }
    Ok(range(spec, first, last, step.unwrap_or(1)))
}

fn is_weekday(spec: &Spec) -> bool {
    spec.last == DAY_OF_WEEK.last
}

fn parse_value(spec: &Spec, text: &str) -> Result<u32, String> {
    let word =
        spec.words.iter().zip(spec.first..).find(|(word, _)| word.eq_ignore_ascii_case(text));
    if let Some((_, value)) = word {
        return Ok(value);
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let value = if digits { text.parse().ok() } else { None };
    value.filter(|value| (spec.first..=spec.last).contains(value)).ok_or_else(|| {
        let words = match spec.words {
            [first, .., last] => format!(" or from {first} to {last}"),
            _ => String::new(),
        };
        format!("{} is not from {} to {}{words}", quoted(text), spec.first, spec.last)
    })
}

fn range(spec: &Spec, first: u32, last: u32, step: u32) -> u64 {
    let mut bits = 0;
    let mut value = first;
    while value <= last {
        let kept = if is_weekday(spec) { value % 7 } else { value };
        bits |= 1 << kept;
        value += step;
    }
    bits
}
