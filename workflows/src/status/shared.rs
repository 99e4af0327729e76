//! One status for several places: forges keep one of a name for each commit, and a commit may be
//! the head of branches and of pull requests at once.
//!
//! What is said of one place must not stand for another: a change that waits for approval would
//! look tested because its author proposes the same commit elsewhere. So the worst of what all
//! places say is told, and with it whose word it is.

use std::fmt;

use super::{MAX_DESCRIPTION_CHARS, Sentence, StatusState, awaits_approval};
use crate::ids::RunId;
use crate::state::Outcome;

/// Where a commit is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A branch or tag, by its short name.
    Ref(String),
    /// A pull request.
    PullRequest {
        /// Its number.
        number: u64,
        /// False when it is closed, or has another head by now.
        is_there: bool,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ref(name) => f.write_str(name),
            Self::PullRequest { number, .. } => write!(f, "pull request {number}"),
        }
    }
}

/// What the newest run of one place says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// For which place.
    pub place: Place,
    /// The run that says it.
    pub run: RunId,
    /// What it says.
    pub sentence: Sentence,
    /// How its job ended, where it did.
    pub outcome: Option<Outcome>,
}

impl Claim {
    /// Whether it holds against others. Who may stop a run of a branch may write to it; the author
    /// of a pull request may stop its runs too, so that those count until it is closed.
    fn counts(&self) -> bool {
        match self.place {
            Place::PullRequest { is_there, .. } => is_there,
            Place::Ref(_) => {
                !matches!(self.outcome, Some(Outcome::Cancelled | Outcome::Superseded))
            }
        }
    }

    /// What is not over goes first: nothing is known of it yet. Of that, what waits for a person.
    fn weight(&self) -> (u8, RunId) {
        let weight = match self.sentence.state {
            StatusState::Pending if self.sentence == awaits_approval() => 4,
            StatusState::Pending => 3,
            StatusState::Failure => 2,
            StatusState::Error => 1,
            StatusState::Success => 0,
        };
        (weight, self.run)
    }
}

/// What the forge is told, and the run whose word it is: the worst of those that count, or the
/// newest where none does. `None` when nobody says anything.
#[must_use]
pub fn told(claims: &[Claim]) -> Option<(RunId, Sentence)> {
    let counting = || claims.iter().filter(|claim| claim.counts());
    let worst = counting().max_by_key(|claim| claim.weight());
    let claim = worst.or_else(|| claims.iter().max_by_key(|claim| claim.run))?;
    let sentence = match counting().count() {
        0 | 1 => claim.sentence.clone(),
        _ => of_place(&claim.sentence, &claim.place),
    };
    Some((claim.run, sentence))
}

/// A sentence and its place, which stays whole: a description may begin with the place of a mistake.
fn of_place(sentence: &Sentence, place: &Place) -> Sentence {
    let place: String = place.to_string().chars().take(MAX_DESCRIPTION_CHARS / 2).collect();
    let place = format!(" ({place})");
    let room = MAX_DESCRIPTION_CHARS - place.chars().count();
    let mut description = sentence.description.clone();
    if description.chars().count() > room {
        description = description.chars().take(room - 1).chain(['…']).collect();
    }
    Sentence { state: sentence.state, description: description + &place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{finished, running};

    fn claim(place: Place, run: i64, sentence: Sentence) -> Claim {
        Claim { place, run: RunId(run), sentence, outcome: None }
    }

    fn pull(number: u64) -> Place {
        Place::PullRequest { number, is_there: true }
    }

    fn branch(name: &str) -> Place {
        Place::Ref(name.to_owned())
    }

    fn done() -> Sentence {
        finished(Outcome::Success, None, "Done")
    }

    fn shown(claims: &[Claim]) -> (i64, String) {
        let (run, sentence) = told(claims).unwrap();
        (run.0, format!("{} {}", sentence.state.as_str(), sentence.description))
    }

    #[test]
    fn a_change_that_waits_is_not_hidden_by_another_of_the_same_commit() {
        let waits = claim(pull(6), 1, awaits_approval());
        let other = claim(pull(5), 2, done());
        let text = "pending Waiting for approval by somebody with write access";
        let both = shown(&[waits.clone(), other.clone()]);
        assert_eq!(both, (1, format!("{text} (pull request 6)")));
        let begun = claim(pull(5), 2, running(1));
        assert_eq!(shown(&[waits.clone(), begun]).0, 1, "somebody has to see that it waits");
        let mut closed = claim(pull(5), 2, finished(Outcome::Cancelled, None, "Cancelled"));
        closed.place = Place::PullRequest { number: 5, is_there: false };
        closed.outcome = Some(Outcome::Cancelled);
        assert_eq!(shown(&[waits.clone(), closed.clone()]), (1, text.to_owned()));
        assert_eq!(shown(&[closed]), (2, "error Cancelled".to_owned()), "it is all that there is");
        // Its author may cancel it, and not make it look tested thereby.
        let mut stopped = claim(pull(6), 1, finished(Outcome::Cancelled, None, "Cancelled"));
        stopped.outcome = Some(Outcome::Cancelled);
        assert_eq!(shown(&[stopped, other]), (1, "error Cancelled (pull request 6)".to_owned()));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn of_two_branches_the_worst_is_told_and_what_was_stopped_only_alone() {
        let main = claim(branch("main"), 1, running(1));
        let mut free = claim(branch("free"), 2, finished(Outcome::Failure, None, "Broken"));
        assert_eq!(shown(&[main.clone(), free.clone()]).1, "pending Running (main)");
        let main = claim(branch("main"), 1, done());
        assert_eq!(shown(&[main.clone(), free.clone()]).1, "failure Broken (free)");
        free.outcome = Some(Outcome::Cancelled);
        assert_eq!(shown(&[main, free.clone()]), (1, "success Done".to_owned()));
        assert_eq!(shown(&[free]), (2, "failure Broken".to_owned()));
        let equal = [claim(branch("a"), 3, done()), claim(branch("b"), 4, done())];
        assert_eq!(shown(&equal), (4, "success Done (b)".to_owned()), "the newest of equals");
    }

    #[test]
    fn a_description_with_its_place_keeps_to_the_bound() {
        let long = finished(Outcome::Failure, None, &"x".repeat(300));
        for name in ["main", &"y".repeat(300)] {
            let two = [claim(branch(name), 2, long.clone()), claim(branch("b"), 1, done())];
            let told = told(&two).unwrap().1.description;
            assert_eq!(told.chars().count(), MAX_DESCRIPTION_CHARS);
            assert!(told.ends_with(')') && told.contains("x… ("), "{told}");
        }
    }
}
