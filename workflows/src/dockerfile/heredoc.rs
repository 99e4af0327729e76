//! Here-documents: which of them a line opens.

use super::expand::{Lexer, Unset};
use super::instruction::Heredoc;

/// The here-documents that a line opens, in order, still without bodies.
///
/// # Errors
/// A sentence when a terminator's quotes do not close.
pub(crate) fn opened_by(line: &str) -> Result<Vec<Heredoc>, String> {
    if !line.contains("<<") {
        return Ok(Vec::new());
    }
    let mut lexer = Lexer::new('\\', &|_| None);
    lexer.unset = Unset::Keep;
    lexer.keep_quotes = true;
    lexer.keep_escapes = true;
    lexer.max_bytes = usize::MAX;
    // A line whose quotes do not close opens none: it is the shell's to complain about.
    let words = lexer.expand(line).map(|expanded| expanded.words).unwrap_or_default();
    let mut opened = Vec::new();
    for word in words {
        opened.extend(from_word(&word)?);
    }
    Ok(opened)
}

/// Reads one word such as `<<EOF`, `3<<-'EOF'`; `None` when it opens nothing.
pub(crate) fn from_word(word: &str) -> Result<Option<Heredoc>, String> {
    let Some((descriptor, rest)) = word.split_once("<<") else { return Ok(None) };
    let (strip_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let well_formed = descriptor.bytes().all(|b| b.is_ascii_digit());
    if !well_formed || rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let mut lexer = Lexer::new('\\', &|_| None);
    lexer.unset = Unset::Keep;
    let mut words = lexer.expand(rest)?.words;
    let (Some(name), true) = (words.pop(), words.is_empty()) else { return Ok(None) };
    lexer.keep_quotes = true;
    // A terminator that is quoted in any part keeps the shell from expanding the body.
    let quoted = lexer.expand(rest)?.words.first() != Some(&name);
    Ok(Some(Heredoc { name, body: String::new(), expand: !quoted, strip_tabs }))
}

impl Heredoc {
    /// The body as the file or command gets it: `<<-` takes the leading tabs of each line.
    #[must_use]
    pub fn content(&self) -> String {
        if !self.strip_tabs {
            return self.body.clone();
        }
        self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}
