//! The states of runs, jobs and steps, and how each of them may end.

/// Defines a field-less enum that is stored and shown as one lower-case word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),* }

        impl $name {
            /// The word that is stored and shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownWord;
            fn from_str(text: &str) -> Result<Self, $crate::state::UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::state::UnknownWord { kind: stringify!($name), word: text.to_owned() }),
                }
            }
        }
    };
}

/// A stored word that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {kind}")]
pub struct UnknownWord {
    pub(crate) kind: &'static str,
    pub(crate) word: String,
}

pub(crate) use words;

words! {
    /// How far the registry is with the stable tags of an image.
    PromotionState {
        /// It has not all of them yet.
        Due = "due",
        /// It has all of them.
        Done = "done",
        /// A later promotion took its place before it had.
        Overtaken = "overtaken",
        /// It will not have them.
        Refused = "refused",
    }
}

words! {
    /// Where a run stands.
    RunState {
        /// Nothing of it has been leased.
        Queued = "queued",
        /// At least one job is with a runner.
        Running = "running",
        /// Every job has ended.
        Finished = "finished",
    }
}

words! {
    /// Where a job stands.
    JobState {
        /// Of a stranger's change; nothing of it is looked at before somebody approves it.
        Held = "held",
        /// Waits for its digests; not leasable.
        Unpinned = "unpinned",
        /// Waits for the jobs that it needs; pinned where these cannot change its images.
        Waiting = "waiting",
        /// Pinned and free to be leased.
        Queued = "queued",
        /// A runner holds the lease.
        Leased = "leased",
        /// Another workflow, whose jobs are under way.
        Calling = "calling",
        /// Built and pushed under its unique tag; the bridge puts the other tags.
        Publishing = "publishing",
        /// Over; its outcome says how.
        Finished = "finished",
    }
}

words! {
    /// Where a step stands.
    StepState {
        /// Not begun.
        Waiting = "waiting",
        /// Begun.
        Running = "running",
        /// Over; its outcome says how.
        Finished = "finished",
    }
}

words! {
    /// How a run, job or step ended.
    Outcome {
        /// All well.
        Success = "success",
        /// The repository's fault: a command failed, a file is wrong.
        Failure = "failure",
        /// Our fault, and the retries are used up.
        Error = "error",
        /// A person stopped it.
        Cancelled = "cancelled",
        /// It ran longer than it may.
        TimedOut = "timed_out",
        /// Not run, because something before it failed or its `if` does not hold.
        Skipped = "skipped",
        /// Made pointless by something newer before it began.
        Superseded = "superseded",
    }
}

words! {
    /// What lies behind [`Outcome::Error`].
    Fault {
        /// The runner stopped answering.
        RunnerLost = "runner_lost",
        /// The sandbox could not be made or broke.
        Sandbox = "sandbox",
        /// A registry did not answer as it should.
        Registry = "registry",
        /// A forge did not answer as it should.
        Forge = "forge",
        /// The lookaside cache did not answer as it should.
        Lookaside = "lookaside",
        /// A mistake of ours.
        Bug = "bug",
    }
}

impl Outcome {
    /// The outcome of the whole, given those of its parts: the worst wins. A part that was
    /// skipped counts only where all were, and an empty whole is a success.
    #[must_use]
    pub fn of_all(parts: impl IntoIterator<Item = Self>) -> Self {
        let worst = |one: Self, other: Self| match (one, other) {
            (Self::Skipped, other) | (other, Self::Skipped) => other,
            (one, other) if other.severity() > one.severity() => other,
            (one, _) => one,
        };
        parts.into_iter().reduce(worst).unwrap_or(Self::Success)
    }

    /// Whether a job that `needs` this one may run.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Success
    }

    fn severity(self) -> u8 {
        match self {
            Self::Success | Self::Skipped => 0,
            Self::Superseded => 1,
            Self::Cancelled => 2,
            Self::Failure => 3,
            Self::TimedOut => 4,
            Self::Error => 5,
        }
    }
}

impl Fault {
    /// Whether trying again may help. Only our own mistakes do not go away by themselves.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self != Self::Bug
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_names_the_whole() {
        assert_eq!(Outcome::of_all([]), Outcome::Success);
        assert_eq!(Outcome::of_all([Outcome::Success, Outcome::Skipped]), Outcome::Success);
        assert_eq!(Outcome::of_all([Outcome::Skipped, Outcome::Skipped]), Outcome::Skipped);
        assert_eq!(Outcome::of_all([Outcome::Failure, Outcome::Skipped]), Outcome::Failure);
        assert_eq!(Outcome::of_all([Outcome::Failure, Outcome::Error]), Outcome::Error);
    }

    #[test]
    fn words_read_back() {
        for state in [JobState::Unpinned, JobState::Publishing, JobState::Finished] {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("pending".parse::<JobState>().is_err());
    }
}
