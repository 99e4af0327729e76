//! Commit statuses: their states, and every sentence that is posted to a forge.

pub mod shared;

use serde::{Deserialize, Serialize};

use crate::image::{BuildMode, Nvr, Tag};
use crate::state::{Fault, Outcome, words};

/// Longest description that GitHub takes; the shortest of all forges, so that one text serves all.
pub const MAX_DESCRIPTION_CHARS: usize = 140;

words! {
    /// State of a commit status, in the words that every forge uses.
    StatusState {
        /// Not over.
        Pending = "pending",
        /// All well.
        Success = "success",
        /// The repository's fault.
        Failure = "failure",
        /// Our fault, or stopped.
        Error = "error",
    }
}

/// State and sentence together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// What the forge colours.
    pub state: StatusState,
    /// What people read, at most [`MAX_DESCRIPTION_CHARS`] long.
    pub description: String,
}

impl Sentence {
    fn new(state: StatusState, description: impl AsRef<str>) -> Self {
        Self { state, description: clipped(description.as_ref()) }
    }
}

/// The stable name of a status: `<workflow> / <job>`.
#[must_use]
pub fn context(workflow: &str, job: &str) -> String {
    format!("{workflow} / {job}")
}

/// The name of the status of a job whose builds were asked for in a mode: a test or a fix beside
/// the line must not hide what the branch's own build said about the commit.
#[must_use]
pub fn context_of(workflow: &str, job: &str, mode: BuildMode) -> String {
    match mode {
        BuildMode::Release => context(workflow, job),
        BuildMode::Scratch | BuildMode::Isolated => {
            format!("{} ({mode})", context(workflow, job))
        }
    }
}

/// Nothing of the job is done before a person has looked at the change.
#[must_use]
pub fn awaits_approval() -> Sentence {
    Sentence::new(StatusState::Pending, "Waiting for approval by somebody with write access")
}

/// The job waits for the digests of its parent images.
#[must_use]
pub fn accepted() -> Sentence {
    Sentence::new(StatusState::Pending, "Accepted; pinning the parent images")
}

/// A registry does not answer; the job waits and is not lost.
#[must_use]
pub fn registry_down(registry: &str) -> Sentence {
    Sentence::new(
        StatusState::Pending,
        format!("Waiting for registry {registry}, which does not answer"),
    )
}

/// A forge does not answer; the job waits and is not lost.
#[must_use]
pub fn forge_down(forge: &str) -> Sentence {
    Sentence::new(StatusState::Pending, format!("Waiting for forge {forge}, which does not answer"))
}

/// Everything is pinned.
#[must_use]
pub fn queued() -> Sentence {
    Sentence::new(StatusState::Pending, "Pinned; waiting for a runner")
}

/// The job waits for others of its run.
#[must_use]
pub fn waiting(needs: &[String]) -> Sentence {
    Sentence::new(StatusState::Pending, format!("Waiting for {}", needs.join(", ")))
}

/// The job waits behind another one of its concurrency group.
#[must_use]
pub fn behind(group: &str) -> Sentence {
    Sentence::new(StatusState::Pending, format!("Waiting for its turn in {group}"))
}

/// The jobs of the workflow that a job calls are under way.
#[must_use]
pub fn calling(names: &[&str]) -> Sentence {
    Sentence::new(StatusState::Pending, format!("Runs {}", names.join(", ")))
}

/// A job whose matrix was not known became other jobs, with statuses of their own.
#[must_use]
pub fn became(names: &[&str]) -> Sentence {
    Sentence::new(StatusState::Success, format!("Became {}", names.join(", ")))
}

/// The job does not run, and nothing is wrong; `why` is a sentence.
#[must_use]
pub fn not_run(why: &str) -> Sentence {
    Sentence::new(StatusState::Success, why)
}

/// A runner has it.
#[must_use]
pub fn running(attempt: u32) -> Sentence {
    let text = match attempt {
        0 | 1 => "Running".to_owned(),
        n => format!("Running, attempt {n}"),
    };
    Sentence::new(StatusState::Pending, text)
}

/// Pushed; the bridge puts the tags.
#[must_use]
pub fn publishing() -> Sentence {
    Sentence::new(StatusState::Pending, "Built; tagging the image")
}

/// A build ended well.
#[must_use]
pub fn built(nvr: Option<&Nvr>, tag: &Tag) -> Sentence {
    let text = match nvr {
        Some(nvr) => format!("Built {nvr}"),
        None => format!("Scratch build {tag}"),
    };
    Sentence::new(StatusState::Success, text)
}

/// A job ended; `message` is one sentence that says what and where.
#[must_use]
pub fn finished(outcome: Outcome, fault: Option<Fault>, message: &str) -> Sentence {
    let state = match outcome {
        Outcome::Success => StatusState::Success,
        Outcome::Failure | Outcome::TimedOut => StatusState::Failure,
        Outcome::Error | Outcome::Cancelled | Outcome::Superseded => StatusState::Error,
        // A dependent of a failed job: the failed one carries the cause, this one must not stay
        // pending for ever.
        Outcome::Skipped => StatusState::Error,
    };
    let text = match (outcome, fault) {
        (_, _) if message.is_empty() => capitalised(outcome.as_str()),
        (Outcome::Error, Some(fault)) => format!("{}: {message}", fault_in_words(fault)),
        _ => message.to_owned(),
    };
    Sentence::new(state, text)
}

fn fault_in_words(fault: Fault) -> &'static str {
    match fault {
        Fault::RunnerLost => "Runner lost",
        Fault::Sandbox => "Sandbox fault",
        Fault::Registry => "Registry fault",
        Fault::Forge => "Forge fault",
        Fault::Lookaside => "Lookaside fault",
        Fault::Bug => "Fault of the build service",
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars.map(|c| if c == '_' { ' ' } else { c })).collect()
}

/// One line, cut at the forge's bound with an ellipsis, control characters gone.
fn clipped(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned();
    if line.chars().count() <= MAX_DESCRIPTION_CHARS {
        return line;
    }
    line.chars().take(MAX_DESCRIPTION_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_fits_the_narrowest_column() {
        // Forgejo and Gitea keep a state in seven characters.
        for state in
            [StatusState::Pending, StatusState::Success, StatusState::Failure, StatusState::Error]
        {
            assert!(state.as_str().len() <= 7, "{state:?}");
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn descriptions_keep_to_the_forges_bound() {
        let long = finished(Outcome::Failure, None, &"x\n".repeat(200));
        assert_eq!(long.description.chars().count(), MAX_DESCRIPTION_CHARS);
        assert!(!long.description.contains('\n'));
        assert_eq!(finished(Outcome::TimedOut, None, "").description, "Timed out");
    }
}
