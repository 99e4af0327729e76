//! Output on its way into a log: in whole lines, the two streams of a command apart.
//!
//! Whoever prints chooses where its writes begin and end. What one stream says between two pieces of
//! the other must neither take a secret apart nor a line.

use bollard::container::LogOutput;
use workflows::log_commands::Stream;

use super::AttemptLog;
use super::mask::Held;
use crate::foreground::Heard;

/// Longest line that is kept whole, in bytes.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// One stream of output; what it holds comes out when it goes.
pub(crate) struct LogStream {
    log: AttemptLog,
    number: u64,
    held: Held,
    /// Whether what is held was held at the last pause, too.
    waits: bool,
}

impl LogStream {
    pub(super) fn new(log: AttemptLog, number: u64) -> Self {
        Self { log, number, held: Held::default(), waits: false }
    }

    /// Takes the next bytes; the lines that they end are shown.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.held.extend(bytes);
        let mut writer = self.log.writer();
        let mut shown = Vec::new();
        if bytes.contains(&b'\n') {
            shown = writer.masker.whole_lines(&mut self.held);
            self.waits = false;
        }
        if self.held.len() > MAX_LINE_BYTES {
            shown.extend(writer.masker.certain(&mut self.held));
        }
        self.log.append(&mut writer, Some(self.number), shown);
    }

    /// To be called now and then: a line that stays without its end from one time to the next is
    /// shown as far as it cannot be the beginning of a secret.
    pub(crate) fn pause(&mut self) {
        if self.waits {
            let mut writer = self.log.writer();
            let shown = writer.masker.certain(&mut self.held);
            self.log.append(&mut writer, Some(self.number), shown);
        }
        self.waits = self.held.len() > 0;
    }

    /// Shows all that is held; the stream is at an end.
    pub(crate) fn finish(&mut self) {
        let mut writer = self.log.writer();
        let shown = writer.masker.rest(&mut self.held);
        self.log.append(&mut writer, Some(self.number), shown);
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What one command prints.
pub(crate) struct Printed {
    out: LogStream,
    err: LogStream,
}

impl Printed {
    /// The output of a command that begins.
    pub(crate) fn new(log: &AttemptLog) -> Self {
        Self { out: log.stream(), err: log.stream() }
    }

    /// One of the streams.
    pub(crate) fn of(&mut self, stream: Stream) -> &mut LogStream {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// Takes a piece of output.
    pub(crate) fn push(&mut self, piece: &LogOutput) {
        self.of(stream_of(piece)).push(piece.as_ref());
    }

    /// Takes what is heard of a command that is the only one of its container.
    pub(crate) fn hear(&mut self, heard: &Heard<'_>) {
        match heard {
            Heard::Output(piece) => self.push(piece),
            Heard::Pause => self.pause(),
        }
    }

    /// To be called now and then, as [`LogStream::pause`].
    pub(crate) fn pause(&mut self) {
        self.out.pause();
        self.err.pause();
    }
}

/// Where a piece of output comes from.
pub(crate) fn stream_of(piece: &LogOutput) -> Stream {
    match piece {
        LogOutput::StdErr { .. } => Stream::Err,
        LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
            Stream::Out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Masker;
    use super::*;

    /// What the log shows of what is printed.
    fn shown(print: impl FnOnce(&AttemptLog, &mut Printed)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let masker = Masker::new(["hunter2".to_owned()]);
        let log = AttemptLog::create(dir.path(), "1.1", 1 << 20, masker).unwrap();
        let mut printed = Printed::new(&log);
        print(&log, &mut printed);
        drop(printed);
        log.close();
        let bytes = log.reader().unwrap().read(0, usize::MAX).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_one_stream_says_cuts_no_secret_and_no_line_of_the_other() {
        let text = shown(|log, printed| {
            for letter in "x hunter2 y".split("").filter(|letter| !letter.is_empty()) {
                printed.out.push(letter.as_bytes());
                printed.err.push(b"E");
            }
            printed.err.push(b"!\n");
            log.line("ours");
            printed.out.push(b"\nhun");
        });
        assert_eq!(text, "EEEEEEEEEEE!\nours\nx *** y\nhun");
    }

    #[test]
    fn a_line_that_stays_without_its_end_is_shown_but_for_what_may_be_a_secret() {
        let text = shown(|log, printed| {
            printed.out.push(b"Name? hunt");
            printed.pause();
            printed.err.push(b"fresh ");
            printed.pause();
            printed.err.push(b"line\n");
            log.line("ours");
            printed.out.push(b"er2 it is\n");
        });
        assert_eq!(text, "Name? \nfresh line\nours\n*** it is\n");
        let text = shown(|_, printed| {
            printed.out.push(b"1% ");
            printed.pause();
            printed.pause();
            printed.out.push(b"2%\n");
        });
        assert_eq!(text, "1% 2%\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_shown_in_parts_and_masked_all_the_same() {
        let text = shown(|_, printed| {
            for _ in 0..MAX_LINE_BYTES {
                printed.out.push(b"hunter2,");
            }
            printed.err.push(b"E\n");
        });
        let (long, rest) = text.split_once('\n').unwrap();
        assert!(long.len() > MAX_LINE_BYTES && !text.contains("hunter"), "{}", text.len());
        assert!(rest.starts_with("E\n") && text.replace("***,", "").trim_matches('*').len() < 9);
    }

    #[test]
    fn what_is_held_when_a_mask_is_added_is_masked_by_it() {
        let text = shown(|log, printed| {
            printed.out.push(b"a secret word");
            assert!(log.add_mask("secret"));
            printed.out.push(b"\n");
        });
        assert_eq!(text, "a *** word\n");
    }
}
