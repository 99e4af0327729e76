//! The last line that a command printed: most often the reason why it failed.

use std::sync::{Arc, Mutex, PoisonError};

/// Longest line that is told, in characters; what is cut off stands in the log.
const MAX_CHARS: usize = 200;
/// Bytes that are kept while no line ends, enough for characters of four bytes and for colours.
const MAX_HELD_BYTES: usize = 2048;

/// Keeps the last line of an output that says something; clones listen to the same output.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    /// The last line that ended and is not empty.
    line: Vec<u8>,
    /// What has been said since.
    open: Vec<u8>,
}

impl LastWords {
    /// Listens to more output.
    pub(crate) fn hear(&self, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|&byte| matches!(byte, b'\n' | b'\r')) {
            let is_whole = piece.ends_with(b"\n") || piece.ends_with(b"\r");
            let room = MAX_HELD_BYTES.saturating_sub(heard.open.len());
            heard.open.extend_from_slice(&piece[..piece.len().min(room)]);
            if is_whole {
                let open = std::mem::take(&mut heard.open);
                if says_something(&open) {
                    heard.line = open;
                }
            }
        }
    }

    /// Begins anew, with the next command.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Heard::default();
    }

    /// Why a command failed, with its last line behind it. Whoever tells it to others masks it, as
    /// all that is told of the end of a job.
    pub(crate) fn after(&self, why: &str) -> String {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = if says_something(&heard.open) { &heard.open } else { &heard.line };
        let plain = without_controls(&String::from_utf8_lossy(last));
        let mut chars = plain.chars();
        let mut line: String = chars.by_ref().take(MAX_CHARS).collect();
        if chars.next().is_some() {
            line.push('…');
        }
        if line.is_empty() { why.to_owned() } else { format!("{why}: {line}") }
    }
}

fn says_something(line: &[u8]) -> bool {
    !without_controls(&String::from_utf8_lossy(line)).is_empty()
}

/// A line without colours and other control sequences, blanks at its ends taken away.
fn without_controls(line: &str) -> String {
    let mut plain = String::new();
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // A sequence ends with its first letter.
            chars.by_ref().find(|char| ('@'..='~').contains(char));
        } else if !char.is_control() || char == '\t' {
            plain.push(char);
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> String {
        let words = LastWords::default();
        pieces.iter().for_each(|piece| words.hear(piece.as_bytes()));
        words.after("exit status 1")
    }

    #[test]
    fn the_last_line_that_says_something_is_told() {
        for (pieces, expected) in [
            (&["one\ntw", "o\n", "\n \n"][..], "exit status 1: two"),
            (&["one\nno end"], "exit status 1: no end"),
            (&["50%\r100%\r\n"], "exit status 1: 100%"),
            (
                &["\u{1b}[31merror:\u{1b}[0m no\u{7} rule\n\u{1b}[0m\n"],
                "exit status 1: error: no rule",
            ),
            (&[], "exit status 1"),
        ] {
            assert_eq!(told(pieces), expected, "{pieces:?}");
        }
        let long = told(&[&"ä".repeat(10_000), "\n"]);
        assert_eq!(long.chars().count(), "exit status 1: ".len() + MAX_CHARS + 1);
        assert!(long.ends_with("ä…"), "{long}");
    }

    #[test]
    fn a_command_does_not_speak_for_the_next_one() {
        let words = LastWords::default();
        words.hear(b"of the first\n");
        words.forget();
        assert_eq!(words.clone().after("exit status 2"), "exit status 2");
    }
}
