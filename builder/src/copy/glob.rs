//! Patterns in the sources of COPY and ADD, as Go's `filepath.Match` reads them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Whether a part of a path is a pattern.
pub(super) fn is_pattern(part: &OsStr) -> bool {
    part.as_bytes().iter().any(|byte| b"*?[\\".contains(byte))
}

/// Whether a name matches a pattern without slashes; `None` when the pattern is malformed.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> Option<bool> {
    let (mut at, mut from) = (0, 0);
    // Where the last star stood, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            None => (from == name.len()).then_some(0),
            Some(_) => one(pattern, at, name.get(from).copied())?,
        };
        match (step, star) {
            (Some(0), _) => return Some(true),
            (Some(next), _) => {
                at = next;
                from += 1;
            }
            (None, Some((star_at, taken))) if taken < name.len() => {
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                from = taken + 1;
            }
            (None, _) => return Some(false),
        }
    }
}

/// Matches one character; the answer is where the pattern goes on. `None` outside means malformed.
fn one(pattern: &[u8], at: usize, byte: Option<u8>) -> Option<Option<usize>> {
    match pattern[at] {
        b'?' => Some(byte.map(|_| at + 1)),
        b'\\' => {
            let escaped = *pattern.get(at + 1)?;
            Some((byte == Some(escaped)).then_some(at + 2))
        }
        b'[' => class(pattern, at + 1, byte),
        literal => Some((byte == Some(literal)).then_some(at + 1)),
    }
}

fn class(pattern: &[u8], mut at: usize, byte: Option<u8>) -> Option<Option<usize>> {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let (start, mut found) = (at, false);
    while at == start || *pattern.get(at)? != b']' {
        let (low, next) = class_byte(pattern, at)?;
        let (high, next) = match pattern.get(next) {
            Some(b'-') => class_byte(pattern, next + 1)?,
            _ => (low, next),
        };
        found |= byte.is_some_and(|byte| (low..=high).contains(&byte));
        at = next;
    }
    Some((byte.is_some() && found != negated).then_some(at + 1))
}

fn class_byte(pattern: &[u8], at: usize) -> Option<(u8, usize)> {
    match *pattern.get(at)? {
        b'\\' => Some((*pattern.get(at + 1)?, at + 2)),
        b'-' | b']' => None,
        byte => Some((byte, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*", "a", Some(true)),
            ("*.txt", "a.txt", Some(true)),
            ("*.txt", "a.txt.gz", Some(false)),
            ("a*b*c", "axxbyyc", Some(true)),
            ("a*b*c", "axxbyy", Some(false)),
            ("?", "", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            ("[^a-c]x", "dx", Some(true)),
            ("\\*", "*", Some(true)),
            ("\\*", "a", Some(false)),
            ("[a", "a", None),
            ("[]", "a", None),
            ("a\\", "ab", None),
            ("", "", Some(true)),
            ("*a", "aaaa", Some(true)),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
