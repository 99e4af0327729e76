//! A command that runs: its output, its bounds, and its end, whoever wishes it.

use std::io;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use super::Limits;
use super::printed::{Heard, Printed};
use super::run::Ending;
use super::runtime::Runtime;
use super::usage::Usage;
use crate::cancel::{Cancel, Urgency};

/// How long a command may run on before somebody looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// A container whose first process may not be there yet; taken away with the value, however its
/// command ended.
pub(super) struct Container<'a> {
    pub(super) runtime: &'a Runtime,
    /// The build's own directory.
    pub(super) work: &'a Path,
    /// Of the command: the runtime's bundle.
    pub(super) bundle: &'a Path,
    pub(super) id: &'a str,
}

/// What a command is watched for.
pub(super) struct Bounds<'a> {
    pub(super) limits: &'a Limits,
    pub(super) cancel: &'a Cancel,
    pub(super) usage: Option<Usage>,
}

/// A command that is to end.
struct Stopping {
    why: Ending,
    /// Whether all its processes were asked to end.
    is_asked: bool,
    /// When they are killed.
    kill_at: Instant,
}

impl Container<'_> {
    fn kill(&self) {
        self.runtime.delete(self.work, self.id);
    }

    /// Follows the command to the end of its last process.
    pub(super) fn watch(
        &self,
        child: &mut Child,
        mut bounds: Bounds<'_>,
        show: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Ending> {
        let mut printed = Printed::by(child);
        let end = Instant::now() + bounds.limits.step_timeout;
        let mut silent_at = Instant::now() + bounds.limits.silence_timeout;
        let mut stopping: Option<Stopping> = None;
        loop {
            let now = Instant::now();
            match &mut stopping {
                None => stopping = bounds.reason(now, end, silent_at),
                Some(stopping) => bounds.hurry(now, stopping),
            }
            if let Some(stopping) = &mut stopping {
                self.stop(stopping, child.id(), now);
            }
            let deadline = bounds.next_look(now, end.min(silent_at), stopping.is_some());
            match printed.hear(deadline.saturating_duration_since(now))? {
                Heard::Lines(lines) => {
                    silent_at = Instant::now() + bounds.limits.silence_timeout;
                    if !lines.is_empty() {
                        show(&lines);
                    }
                }
                Heard::Nothing => {}
                // The pipes close with the last process of the container.
                Heard::End => break,
            }
        }
        let status = child.wait()?;
        let is_over = |mut usage: Usage| usage.is_over_at_last();
        match (stopping, status.code()) {
            (Some(stopping), _) => Ok(stopping.why),
            (None, _) if bounds.usage.is_some_and(is_over) => Ok(Ending::DiskFull),
            (None, Some(0)) => Ok(Ending::Exit(0)),
            (None, Some(code)) => Ok(match Runtime::complaint(self.bundle) {
                Some(why) => Ending::NotStarted(why),
                None => Ending::Exit(code),
            }),
            (None, None) => Err(io::Error::other(format!("the runtime ended by {status}"))),
        }
    }

    /// Asks or kills, again and again until it helps: the runtime may not have made the container
    /// yet.
    fn stop(&self, stopping: &mut Stopping, runtime: u32, now: Instant) {
        if now >= stopping.kill_at {
            self.kill();
        } else if !stopping.is_asked {
            stopping.is_asked = self.runtime.terminate(self.work, self.bundle, self.id, runtime);
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // A runtime takes its container away itself when all went well.
        if self.runtime.has(self.work, self.id) {
            self.kill();
        }
    }
}

impl Bounds<'_> {
    /// Why the command has to end, if it has to, and how soon.
    fn reason(&mut self, now: Instant, end: Instant, silent_at: Instant) -> Option<Stopping> {
        let is_full = self.usage.as_mut().is_some_and(|usage| usage.is_over(now));
        let urgency = self.cancel.urgency();
        let why = if urgency != Urgency::None {
            Ending::Cancelled
        } else if now >= end {
            Ending::TimedOut
        } else if now >= silent_at {
            Ending::Silent
        } else if is_full {
            Ending::DiskFull
        } else {
            return None;
        };
        // Who fills the disk is not given time to go on.
        let is_urgent = urgency == Urgency::Now || is_full;
        let grace = if is_urgent { Duration::ZERO } else { self.limits.grace };
        Some(Stopping { why, is_asked: false, kill_at: now + grace })
    }

    /// Takes the grace away from a command that was asked to end, when there is a reason for that.
    fn hurry(&mut self, now: Instant, stopping: &mut Stopping) {
        let is_full = self.usage.as_mut().is_some_and(|usage| usage.is_over(now));
        if is_full || self.cancel.urgency() == Urgency::Now {
            stopping.kill_at = stopping.kill_at.min(now);
        }
    }

    fn next_look(&self, now: Instant, end: Instant, is_stopping: bool) -> Instant {
        let look = self.usage.as_ref().map_or(now + LOOK, Usage::next).min(now + LOOK);
        if is_stopping { look } else { look.min(end) }
    }
}
