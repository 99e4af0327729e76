//! The filter patterns of `branches`, `tags` and `paths`, as GitHub documents them.
//!
//! They look like globs and are not: `?` and `+` repeat what stands before them, and `!` takes
//! back what an earlier pattern gave. Each pattern becomes a regular expression of a kind that
//! matches in linear time whatever a stranger writes. It is compiled anew for each use: a stranger's
//! files hold thousands of patterns, and compiled ones are a hundred times as large.

use regex::bytes::{Regex, RegexBuilder};

use crate::diagnostic::{Position, quoted};

/// Longest pattern, in bytes; no ref and hardly a path is longer.
pub const MAX_PATTERN_BYTES: usize = 255;
/// Most patterns of one filter; each is tried on each changed path.
pub const MAX_PATTERNS: usize = 100;
/// Largest compiled pattern, in bytes. [`MAX_PATTERN_BYTES`] of ordinary text need a small part.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Largest table of states that one pattern builds up while it matches, in bytes; it begins anew
/// when that is full.
const MAX_STATES_BYTES: usize = 64 * 1024;

/// One pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    at: Position,
    takes_back: bool,
    /// The regular expression that it stands for, which can be compiled.
    regex: String,
}

/// One pattern, ready to match many names.
#[derive(Debug)]
pub struct Matcher {
    takes_back: bool,
    regex: Regex,
}

/// The patterns of one key.
#[derive(Debug, Clone)]
pub struct Filter {
    kind: FilterKind,
    patterns: Vec<Pattern>,
}

/// What matching means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterKind {
    /// `branches`: what matches fires.
    Only,
    /// `branches-ignore`: what matches does not fire.
    Except,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what in it cannot be understood.
    pub fn parse(text: &str, at: Position) -> Result<Self, String> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(format!(
                "a pattern has at most {MAX_PATTERN_BYTES} bytes, this one has {}",
                text.len()
            ));
        }
        let (takes_back, body) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if body.is_empty() {
            return Err(format!("pattern {} matches nothing", quoted(text)));
        }
        let regex = translated(body)?;
        compiled(&regex).map_err(|_| format!("pattern {} is too complex", quoted(text)))?;
        Ok(Self { text: text.to_owned(), at, takes_back, regex })
    }

    /// Compiles it.
    #[must_use]
    pub fn matcher(&self) -> Option<Matcher> {
        // It was compiled when it was read; `None` is for nobody.
        let regex = compiled(&self.regex).ok()?;
        Some(Matcher { takes_back: self.takes_back, regex })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it stands in the file.
    #[must_use]
    pub fn at(&self) -> Position {
        self.at
    }

    /// Whether it begins with `!`.
    #[must_use]
    pub fn takes_back(&self) -> bool {
        self.takes_back
    }
}

impl Matcher {
    /// Whether it is about `name`, also when it takes it back.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name.as_bytes())
    }
}

impl Filter {
    /// A filter of patterns in the order as written.
    #[must_use]
    pub fn new(kind: FilterKind, patterns: Vec<Pattern>) -> Self {
        Self { kind, patterns }
    }

    /// Whether `name` passes this filter.
    #[must_use]
    pub fn accepts(&self, name: &str) -> bool {
        self.accepts_any([name])
    }

    /// Whether one of the names passes this filter.
    #[must_use]
    pub fn accepts_any<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> bool {
        let matchers: Vec<Matcher> = self.patterns.iter().filter_map(Pattern::matcher).collect();
        // The last pattern that matches decides.
        let matches = |name: &str| {
            let last = matchers.iter().rev().find(|pattern| pattern.matches(name));
            last.is_some_and(|pattern| !pattern.takes_back)
        };
        names.into_iter().any(|name| match self.kind {
            FilterKind::Only => matches(name),
            FilterKind::Except => !matches(name),
        })
    }

    /// Whether matching names fire or do not fire.
    #[must_use]
    pub fn kind(&self) -> FilterKind {
        self.kind
    }

    /// The patterns, in order.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

fn compiled(regex: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(regex)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_STATES_BYTES)
        // Bytes suffice to tell `/` from the rest, and need a fraction of the states.
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
}

/// The regular expression that stands for a pattern without its `!`.
fn translated(pattern: &str) -> Result<String, String> {
    // Each part is closed in itself, so that `?` and `+` apply to all of the last one.
    let mut parts: Vec<String> = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            // `docs/**/x` matches `docs/x` too: the slash goes with the stars.
            '*' if after.starts_with("*/") => {
                parts.push("(?:.*/)?".to_owned());
                &after[2..]
            }
            '*' if after.starts_with('*') => {
                parts.push(".*".to_owned());
                &after[1..]
            }
            '*' => {
                parts.push("[^/]*".to_owned());
                after
            }
            '?' | '+' => {
                let Some(last) = parts.last_mut() else {
                    return Err(format!(
                        "pattern {} begins with `{c}`, which repeats the character before it",
                        quoted(pattern)
                    ));
                };
                *last = format!("(?:{last}){c}");
                after
            }
            '[' => {
                let (class, after) = bracketed(pattern, after)?;
                parts.push(class);
                after
            }
            '\\' => {
                let Some(escaped) = after.chars().next() else {
                    return Err(format!("pattern {} ends with `\\`", quoted(pattern)));
                };
                parts.push(regex::escape(escaped.encode_utf8(&mut [0; 4])));
                &after[escaped.len_utf8()..]
            }
            other => {
                parts.push(regex::escape(other.encode_utf8(&mut [0; 4])));
                after
            }
        };
    }
    Ok(format!("^(?:{})$", parts.concat()))
}

/// Reads `a-z0-9]` behind an opening bracket.
fn bracketed<'a>(pattern: &str, after: &'a str) -> Result<(String, &'a str), String> {
    let refused = |why: &str| Err(format!("pattern {}: {why}", quoted(pattern)));
    let Some((inside, rest)) = after.split_once(']') else {
        return refused("`[` is not closed by `]`");
    };
    let bytes = inside.as_bytes();
    if bytes.is_empty() {
        return refused("`[]` matches nothing");
    }
    let mut i = 0;
    while i < bytes.len() {
        let first = bytes[i];
        if !first.is_ascii_alphanumeric() {
            return refused("only letters, digits and ranges of them can stand in `[…]`");
        }
        i += 1;
        if bytes.get(i) == Some(&b'-') {
            let same_kind = |last: u8| {
                first.is_ascii_digit() == last.is_ascii_digit()
                    && first.is_ascii_lowercase() == last.is_ascii_lowercase()
            };
            match bytes.get(i + 1) {
                Some(&last) if last.is_ascii_alphanumeric() && same_kind(last) && first <= last => {
                    i += 2;
                }
                _ => return refused("a range goes from a to z, from A to Z or from 0 to 9"),
            }
        }
    }
    Ok((format!("[{inside}]"), rest))
}
