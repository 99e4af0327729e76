//! What a command prints, in whole lines.
//!
//! What one of its streams says must not come between the parts of a line of the other, where whoever
//! masks secrets would not find one.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Most output that is read at once, in bytes.
const OUTPUT_BYTES: usize = 16 * 1024;
/// Longest line that is kept whole, in bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The streams of a command that are still open.
pub(super) struct Printed(Vec<Stream>);

struct Stream {
    pipe: std::fs::File,
    /// The beginning of a line.
    held: Vec<u8>,
}

/// What [`Printed::hear`] tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something was printed: the lines that are whole by it, or none yet.
    Lines(Vec<u8>),
    /// Nothing was, for as long as was waited.
    Nothing,
    /// Nobody can print any more.
    End,
}

impl Printed {
    pub(super) fn by(child: &mut Child) -> Self {
        let out = child.stdout.take().map(OwnedFd::from);
        let err = child.stderr.take().map(OwnedFd::from);
        Self(out.into_iter().chain(err).map(Stream::new).collect())
    }

    /// Waits for something to be printed, at most so long.
    pub(super) fn hear(&mut self, wait: Duration) -> io::Result<Heard> {
        if self.0.is_empty() {
            return Ok(Heard::End);
        }
        let mut ready: Vec<PollFd<'_>> =
            self.0.iter().map(|stream| PollFd::new(&stream.pipe, PollFlags::IN)).collect();
        let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
        match poll(&mut ready, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(at) = ready.iter().position(|one| !one.revents().is_empty()) else {
            return Ok(Heard::Nothing);
        };
        let (lines, is_open) = self.0[at].read()?;
        let stream = self.0.remove(at);
        // The other one is asked first the next time.
        self.0.extend(is_open.then_some(stream));
        Ok(Heard::Lines(lines))
    }
}

impl Stream {
    fn new(pipe: OwnedFd) -> Self {
        Self { pipe: pipe.into(), held: Vec::new() }
    }

    /// Reads what is there; tells the lines that are whole and whether there may be more.
    fn read(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let mut buffer = [0; OUTPUT_BYTES];
        match self.pipe.read(&mut buffer) {
            Ok(0) => Ok((std::mem::take(&mut self.held), false)),
            Ok(read) => {
                self.held.extend_from_slice(&buffer[..read]);
                Ok((whole_lines(&mut self.held), true))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok((Vec::new(), true)),
            Err(error) => Err(error),
        }
    }
}

/// Takes out what is whole, or too long to become it. A bar of progress writes over its line.
fn whole_lines(held: &mut Vec<u8>) -> Vec<u8> {
    let end = held.iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
    let whole = match end {
        Some(end) => end + 1,
        None if held.len() > MAX_LINE_BYTES => held.len(),
        None => 0,
    };
    held.drain(..whole).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_of_two_streams_stay_whole() {
        let ((out, mut to_out), (err, mut to_err)) =
            (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let mut printed = Printed(vec![Stream::new(out.into()), Stream::new(err.into())]);
        let mut heard = || printed.hear(Duration::from_secs(10)).unwrap();
        let lines = |lines: &[u8]| Heard::Lines(lines.to_vec());
        to_out.write_all(b"a sec").unwrap();
        assert_eq!(heard(), lines(b""), "a sign of life");
        to_err.write_all(b"between\n").unwrap();
        assert_eq!(heard(), lines(b"between\n"));
        to_out.write_all(b"ret\n10%\r5").unwrap();
        assert_eq!(heard(), lines(b"a secret\n10%\r"));
        drop(to_out);
        assert_eq!(heard(), lines(b"5"));
        drop(to_err);
        assert_eq!((heard(), heard()), (lines(b""), Heard::End));
    }

    #[test]
    fn waiting_ends_and_so_does_the_length_of_a_line() {
        let (out, mut to_out) = std::io::pipe().unwrap();
        let mut printed = Printed(vec![Stream::new(out.into())]);
        assert_eq!(printed.hear(Duration::from_millis(1)).unwrap(), Heard::Nothing);
        let mut told = 0;
        while told <= MAX_LINE_BYTES {
            to_out.write_all(&[b'x'; OUTPUT_BYTES]).unwrap();
            let Heard::Lines(lines) = printed.hear(Duration::from_secs(10)).unwrap() else {
                panic!("something was printed");
            };
            told += lines.len();
        }
        assert!(printed.0[0].held.len() <= MAX_LINE_BYTES);
    }
}
