//! Why work ends before its end, by whose doing.
//!
//! The user's fault, our fault, a person's wish and a lost lease lead to different reports and
//! different retries, so they are variants of one type and never a matter of reading messages.

use workflows::protocol::JobReport;
use workflows::state::{Fault, Outcome};

/// Why an attempt ends before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The repository's fault: a command failed, a file is wrong.
    #[error("{0}")]
    Failure(String),
    /// Our fault; a new attempt may do better.
    #[error("{message}")]
    Fault {
        /// Which part of us.
        fault: Fault,
        /// What happened, where.
        message: String,
    },
    /// The job ran longer than it may.
    #[error("{0}")]
    TimedOut(String),
    /// A person stopped it.
    #[error("cancelled")]
    Cancelled,
    /// The lease is another's: end everything, report nothing.
    #[error("the lease is lost: {0}")]
    LeaseLost(String),
}

impl Stop {
    /// The repository's fault.
    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::Failure(message.into())
    }

    /// The sandbox could not be made or broke.
    pub(crate) fn sandbox(message: impl std::fmt::Display) -> Self {
        Self::Fault { fault: Fault::Sandbox, message: message.to_string() }
    }

    /// A registry did not answer as it should.
    pub(crate) fn registry(message: impl std::fmt::Display) -> Self {
        Self::Fault { fault: Fault::Registry, message: message.to_string() }
    }

    /// A mistake of ours.
    pub(crate) fn bug(message: impl std::fmt::Display) -> Self {
        Self::Fault { fault: Fault::Bug, message: message.to_string() }
    }

    /// How a job or step that ended so is told.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Failure(_) => Outcome::Failure,
            Self::Fault { .. } | Self::LeaseLost(_) => Outcome::Error,
            Self::TimedOut(_) => Outcome::TimedOut,
            Self::Cancelled => Outcome::Cancelled,
        }
    }

    /// The report for the bridge; `None` when there must be none.
    pub(crate) fn report(&self, fence: i64) -> Option<JobReport> {
        let fault = match self {
            Self::LeaseLost(_) => return None,
            Self::Fault { fault, .. } => Some(*fault),
            Self::Failure(_) | Self::TimedOut(_) | Self::Cancelled => None,
        };
        let message = match self {
            Self::Cancelled => "Cancelled".to_owned(),
            other => other.to_string(),
        };
        Some(JobReport {
            fence,
            outcome: self.outcome(),
            fault,
            message,
            image: None,
            evidence: None,
            outputs: Default::default(),
            summary: None,
            annotations: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_lease_is_never_reported() {
        assert!(Stop::LeaseLost("stale fence".to_owned()).report(1).is_none());
    }

    #[test]
    fn only_our_fault_carries_a_fault() {
        let ours = Stop::sandbox("no space").report(3).unwrap();
        assert_eq!((ours.outcome, ours.fault), (Outcome::Error, Some(Fault::Sandbox)));
        let theirs = Stop::failure("Dockerfile:7: RUN make: exit status 2").report(3).unwrap();
        assert_eq!((theirs.outcome, theirs.fault), (Outcome::Failure, None));
        assert_eq!(Stop::TimedOut(String::new()).outcome(), Outcome::TimedOut);
    }
}
