//! The end of what a command prints, kept for whoever is told that it failed: not everybody sees
//! the rest.

use std::collections::VecDeque;

use super::Progress;

/// Most that is kept, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Most lines that are told.
const MAX_LINES: usize = 100;

/// The last output of a step.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    /// Listens to a build; what was printed before a step is not of that step.
    pub(super) fn hear(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Step { .. } => self.0.clear(),
            Progress::Output(bytes) => self.keep(bytes),
            Progress::Warning(warning) => self.keep(format!("warning: {warning}\n").as_bytes()),
            Progress::Stage(_)
            | Progress::Image(_)
            | Progress::Kept { .. }
            | Progress::Layer { .. } => {}
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.0.extend(&bytes[bytes.len().saturating_sub(MAX_BYTES)..]);
        self.0.drain(..self.0.len().saturating_sub(MAX_BYTES));
    }

    /// At most so many lines and bytes, the last ones.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::from(std::mem::take(&mut self.0));
        let mut ends = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        // The line behind the last end counts too.
        let before = if bytes.ends_with(b"\n") { MAX_LINES } else { MAX_LINES - 1 };
        if let Some((end, _)) = ends.nth(before) {
            bytes.drain(..=end);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(pieces: &[&[u8]]) -> Vec<u8> {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.hear(&Progress::Output(piece)));
        tail.take()
    }

    #[test]
    fn lines_and_bytes_are_bounded() {
        assert_eq!(tail_of(&[b"a\nb", b"c"]), b"a\nbc");
        let lines: String = (0..150).map(|line| format!("{line}\n")).collect();
        let last = tail_of(&[lines.as_bytes()]);
        assert!(last.starts_with(b"50\n") && last.ends_with(b"149\n"));
        let open = tail_of(&[lines.as_bytes(), b"open"]);
        assert!(open.starts_with(b"51\n") && open.ends_with(b"149\nopen"));
        let long = tail_of(&[&vec![b'x'; 3 * MAX_BYTES], b"yz"]);
        assert_eq!(long.len(), MAX_BYTES);
        assert!(long.ends_with(b"xyz"));
    }

    #[test]
    fn a_step_begins_anew() {
        let mut tail = Tail::default();
        tail.hear(&Progress::Output(b"before\n"));
        tail.hear(&Progress::Step { line: 2, text: "RUN x" });
        tail.hear(&Progress::Output(b"now\n"));
        assert_eq!(tail.take(), b"now\n");
    }
}
