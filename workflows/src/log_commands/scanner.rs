//! Finds commands in output as it comes, in pieces of any length.

use super::LogCommand;

/// Longest line that is read as a command, in bytes; a longer one is text.
pub const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// What is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Output as it is.
    Text(Vec<u8>),
    /// A line that is a command.
    Command(LogCommand),
}

/// Where output comes from; lines of the two must not be mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Reads the output of one step. Text goes through at once; only a line that may be a command is
/// held back until it is whole.
#[derive(Debug, Default)]
pub struct Scanner {
    out: Line,
    err: Line,
    /// The token that makes commands work again.
    stopped: Option<String>,
}

#[derive(Debug, Default)]
struct Line {
    held: Vec<u8>,
    /// Whether the beginning of the line is shown already, so that it is no command.
    is_text: bool,
}

impl Scanner {
    /// Takes the next bytes of a stream.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        let line = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = part.ends_with(b"\n");
            if line.is_text {
                text.extend_from_slice(part);
                line.is_text = !is_whole;
                continue;
            }
            line.held.extend_from_slice(part);
            if is_whole {
                let whole = std::mem::take(&mut line.held);
                match command(&whole, &mut self.stopped) {
                    Some(command) => {
                        if !text.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut text)));
                        }
                        pieces.push(Piece::Command(command));
                    }
                    None => text.extend(whole),
                }
            } else if !may_be_command(&line.held) || line.held.len() > MAX_COMMAND_BYTES {
                text.append(&mut line.held);
                line.is_text = true;
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces
    }

    /// What was held back of a stream; the step has ended.
    pub fn finish(&mut self, stream: Stream) -> Option<Piece> {
        let line = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let held = std::mem::take(&mut line.held);
        if held.is_empty() {
            return None;
        }
        Some(match command(&held, &mut self.stopped) {
            Some(command) => Piece::Command(command),
            None => Piece::Text(held),
        })
    }
}

/// Whether a line that begins so can be a command.
fn may_be_command(begun: &[u8]) -> bool {
    let begun = begun.trim_ascii_start();
    begun.starts_with(b"::") || b"::".starts_with(begun)
}

fn command(line: &[u8], stopped: &mut Option<String>) -> Option<LogCommand> {
    if line.len() > MAX_COMMAND_BYTES || !line.trim_ascii_start().starts_with(b"::") {
        return None;
    }
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\r', '\n']);
    if let Some(token) = stopped {
        let resumes = line.trim().strip_prefix("::").and_then(|rest| rest.strip_suffix("::"));
        if resumes == Some(token) {
            *stopped = None;
            return Some(LogCommand::Nothing);
        }
        return None;
    }
    let command = LogCommand::parse(line)?;
    if let LogCommand::StopCommands(token) = &command {
        *stopped = Some(token.clone());
    }
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text as it is, commands in brackets.
    fn scanned(pieces: &[(Stream, &str)]) -> String {
        let mut scanner = Scanner::default();
        let mut found: Vec<Piece> = Vec::new();
        for (stream, text) in pieces {
            found.extend(scanner.push(*stream, text.as_bytes()));
        }
        found.extend([Stream::Out, Stream::Err].into_iter().filter_map(|of| scanner.finish(of)));
        let shown = |piece: Piece| match piece {
            Piece::Text(text) => String::from_utf8(text).unwrap(),
            Piece::Command(command) => format!("[{command:?}]"),
        };
        found.into_iter().map(shown).collect()
    }

    #[test]
    fn a_command_is_found_however_it_is_cut() {
        let text = "a\n  ::group::t\nb ::group::x\n";
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            let found = scanned(&[(Stream::Out, left), (Stream::Out, right)]);
            assert_eq!(found, "a\n[Group(\"t\")]b ::group::x\n", "cut at {cut}");
        }
        assert_eq!(scanned(&[(Stream::Out, "::endgroup::")]), "[EndGroup]");
    }

    #[test]
    fn text_is_not_held_back() {
        let mut scanner = Scanner::default();
        let text = |text: &[u8]| vec![Piece::Text(text.to_vec())];
        assert_eq!(scanner.push(Stream::Out, b"progress 1%"), text(b"progress 1%"));
        assert_eq!(scanner.push(Stream::Out, b"\r::debug::x"), text(b"\r::debug::x"));
        assert_eq!(scanner.push(Stream::Out, b"\n:"), text(b"\n"));
        assert_eq!(scanner.push(Stream::Out, b"x"), text(b":x"));
    }

    #[test]
    fn the_two_streams_do_not_mix() {
        let pieces = [(Stream::Out, "::gro"), (Stream::Err, "oh\n"), (Stream::Out, "up::x\n")];
        assert_eq!(scanned(&pieces), "oh\n[Group(\"x\")]");
    }

    #[test]
    fn commands_can_be_stopped_until_a_token() {
        let text = "::stop-commands::abc\n::error::x\n::abd::\n::abc::\n::endgroup::\n";
        let expected = "[StopCommands(\"abc\")]::error::x\n::abd::\n[Nothing][EndGroup]";
        assert_eq!(scanned(&[(Stream::Out, text)]), expected);
    }

    #[test]
    fn a_line_without_end_is_text() {
        let mut scanner = Scanner::default();
        let long = vec![b'x'; MAX_COMMAND_BYTES];
        assert_eq!(scanner.push(Stream::Out, b"::error::"), []);
        let shown = scanner.push(Stream::Out, &long);
        assert!(matches!(&shown[..], [Piece::Text(text)] if text.len() == MAX_COMMAND_BYTES + 9));
    }
}
