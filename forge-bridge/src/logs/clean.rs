//! Hostile bytes into text that neither a terminal nor a browser obeys.
//!
//! A job's log may hold anything: cursor movements, titles, clipboard writes, bytes that are no
//! UTF-8, characters that turn the reading direction around. What is left is lines of text.

/// Where the scanner stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scan {
    Text,
    /// After ESC.
    Escape,
    /// Inside `ESC [ … final`.
    Csi,
    /// Inside a string such as a window title, which BEL or `ESC \` ends.
    Str,
}

/// The text of a part of a log: escape sequences gone, lines ended by `\n` alone, every other
/// control character but the tab shown as `�`.
///
/// A sequence never reaches over the end of a line, so that text cut between lines reads the
/// same as the whole.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut scan = Scan::Text;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        scan = match (scan, c) {
            (_, '\n') => {
                out.push('\n');
                Scan::Text
            }
            // A progress bar returns to the line's start; each of its states gets a line.
            (_, '\r') => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
                Scan::Text
            }
            (_, '\u{1b}') => Scan::Escape,
            (Scan::Text, '\u{9b}') => Scan::Csi,
            (Scan::Text, c) => {
                out.push(if is_harmless(c) { c } else { char::REPLACEMENT_CHARACTER });
                Scan::Text
            }
            (Scan::Escape, '[') => Scan::Csi,
            (Scan::Escape, ']' | 'P' | 'X' | '^' | '_') => Scan::Str,
            // Two-character sequences may have bytes between, such as `ESC ( B`.
            (Scan::Escape, ' '..='/') => Scan::Escape,
            (Scan::Escape, _) | (Scan::Csi, '@'..='~') | (Scan::Str, '\u{7}') => Scan::Text,
            (Scan::Csi, _) => Scan::Csi,
            (Scan::Str, _) => Scan::Str,
        };
    }
    out
}

/// The same for a name or a sentence that belongs on one line.
#[must_use]
pub fn clean_line(text: &str) -> String {
    clean(text.as_bytes()).replace(['\n', '\t'], " ").trim_end().to_owned()
}

fn is_harmless(c: char) -> bool {
    // Overrides and isolates of the reading direction can make a line say what it does not.
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Line and paragraph separators are lines to some programs and not to others.
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    c == '\t' || !(c.is_control() || turns || separates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_leave_no_trace() {
        for (raw, text) in [
            ("\x1b[1;31mred\x1b[0m text", "red text"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b(Bplain", "plain"),
            ("\u{9b}31mred", "red"),
            ("\x1bPq...\x1b\\x", "x"),
            ("\x1b[2J\x1b[Hhome", "home"),
            ("lone\x1b", "lone"),
        ] {
            assert_eq!(clean(raw.as_bytes()), text, "{raw:?}");
        }
    }

    #[test]
    fn a_sequence_ends_with_its_line_so_that_a_cut_changes_nothing() {
        let whole = "\x1b]0;no end\nsecond \x1b[31\nthird";
        assert_eq!(clean(whole.as_bytes()), "\nsecond \nthird");
        let parts: String =
            whole.split_inclusive('\n').map(|part| clean(part.as_bytes())).collect();
        assert_eq!(parts, clean(whole.as_bytes()));
    }

    #[test]
    fn control_and_direction_characters_are_shown_not_obeyed() {
        assert_eq!(clean(b"a\0b\x08c\td"), "a\u{fffd}b\u{fffd}c\td");
        assert_eq!(clean("x\u{202e}y\u{2066}".as_bytes()), "x\u{fffd}y\u{fffd}");
        assert_eq!(clean(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(clean("žluťoučký 🐴".as_bytes()), "žluťoučký 🐴");
    }

    #[test]
    fn every_kind_of_line_end_is_one_line_end() {
        assert_eq!(clean(b"a\r\nb\n10%\r20%\rdone\n"), "a\nb\n10%\n20%\ndone\n");
        assert_eq!(clean_line("two\nlines\x1b[31m "), "two lines");
    }
}
