//! The only place that writes to the terminal: aligned columns, colours where they are seen,
//! JSON for programs, and nothing of a stranger's that a terminal would obey.

use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Utc};
use forge_bridge::logs::{clean, clean_line};
use forge_bridge::views::times;
use serde::Serialize;

use crate::args::Shown;

/// Spaces between columns.
const GAP: &str = "  ";

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    colours: bool,
    now: DateTime<Utc>,
}

/// One field of a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    colour: Option<&'static str>,
}

impl Output {
    /// Standard output, as the command line and the terminal want it.
    pub(crate) fn new(shown: Shown) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colours = wanted && !shown.json && io::stdout().is_terminal();
        Self { json: shown.json, colours, now: Utc::now() }
    }

    /// Whether a program reads this.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a value as indented JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, value)?;
        out.write_all(b"\n")
    }

    /// Prints a value as one line of JSON, for what comes bit by bit.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, value)?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Prints one line.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", clean_line(text))
    }

    /// Prints lines as they are, but for what a terminal would obey.
    pub(crate) fn text(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(clean(text.as_bytes()).as_bytes())?;
        out.flush()
    }

    /// Prints bytes untouched, for a file or another program.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Prints rows under a heading, columns aligned.
    pub(crate) fn table(&self, heading: &[&str], rows: &[Vec<Cell>]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(laid_out(heading, rows, self.colours).as_bytes())
    }

    /// How long ago.
    pub(crate) fn ago(&self, time: DateTime<Utc>) -> Cell {
        Cell::plain(times::ago(self.now, time))
    }

    /// How long it took, or takes so far.
    pub(crate) fn span(&self, start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> Cell {
        Cell::plain(times::span(self.now, start, end))
    }
}

impl Cell {
    /// Text as it is, on one line.
    pub(crate) fn plain(text: impl AsRef<str>) -> Self {
        Self { text: clean_line(text.as_ref()), colour: None }
    }

    /// The beginning of a text that may be long; the whole is shown elsewhere.
    pub(crate) fn beginning(text: &str, most_chars: usize) -> Self {
        let text = clean_line(text);
        if text.chars().count() <= most_chars {
            return Self { text, colour: None };
        }
        let kept: String = text.chars().take(most_chars.saturating_sub(1)).collect();
        Self { text: format!("{}…", kept.trim_end()), colour: None }
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// A state or an outcome, in its colour.
    pub(crate) fn word(word: &str) -> Self {
        let colour = match word {
            "success" | "planned" | "online" | "ok" => "32",
            "failure" | "failed" | "timed_out" | "silent" => "31",
            "error" => "35",
            "running" | "leased" | "publishing" => "36",
            "queued" | "unpinned" | "waiting" | "pending" | "new" => "33",
            _ => "2",
        };
        // Our word for the bookkeeping, and the page's for what happens.
        let word = if word == "leased" { "running" } else { word };
        Self { text: clean_line(word).replace('_', " "), colour: Some(colour) }
    }
}

/// Rows under a heading; what is empty everywhere takes no column.
fn laid_out(heading: &[&str], rows: &[Vec<Cell>], colours: bool) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0);
        if widest == 0 { 0 } else { widest.max(heading[column].chars().count()) }
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    let mut push_row = |cells: &mut dyn Iterator<Item = (&str, Option<&str>)>| {
        let mut line = String::new();
        let mut padding = 0;
        for ((cell, colour), &width) in cells.zip(&widths).filter(|(_, width)| **width > 0) {
            line.push_str(&" ".repeat(padding));
            match colour.filter(|_| colours && !cell.is_empty()) {
                Some(colour) => line.push_str(&format!("\x1b[{colour}m{cell}\x1b[0m")),
                None => line.push_str(cell),
            }
            padding = width - cell.chars().count() + GAP.len();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push_row(&mut heading.iter().map(|title| (*title, Some("2"))));
    for row in rows {
        push_row(&mut row.iter().map(|cell| (cell.text.as_str(), cell.colour)));
    }
    text
}

/// Tells the person how it goes. Standard error may be closed, and then nobody is there.
pub(crate) fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Tells the person what went wrong. Standard error may be closed, and then nobody is there.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "strata: {}", clean(text.as_bytes()));
}

/// Shows how far something is, on a line that the next one replaces; only to a person.
pub(crate) fn transient(text: &str) {
    let mut error = io::stderr().lock();
    if error.is_terminal() {
        let _ = write!(error, "\r\x1b[K{}", clean_line(text));
        let _ = error.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec![Cell::plain("1"), Cell::word("timed_out"), Cell::plain(""), Cell::plain("a")],
            vec![
                Cell::plain("20"),
                Cell::word("success"),
                Cell::plain(""),
                Cell::plain("b\x1b[2J\nc"),
            ],
        ]
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let text = laid_out(&["ID", "STATE", "NOTE", "NAME"], &rows(), false);
        assert_eq!(text, "ID  STATE      NAME\n1   timed out  a\n20  success    b c\n");
    }

    #[test]
    fn colours_change_no_width() {
        let plain = laid_out(&["ID", "STATE", "NOTE", "NAME"], &rows(), false);
        let coloured = laid_out(&["ID", "STATE", "NOTE", "NAME"], &rows(), true);
        assert!(coloured.contains("\x1b[31mtimed out\x1b[0m"));
        assert_eq!(clean(coloured.as_bytes()), plain);
    }
}
