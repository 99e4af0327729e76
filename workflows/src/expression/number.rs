//! Numbers as the expression language reads and writes them.

/// Significant digits that a number keeps as text.
const DIGITS: usize = 15;

/// Reads a number as the language spells it; `None` for anything else.
pub(super) fn parse(text: &str) -> Option<f64> {
    let radix = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix).filter(|digits| !digits.starts_with('+'))?;
        // Digits beyond 64 bits are no number that anybody writes.
        u64::from_str_radix(digits, radix).ok()
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        #[expect(clippy::cast_precision_loss, reason = "the language has only such numbers")]
        return Some(number as f64);
    }
    match text {
        "Infinity" | "+Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    // Rust reads words such as `inf` as numbers, too.
    let spelt = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if spelt { text.parse().ok() } else { None }
}

/// A string's number: blanks around it do not count, nothing is zero, other text is no number.
pub(super) fn of_text(text: &str) -> f64 {
    match text.trim() {
        "" => 0.0,
        trimmed => parse(trimmed).unwrap_or(f64::NAN),
    }
}

/// A number as text, with at most fifteen digits and an exponent when it is very large or small.
pub(super) fn to_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:.*e}", DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let digits: String = mantissa.bytes().filter(u8::is_ascii_digit).map(char::from).collect();
    let digits = digits.trim_end_matches('0');
    let (first, rest) = digits.split_at(1);
    let dotted = |whole: &str, part: &str| match part {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    };
    match usize::try_from(exponent) {
        Ok(places) if places < DIGITS => {
            let padded = format!("{digits:0<width$}", width = places + 1);
            let (whole, part) = padded.split_at(places + 1);
            dotted(whole, part)
        }
        Err(_) if exponent >= -5 => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or_default();
            dotted("0", &format!("{}{digits}", "0".repeat(zeros)))
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}E{sign}{:02}", dotted(first, rest), exponent.abs())
        }
    }
}
