//! `.dockerignore`: which files of the context a build does not see.

use regex::bytes::{Regex, RegexBuilder};

/// Most patterns in one file; each is tried once on every file of the context, and on every directory.
pub const MAX_PATTERNS: usize = 1000;
/// Largest compiled pattern, in bytes: a thousand characters of the most expensive kind.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Largest table of states that one pattern builds up while it matches, in bytes; it begins anew
/// when that is full.
const MAX_STATES_BYTES: usize = 64 * 1024;
/// Longest file that is read, in bytes.
pub const MAX_IGNORE_BYTES: usize = 256 * 1024;

/// A `.dockerignore` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(".dockerignore line {line}: {message}")]
pub struct IgnoreError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// The patterns of a `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    regex: Regex,
    /// Written with `!`: what it matches is seen after all.
    includes: bool,
}

/// What the patterns say of one path. What is in a directory begins with what they say of that.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Of each pattern, whether it matches the path or a directory above it.
    matched: Vec<bool>,
    is_excluded: bool,
}

impl Seen {
    /// Whether the build does not see it.
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        self.is_excluded
    }
}

impl Ignore {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`IgnoreError`] names the line of a pattern that means nothing.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_IGNORE_BYTES {
            let message = format!("the file has more than {MAX_IGNORE_BYTES} bytes");
            return Err(IgnoreError { line: 1, message });
        }
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let failed = |message| IgnoreError { line: index + 1, message };
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            if patterns.len() == MAX_PATTERNS {
                return Err(failed(format!("more than {MAX_PATTERNS} patterns")));
            }
            patterns.extend(Pattern::parse(line.trim()).map_err(failed)?);
        }
        Ok(Self { patterns })
    }

    /// Whether the build does not see the file or directory at `path`, which is relative to the
    /// context and divided by `/`. The last pattern that matches it, or a directory above it,
    /// decides. Whoever walks a tree asks by [`Ignore::top`] and [`Ignore::below`], which try no
    /// pattern twice.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        self.at(path).is_excluded()
    }

    /// The same, for a walk that begins at `path`.
    #[must_use]
    pub fn at(&self, path: &str) -> Seen {
        let path = path.trim_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.fold(self.top(), |above, end| self.below(&above, &path[..end]))
    }

    /// The context itself, which no pattern matches.
    #[must_use]
    pub fn top(&self) -> Seen {
        Seen { matched: vec![false; self.patterns.len()], is_excluded: false }
    }

    /// What is in the directory that `above` is about, at `path` from the context on.
    #[must_use]
    pub fn below(&self, above: &Seen, path: &str) -> Seen {
        let tried = self.patterns.iter().zip(&above.matched);
        let matches = |(pattern, above): (&Pattern, &bool)| {
            // The empty path is the context.
            *above || (!path.is_empty() && pattern.regex.is_match(path.as_bytes()))
        };
        let matched: Vec<bool> = tried.map(matches).collect();
        let mut both = self.patterns.iter().zip(&matched).rev();
        let last = both.find(|(_, matched)| **matched);
        let is_excluded = last.is_some_and(|(pattern, _)| !pattern.includes);
        Seen { matched, is_excluded }
    }

    /// Whether a `!` pattern may bring back files below an excluded directory, so that the
    /// directory must be walked all the same.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.includes)
    }
}

impl Pattern {
    /// `None` for a pattern of the context itself, which matches nothing below it.
    fn parse(written: &str) -> Result<Option<Self>, String> {
        let (includes, path) = match written.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, written),
        };
        if path.is_empty() {
            return Err("`!` needs a pattern behind it".to_owned());
        }
        let path = cleaned(path);
        if path.is_empty() {
            return Ok(None);
        }
        let source = regex_source(&path)?;
        let regex = RegexBuilder::new(&source)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_STATES_BYTES)
            // Bytes need a fraction of the states, and tell `/` from the rest.
            .unicode(false)
            .dot_matches_new_line(true)
            .build();
        let regex = regex.map_err(|error| {
            let is_long = matches!(error, regex::Error::CompiledTooBig(_));
            let why = if is_long { "too long" } else { "no pattern" };
            format!("`{}` is {why}", super::error::shown(written))
        })?;
        Ok(Some(Self { regex, includes }))
    }
}

/// The path without `.`, `..`, doubled and outer slashes.
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `*` and `?` stop at slashes, `**` does not and may be nothing at all with the slash behind it.
fn regex_source(pattern: &str) -> Result<String, String> {
    let mut source = String::from("^");
    let mut rest = pattern.chars().peekable();
    let mut at_start = true;
    // Moby compares a pattern that begins with `**` and has no other special character as a
    // plain suffix, which matters for `**foo`: it matches `barfoo`.
    let suffix_only = pattern.strip_prefix("**").is_some_and(|tail| !tail.contains(SPECIAL));
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let slash = rest.next_if_eq(&'/').is_some();
                let is_suffix = at_start && suffix_only && !slash;
                source.push_str(if rest.peek().is_none() || is_suffix { ".*" } else { "(?:.*/)?" });
            }
            '*' => source.push_str("[^/]*"),
            '?' => source.push_str(CHARACTER),
            '\\' => match rest.next() {
                Some(escaped) => push_literal(&mut source, escaped),
                None => return Err("a pattern ends in a lone backslash".to_owned()),
            },
            '[' => push_class(&mut source, &mut rest)?,
            c => push_literal(&mut source, c),
        }
        at_start = false;
    }
    source.push('$');
    Ok(source)
}

/// Any character but `/`, in the bytes of UTF-8.
const CHARACTER: &str = r"(?:[\x00-.0-\x7f]|[\xc0-\xff][\x80-\xbf]*)";

/// Characters that mean something in a pattern.
const SPECIAL: [char; 5] = ['*', '?', '[', ']', '\\'];

fn push_literal(source: &mut String, c: char) {
    source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// `[a-z]`, `[^a]`: characters and ranges, each of which may be escaped.
fn push_class(
    source: &mut String,
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<(), String> {
    let refused = || "a `[` is not closed, or closed around nothing".to_owned();
    source.push_str("(?u:[");
    if rest.next_if_eq(&'^').is_some() {
        source.push('^');
    }
    let mut empty = true;
    loop {
        if !empty && rest.next_if_eq(&']').is_some() {
            source.push_str("])");
            return Ok(());
        }
        let first = class_character(rest).ok_or_else(refused)?;
        let last = match rest.next_if_eq(&'-') {
            Some(_) => class_character(rest).ok_or_else(refused)?,
            None => first,
        };
        if last < first {
            return Err(format!("the range `{first}-{last}` runs backwards"));
        }
        source.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(first), u32::from(last)));
        empty = false;
    }
}

fn class_character(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '\\' => rest.next(),
        ']' | '-' => None,
        c => Some(c),
    }
}
