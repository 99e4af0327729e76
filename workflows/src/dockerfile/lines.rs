//! From physical lines to logical ones: directives, comments, continuations, here-documents.
//!
//! Each logical line keeps a map back to the bytes of the file, so that a reference can be pinned
//! without touching anything beside it.

use std::ops::Range;

use super::{DockerfileError, directives::Directives};

/// One instruction's text, joined from its physical lines.
#[derive(Debug, Clone)]
pub(crate) struct LogicalLine {
    /// Number of the first physical line, from 1.
    pub(crate) number: usize,
    /// The text, without continuation characters, comments and line ends.
    pub(crate) text: String,
    /// Where each piece of `text` begins, in `text` and in the file; ascending.
    pieces: Vec<(usize, usize)>,
}

impl LogicalLine {
    /// A line that stands nowhere in the file by itself: the instruction behind ONBUILD.
    pub(crate) fn detached(number: usize, text: String) -> Self {
        Self { number, text, pieces: Vec::new() }
    }

    /// The bytes of the file that hold the given bytes of the line, as few ranges as possible.
    ///
    /// `offsets` are byte offsets in `text`, ascending.
    pub(crate) fn in_file(&self, offsets: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for offset in offsets {
            let piece = self.pieces.partition_point(|&(start, _)| start <= offset);
            let Some(&(start, in_file)) = piece.checked_sub(1).and_then(|i| self.pieces.get(i))
            else {
                continue;
            };
            let at = in_file + offset - start;
            match ranges.last_mut() {
                Some(last) if last.end == at => last.end += 1,
                _ => ranges.push(at..at + 1),
            }
        }
        ranges
    }
}

/// Walks through a file, line by line.
pub(crate) struct Reader<'a> {
    /// Offset in the file and text of each physical line, with its line end.
    lines: std::iter::Peekable<std::vec::IntoIter<(usize, &'a str)>>,
    /// Physical lines that were read.
    number: usize,
    directives: Directives,
}

impl<'a> Reader<'a> {
    /// `text` is the whole file; a byte order mark at its start is skipped.
    pub(crate) fn new(text: &'a str) -> Self {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut offset = text.len() - body.len();
        let mut lines = Vec::new();
        for line in body.split_inclusive('\n') {
            lines.push((offset, line));
            offset += line.len();
        }
        Self { lines: lines.into_iter().peekable(), number: 0, directives: Directives::default() }
    }

    /// The escape character that the file chose.
    pub(crate) fn escape(&self) -> char {
        self.directives.escape
    }

    /// How many physical lines were read.
    pub(crate) fn line_number(&self) -> usize {
        self.number
    }

    /// The next instruction's line; `None` at the end of the file.
    pub(crate) fn next_logical(&mut self) -> Result<Option<LogicalLine>, DockerfileError> {
        while let Some((offset, raw)) = self.next_physical() {
            let line = raw.trim_end_matches(['\r', '\n']);
            let stripped = line.trim_start();
            self.directives.look_at(stripped, self.number)?;
            if stripped.is_empty() || stripped.starts_with('#') {
                continue;
            }
            return Ok(Some(self.joined(offset + line.len() - stripped.len(), stripped)));
        }
        Ok(None)
    }

    fn joined(&mut self, offset: usize, first: &str) -> LogicalLine {
        let escape = self.directives.escape;
        let (text, mut continues) = without_continuation(first, escape);
        let mut joined =
            LogicalLine { number: self.number, text: text.to_owned(), pieces: vec![(0, offset)] };
        while continues {
            let Some((offset, raw)) = self.next_physical() else { break };
            let line = raw.trim_end_matches(['\r', '\n']);
            let stripped = line.trim_start();
            // Comments and empty lines inside an instruction are skipped and do not end it.
            if stripped.is_empty() || stripped.starts_with('#') {
                continue;
            }
            let (text, more) = without_continuation(line, escape);
            joined.pieces.push((joined.text.len(), offset));
            joined.text.push_str(text);
            continues = more;
        }
        joined
    }

    /// The body of a here-document up to the line that holds only `terminator`; `None` when the
    /// file ends before it. `strip_tabs` lets tabs stand before the terminator.
    pub(crate) fn heredoc_body(&mut self, terminator: &str, strip_tabs: bool) -> Option<String> {
        let mut body = String::new();
        while let Some((_, raw)) = self.next_physical() {
            let line = raw.trim_end_matches(['\r', '\n']);
            let candidate = if strip_tabs { line.trim_start_matches('\t') } else { line };
            if candidate == terminator {
                return Some(body);
            }
            body.push_str(raw);
        }
        None
    }

    fn next_physical(&mut self) -> Option<(usize, &'a str)> {
        let line = self.lines.next()?;
        self.number += 1;
        Some(line)
    }
}

/// Cuts off the escape character, with blanks after it, that joins a line to the next. Two of
/// them are one escaped escape character and join nothing.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    let Some(before) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else {
        return (line, false);
    };
    if before.ends_with(escape) { (line, false) } else { (before, true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<(usize, String)> {
        let mut reader = Reader::new(file);
        let mut lines = Vec::new();
        while let Some(line) = reader.next_logical().unwrap() {
            lines.push((line.number, line.text));
        }
        lines
    }

    #[test]
    fn comments_and_empty_lines_do_not_end_an_instruction() {
        let file =
            "\u{feff}# a\r\nRUN a \\\r\n  # b\r\n\r\n  && c \\  \r\n d\r\nRUN e\\\\\r\nRUN f";
        let expected = [(2, "RUN a   && c  d"), (7, "RUN e\\\\"), (8, "RUN f")];
        assert_eq!(texts(file), expected.map(|(n, text)| (n, text.to_owned())));
    }

    #[test]
    fn bytes_of_a_line_are_found_in_the_file() {
        let file = "\n  FROM fed\\\n# c\nora:43 AS x\n";
        let line = Reader::new(file).next_logical().unwrap().unwrap();
        assert_eq!(line.text, "FROM fedora:43 AS x");
        let found: Vec<&str> = line.in_file(5..14).into_iter().map(|range| &file[range]).collect();
        assert_eq!(found, ["fed", "ora:43"]);
    }
}
