//! What can go wrong, by what the caller can do about it.

use std::path::Path;
use std::time::Duration;

/// Longest cause that is told, in characters: a server's answer is a stranger's text.
const MAX_CAUSE_CHARS: usize = 400;

/// Longest pause that a server can ask for: a broken clock or a hostile header must not silence it
/// for longer.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// The pause of "too many requests" when the server names none.
const UNNAMED_PAUSE: Duration = Duration::from_secs(60);

/// An answer over HTTP that is none of git's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// What it said in `Retry-After`.
    pub(crate) pause: Option<Duration>,
}

/// Why git work failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The repository, or an object in the mirror, is not there. Retrying does not help.
    #[error("not found: {0}")]
    NotFound(String),
    /// The server wants other credentials. Retrying does not help.
    #[error("access refused: {0}; check the clone token and its rights")]
    Auth(String),
    /// The server no longer has the commit, for example after a forced push.
    #[error("commit {commit} is gone from {remote}")]
    CommitGone {
        /// Which.
        commit: String,
        /// Where it was looked for.
        remote: String,
    },
    /// The server did not answer or answered nonsense. Worth a retry.
    #[error("cannot reach the repository: {0}")]
    Unreachable(String),
    /// The server asks to be left alone for a while. Worth a retry after that.
    #[error("the server asks for a pause of {} s: {why}", pause.as_secs())]
    Busy {
        /// How long from now, an hour at most.
        pause: Duration,
        /// What it said.
        why: String,
    },
    /// The request or the repository's content is not acceptable. Retrying does not help.
    #[error("not acceptable: {0}")]
    Invalid(String),
    /// A bound was exceeded. Retrying does not help.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The deadline passed or the caller interrupted.
    #[error("interrupted before the work was done")]
    Interrupted,
    /// This machine's disk or a program of it failed. Worth a retry.
    #[error("local storage: {0}")]
    Local(String),
}

impl GitError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Busy { .. } | Self::Local(_) | Self::Interrupted
        )
    }

    /// How long the server wants to be left alone, where it said so.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Busy { pause, .. } => Some(*pause),
            _ => None,
        }
    }

    /// A server's refusal over HTTP, with the words of the error that it became.
    pub(crate) fn of_refusal(refusal: Refusal, error: &gix::Error) -> Self {
        let why = cause(error);
        let pause = match (refusal.status, refusal.pause) {
            (429, None) => Some(UNNAMED_PAUSE),
            (429 | 503, pause) => pause,
            _ => None,
        };
        if let Some(pause) = pause {
            return Self::Busy { pause: pause.min(MAX_PAUSE), why };
        }
        match refusal.status {
            404 | 410 => Self::NotFound(why),
            401 | 403 => Self::Auth(why),
            500.. => Self::Unreachable(why),
            _ => Self::of_network(error),
        }
    }

    /// An error of the file system, with the path that it is about.
    pub(crate) fn local(path: &Path, error: &std::io::Error) -> Self {
        Self::Local(format!("{}: {error}", path.display()))
    }

    /// An error while talking to a server.
    pub(crate) fn of_network(error: &gix::Error) -> Self {
        let cause = cause(error);
        let classes = || error.classify();
        if classes().is_cancelled() {
            Self::Interrupted
        } else if classes().is_unauthenticated()
            || classes().is_permission_denied()
            // The words of ssh.
            || cause.contains("Permission denied")
        {
            Self::Auth(cause)
        } else if classes().is_resource_exhausted() {
            Self::TooLarge(cause)
        } else if classes().is_unsupported() {
            Self::Invalid(cause)
        } else {
            // Whatever else a transport says has passed with time more often than not; callers
            // bound their attempts.
            Self::Unreachable(cause)
        }
    }

    /// An error while reading objects that the mirror already has.
    pub(crate) fn of_objects(what: &str, error: &gix::Error) -> Self {
        let text = format!("{what}: {}", cause(error));
        let classes = || error.classify();
        if classes().is_not_found() {
            Self::NotFound(text)
        } else if classes().is_resource_exhausted() {
            Self::TooLarge(text)
        } else if classes().is_corrupted() || classes().is_validation() {
            Self::Invalid(text)
        } else {
            Self::Local(text)
        }
    }
}

/// Whether a server said that it does not hand out this object by its id.
pub(crate) fn is_refused_want(error: &gix::Error) -> bool {
    let cause = cause(error);
    cause.contains("not our ref") || cause.contains("unadvertised object")
}

/// All levels of an error in one line, without control characters.
fn cause(error: &gix::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for level in error.iter_errors() {
        let text = level.to_string();
        if !text.is_empty() && parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
    }
    let joined = parts.join(": ");
    joined.chars().take(MAX_CAUSE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
