//! What is wrong in a file that a person wrote, where, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most diagnostics that one file gets; a file with more faults is not read to its end by anyone.
pub const MAX_DIAGNOSTICS: usize = 100;

/// Longest piece of a stranger's text that a message repeats, in characters.
const MAX_QUOTED_CHARS: usize = 80;

/// Longest word that is compared with the known ones, in bytes; the comparison is quadratic.
const MAX_COMPARED_BYTES: usize = 64;

/// A place in a file. Both numbers count from 1; a column counts characters, not bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in that line.
    pub column: u32,
}

/// Whether a diagnostic stops the file from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing runs until this is mended.
    Error,
    /// Nothing runs either: the file is right, and asks for what is not done here.
    Refusal,
    /// The file is used, but not as its author may think.
    Warning,
}

/// One finding in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Character in the line, from 1.
    pub column: u32,
    /// Whether it stops the file from being used.
    pub severity: Severity,
    /// What is wrong: the key and what was expected there.
    pub message: String,
    /// What would probably be right.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

/// Gathers the diagnostics of one file, so that a person sees all faults at once.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    errors: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// An empty report on `file`.
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: 0, diagnostics: Vec::new() }
    }

    /// Something that stops the file from being used.
    pub(crate) fn error(&mut self, at: Position, message: impl Into<String>) {
        self.add(at, Severity::Error, message.into(), None);
    }

    /// The same, with a proposal.
    pub(crate) fn error_with_hint(
        &mut self,
        at: Position,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(at, Severity::Error, message.into(), Some(hint.into()));
    }

    /// Something that is right and not done here.
    pub(crate) fn refusal(&mut self, at: Position, message: impl Into<String>) {
        self.add(at, Severity::Refusal, message.into(), None);
    }

    /// The same, with a proposal.
    pub(crate) fn refusal_with_hint(
        &mut self,
        at: Position,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(at, Severity::Refusal, message.into(), Some(hint.into()));
    }

    /// Something that the author should know.
    pub(crate) fn warning(&mut self, at: Position, message: impl Into<String>) {
        self.add(at, Severity::Warning, message.into(), None);
    }

    /// The same, with a proposal.
    pub(crate) fn warning_with_hint(
        &mut self,
        at: Position,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(at, Severity::Warning, message.into(), Some(hint.into()));
    }

    /// Whether anything stops the file from being used.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// What was found, in the order of the file: the errors, or else the warnings.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        self.diagnostics.sort_by_key(Diagnostic::position);
        if self.errors > 0 { Err(self.diagnostics) } else { Ok(self.diagnostics) }
    }

    fn add(&mut self, at: Position, severity: Severity, message: String, hint: Option<String>) {
        self.errors += usize::from(severity != Severity::Warning);
        let (file, line, column) = (self.file.clone(), at.line, at.column);
        let found = Diagnostic { file, line, column, severity, message, hint };
        // The jobs of a matrix share their text; each fault of it is told once.
        if self.diagnostics.len() < MAX_DIAGNOSTICS && !self.diagnostics.contains(&found) {
            self.diagnostics.push(found);
        }
    }
}

/// A stranger's text as a message may repeat it: between backticks, cut, control characters
/// escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for c in text.chars().take(MAX_QUOTED_CHARS) {
        if c.is_control() { out.extend(c.escape_debug()) } else { out.push(c) }
    }
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// The candidate that `word` probably stands for, if one is near enough.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let word = normal(word);
    candidates
        .into_iter()
        .map(|candidate| {
            let other = normal(candidate);
            let distance = if words(&word) == words(&other) { 0 } else { distance(&word, &other) };
            (distance, candidate)
        })
        .filter(|&(distance, candidate)| distance <= (candidate.len().min(word.len()) / 3).max(1))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn normal(word: &str) -> String {
    word.to_ascii_lowercase().replace('_', "-")
}

/// The parts of a hyphenated word in a fixed order, since `ignore-paths` is a common slip.
fn words(word: &str) -> Vec<&str> {
    let mut words: Vec<&str> = word.split('-').collect();
    words.sort_unstable();
    words
}

/// Edits between two words: letters put in, left out, changed, or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, &l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != r)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && l == right[j - 1] && left[i - 1] == r {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_word_that_was_meant() {
        const KEYS: [&str; 5] = ["branches", "paths", "paths-ignore", "runs-on", "steps"];
        for (slip, meant) in [
            ("branch", Some("branches")),
            ("ignore-paths", Some("paths-ignore")),
            ("runs_on", Some("runs-on")),
            ("RunsOn", Some("runs-on")),
            ("setps", Some("steps")),
            ("path", Some("paths")),
            ("services", None),
            ("x", None),
        ] {
            assert_eq!(nearest(slip, KEYS), meant, "{slip}");
        }
        assert_eq!(nearest(&"s".repeat(1_000), KEYS), None);
    }

    #[test]
    fn a_diagnostic_reads_like_a_compilers() {
        let mut report = Report::new("ci.yaml");
        report.error_with_hint(Position { line: 3, column: 5 }, "unknown key `x`", "use `y`");
        report.warning(Position { line: 1, column: 1 }, "odd");
        let shown: Vec<String> =
            report.finish().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["ci.yaml:1:1: warning: odd", "ci.yaml:3:5: unknown key `x` (hint: use `y`)"]
        );
    }

    #[test]
    fn text_of_strangers_is_cut_and_escaped() {
        assert_eq!(quoted("a\u{1b}[1m"), "`a\\u{1b}[1m`");
        assert_eq!(quoted(&"é".repeat(100)).chars().count(), MAX_QUOTED_CHARS + 3);
    }
}
