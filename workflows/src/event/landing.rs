//! What an event moves, and where it leaves it.

use super::{Event, PullRequestAction};

/// Where an event leaves what it moves: a branch, or a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// What moves, within its repository: the branch as a full ref, or `pull NUMBER`, which is no
    /// ref's name.
    pub place: String,
    /// Where it is now: a branch at a commit, a pull request at a head and the branch that it would
    /// go into. `None` once it is gone or over.
    pub head: Option<String>,
    /// Whether such an event may follow one that left nothing. A branch is made again; a pull
    /// request that is over is opened again before anything else happens to it.
    pub revives: bool,
}

impl Event {
    /// What the event moves, and to where. Nothing for events of other things, and where the forge
    /// does not tell (GitHub's `create`).
    #[must_use]
    pub fn landing(&self) -> Option<Landing> {
        let pull = |number: u64| format!("pull {number}");
        match self {
            Self::PullRequest(e) => Some(Landing {
                place: pull(e.number),
                head: Some(format!("{} {}", e.head, e.base_ref)),
                revives: e.action == PullRequestAction::Reopened,
            }),
            Self::PullRequestClosed(e) => {
                Some(Landing { place: pull(e.number), head: None, revives: false })
            }
            event => event.branch_head().map(|(ref_name, head)| Landing {
                place: ref_name.to_string(),
                head: head.map(ToString::to_string),
                revives: true,
            }),
        }
    }
}
