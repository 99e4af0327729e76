//! Following a job's log until the job is over.

use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::timeout;
use workflows::ids::{JobId, RunId};

use super::{LogError, Logs, clean};
use crate::store::{LogTarget, Store, StoreError};
use crate::views::LogPage;

/// Most bytes of stored log in one piece; also the longest line that is kept whole.
pub(crate) const PIECE_BYTES: u64 = 64 << 10;
/// How often a follower looks without being woken: what changed may have had nobody to tell.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Why a log cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// The job's row could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The job was there and is not any more.
    #[error("the job is gone")]
    Gone,
}

/// What a follower hears.
#[derive(Debug)]
pub(crate) enum News {
    /// More lines.
    Lines(LogPage),
    /// The job's state, attempt or steps changed.
    Change,
    /// Nothing more will come of this attempt.
    End,
}

/// Reads one attempt of one job from an offset on.
#[derive(Debug)]
pub(crate) struct Follower {
    store: Store,
    logs: Logs,
    run: RunId,
    name: String,
    attempt: u32,
    offset: u64,
    revision: String,
    wakes: broadcast::Receiver<JobId>,
}

impl Follower {
    /// Begins at `from`, in the given attempt or in the newest. `None` when there is no such job.
    pub(crate) async fn open(
        store: &Store,
        logs: &Logs,
        run: RunId,
        name: &str,
        attempt: Option<u32>,
        from: u64,
    ) -> Result<Option<Self>, FollowError> {
        // Listening begins before the first look, so that nothing falls between the two.
        let wakes = logs.listen();
        let Some(target) = store.log_target(run, name).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            store: store.clone(),
            logs: logs.clone(),
            run,
            name: name.to_owned(),
            // Before the first attempt there is nothing to read, and the first is what comes.
            attempt: attempt.unwrap_or(target.attempt).max(1),
            offset: from,
            revision: target.revision,
            wakes,
        }))
    }

    /// The lines that are there now, from the offset on; possibly none.
    pub(crate) async fn page(&mut self) -> Result<LogPage, FollowError> {
        let target = self.target().await?;
        let page = self.piece(&target).await?;
        self.offset = page.next;
        Ok(page)
    }

    /// Waits for lines, for at most `wait`, and answers what is there then.
    pub(crate) async fn page_within(&mut self, wait: Duration) -> Result<LogPage, FollowError> {
        let lines = async {
            loop {
                match self.next().await? {
                    News::Lines(page) => return Ok(page),
                    News::End => return self.page().await,
                    News::Change => {}
                }
            }
        };
        match timeout(wait, lines).await {
            Ok(page) => page,
            Err(_) => self.page().await,
        }
    }

    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> Result<News, FollowError> {
        loop {
            // The job's row first: once it says that the job is over, the file is complete.
            let target = self.target().await?;
            let page = self.piece(&target).await?;
            if page.next > page.from {
                self.offset = page.next;
                return Ok(News::Lines(page));
            }
            if target.revision != self.revision {
                self.revision = target.revision;
                return Ok(News::Change);
            }
            if page.finished {
                return Ok(News::End);
            }
            self.woken(&target).await;
        }
    }

    async fn target(&self) -> Result<LogTarget, FollowError> {
        self.store.log_target(self.run, &self.name).await?.ok_or(FollowError::Gone)
    }

    async fn piece(&self, target: &LogTarget) -> Result<LogPage, FollowError> {
        let over = target.finished || target.attempt > self.attempt;
        let part = self.logs.read(target.job, self.attempt, self.offset, PIECE_BYTES).await?;
        let at_end = self.offset + part.bytes.len() as u64 >= part.stored_bytes;
        let length = whole_lines(&part.bytes, over && at_end);
        let next = self.offset + length as u64;
        Ok(LogPage {
            job: self.name.clone(),
            attempt: self.attempt,
            from: self.offset,
            next,
            stored_bytes: part.stored_bytes,
            finished: over && next >= part.stored_bytes,
            text: clean(&part.bytes[..length]),
        })
    }

    async fn woken(&mut self, target: &LogTarget) {
        let wake = async {
            loop {
                match self.wakes.recv().await {
                    Ok(job) if job == target.job => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    // No more wake-ups ever; the interval remains.
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // Woken or not, the caller looks again.
        let _ = timeout(LOOK_INTERVAL, wake).await;
    }
}

/// The last whole lines of an attempt's log, of at most `max` bytes.
pub(crate) async fn tail(
    logs: &Logs,
    job: JobId,
    attempt: u32,
    over: bool,
    max: u64,
) -> Result<Tail, LogError> {
    let stored = logs.read(job, attempt, 0, 0).await?.stored_bytes;
    let from = stored.saturating_sub(max);
    let part = logs.read(job, attempt, from, max).await?;
    // What was appended between the two reads is left for the stream.
    let end = whole_lines(&part.bytes, over);
    let cut = from > 0;
    let first_line = part.bytes[..end].iter().position(|&b| b == b'\n').map_or(0, |at| at + 1);
    let start = if cut { first_line } else { 0 };
    Ok(Tail { text: clean(&part.bytes[start..end]), cut, next: from + end as u64 })
}

/// The end of a log.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The lines.
    pub(crate) text: String,
    /// Whether there are more before them.
    pub(crate) cut: bool,
    /// Where a stream goes on.
    pub(crate) next: u64,
}

/// How much of a piece ends with a whole line; all of it when nothing follows, or when a single
/// line is longer than a piece, which is then cut between characters.
fn whole_lines(bytes: &[u8], complete: bool) -> usize {
    if complete {
        return bytes.len();
    }
    // A `\r` may be the first half of a line end whose second half has not come.
    if let Some(last) = bytes.iter().rposition(|&b| b == b'\n') {
        return last + 1;
    }
    if (bytes.len() as u64) < PIECE_BYTES {
        return 0;
    }
    match std::str::from_utf8(bytes) {
        // Cut inside a character: its beginning waits for its end.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_lines() {
        assert_eq!(whole_lines(b"one\ntwo", false), 4);
        assert_eq!(whole_lines(b"one\ntwo", true), 7);
        assert_eq!(whole_lines(b"prompt> ", false), 0);
        assert_eq!(whole_lines(b"", true), 0);
    }

    #[test]
    fn a_line_longer_than_a_piece_is_cut_between_characters() {
        let mut line = vec![b'x'; PIECE_BYTES as usize - 1];
        line.push("é".as_bytes()[0]);
        assert_eq!(whole_lines(&line, false), PIECE_BYTES as usize - 1);
        assert_eq!(whole_lines(&vec![0xff; PIECE_BYTES as usize], false), PIECE_BYTES as usize);
    }
}
