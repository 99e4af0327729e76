//! Whether what an event tells of a ref is so, and how long it may take to be seen.
//!
//! A delivery may be faster than the git server behind it, and slower than the next one. The ref
//! itself says which, as far as anything does: one that is where it was before has not arrived yet,
//! one that is elsewhere is what another event tells of.

use chrono::TimeDelta;

use super::Event;
use crate::names::CommitId;

/// How long a forge may be out of reach, or refuse us, before its event is given up: long enough
/// for a person to renew a token after a weekend.
pub const MAX_PATIENCE: TimeDelta = TimeDelta::days(3);
/// How long a ref may be missing that a forge has told of: servers of one forge follow each other,
/// and Pagure makes those of pull requests in a queue of its own, behind whatever else was pushed.
pub const MAX_LATE_REF: TimeDelta = TimeDelta::minutes(15);

/// How the ref that an event moved stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Where the event left it.
    There,
    /// Where it was before the event.
    NotYet,
    /// Neither here nor there.
    Elsewhere,
}

/// Compares where an event moved a ref from and to with where the forge has it `now`; `None` is
/// for a ref that does not exist.
#[must_use]
pub fn standing(
    before: Option<&CommitId>,
    after: Option<&CommitId>,
    now: Option<&CommitId>,
) -> Standing {
    if now == after {
        Standing::There
    } else if now == before {
        Standing::NotYet
    } else {
        Standing::Elsewhere
    }
}

/// Whether an event comes after what is known: it moves its branch from where the one before it
/// left it. One that does not may be late, or the first after some that are lost; `newest` is
/// `None` where nothing is known. The end of a branch that is known is believed when it is seen.
#[must_use]
pub fn follows(event: &Event, newest: Option<Option<&CommitId>>) -> bool {
    match event {
        Event::Push(push) => newest.is_none_or(|head| head == push.before.as_ref()),
        Event::BranchCreated(_) => newest.is_none_or(|head| head.is_none()),
        Event::BranchDeleted(_) => newest.is_none(),
        _ => true,
    }
}

/// Why what an event names could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// The forge does not answer, or asks for a pause.
    Away,
    /// It does not know the repository, or not our token: either may be mended by a person.
    Refused,
    /// It does not have the commit, while the event's ref, where that was looked at, stands so.
    NoCommit(Option<Standing>),
    /// Nothing that passes with time.
    Hopeless,
}

/// How old an event may become before it is given up.
#[must_use]
pub fn patience(event: &Event, why: Unread) -> TimeDelta {
    match why {
        Unread::Away => MAX_PATIENCE,
        Unread::Refused if is_told(event) => MAX_PATIENCE,
        Unread::NoCommit(Some(Standing::There)) => MAX_PATIENCE,
        Unread::NoCommit(Some(Standing::NotYet)) => MAX_LATE_REF,
        Unread::NoCommit(None) if matches!(event, Event::PullRequest(_)) => MAX_LATE_REF,
        Unread::Refused | Unread::NoCommit(_) | Unread::Hopeless => TimeDelta::zero(),
    }
}

/// Whether an event that is given up was lost, rather than found to be wrong: what it told counts
/// as never told then, so that it may be told again.
#[must_use]
pub fn is_lost(event: &Event, why: Unread) -> bool {
    is_told(event) && why != Unread::Hopeless
}

/// Whether a forge told it, and not a clock or a person of ours, who see what becomes of it.
fn is_told(event: &Event) -> bool {
    match event {
        Event::Push(_)
        | Event::BranchCreated(_)
        | Event::BranchDeleted(_)
        | Event::TagCreated(_)
        | Event::TagDeleted(_)
        | Event::PullRequest(_)
        | Event::PullRequestActivity(_)
        | Event::PullRequestClosed(_)
        | Event::PullRequestCommented(_)
        | Event::RerunAsked(_) => true,
        Event::Ping(_)
        | Event::Schedule(_)
        | Event::BuildAsked(_)
        | Event::Dispatch(_)
        | Event::Rebuild(_)
        | Event::Ignored(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ping, PullRequest, PullRequestAction, Push, RefCreated, RefDeleted};
    use crate::names::{RefName, RepositoryName};

    fn commit(digit: char) -> CommitId {
        CommitId::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn repository() -> RepositoryName {
        RepositoryName::parse("containers/httpd").unwrap()
    }

    fn branch() -> RefName {
        RefName::branch("f43").unwrap()
    }

    fn push(before: Option<char>, after: char) -> Event {
        Event::Push(Push {
            repository: repository(),
            ref_name: branch(),
            before: before.map(commit),
            after: commit(after),
            forced: false,
            actor: None,
        })
    }

    fn pull() -> Event {
        Event::PullRequest(PullRequest {
            repository: repository(),
            number: 4,
            action: PullRequestAction::Opened,
            head: commit('a'),
            head_branch: "fix".to_owned(),
            head_repository: None,
            head_ref: None,
            base_ref: branch(),
            base: None,
            author: None,
        })
    }

    #[test]
    fn a_ref_tells_a_fast_delivery_from_a_late_one() {
        let (a, b, c) = (commit('a'), commit('b'), commit('c'));
        assert_eq!(standing(Some(&a), Some(&b), Some(&b)), Standing::There);
        assert_eq!(standing(Some(&a), Some(&b), Some(&a)), Standing::NotYet);
        assert_eq!(standing(Some(&a), Some(&b), Some(&c)), Standing::Elsewhere);
        assert_eq!(standing(Some(&a), Some(&b), None), Standing::Elsewhere);
        assert_eq!(standing(None, Some(&b), None), Standing::NotYet, "a new branch");
        assert_eq!(standing(Some(&a), None, None), Standing::There, "a deletion");
        assert_eq!(standing(Some(&a), None, Some(&c)), Standing::Elsewhere);
    }

    #[test]
    fn an_event_follows_the_one_that_left_its_branch_where_it_begins() {
        let (a, c) = (commit('a'), commit('c'));
        assert!(follows(&push(Some('a'), 'b'), None), "the first word of a branch");
        assert!(follows(&push(Some('a'), 'b'), Some(Some(&a))));
        assert!(!follows(&push(Some('a'), 'b'), Some(Some(&c))));
        assert!(!follows(&push(Some('a'), 'b'), Some(None)));
        assert!(follows(&push(None, 'b'), Some(None)), "made again");
        assert!(!follows(&push(None, 'b'), Some(Some(&a))));
        let (repository, ref_name) = (repository(), branch());
        let created = RefCreated { repository, ref_name, after: Some(commit('b')), actor: None };
        assert!(!follows(&Event::BranchCreated(created.clone()), Some(Some(&a))));
        let RefCreated { repository, ref_name, .. } = created;
        let deleted = RefDeleted { repository, ref_name, before: Some(a.clone()), actor: None };
        assert!(!follows(&Event::BranchDeleted(deleted.clone()), Some(Some(&a))));
        assert!(follows(&Event::BranchDeleted(deleted), None), "there is nothing to lose");
    }

    #[test]
    fn what_may_still_be_seen_is_waited_for() {
        let push = push(Some('a'), 'b');
        let none = TimeDelta::zero();
        for (event, why, expected) in [
            (&push, Unread::Away, MAX_PATIENCE),
            (&push, Unread::Refused, MAX_PATIENCE),
            (&push, Unread::NoCommit(Some(Standing::There)), MAX_PATIENCE),
            (&push, Unread::NoCommit(Some(Standing::NotYet)), MAX_LATE_REF),
            (&push, Unread::NoCommit(Some(Standing::Elsewhere)), none),
            (&push, Unread::Hopeless, none),
            (&pull(), Unread::Refused, MAX_PATIENCE),
            (&pull(), Unread::NoCommit(None), MAX_LATE_REF),
        ] {
            assert_eq!(patience(event, why), expected, "{why:?}");
            assert_eq!(is_lost(event, why), why != Unread::Hopeless, "{why:?}");
        }
    }

    #[test]
    fn a_person_hears_at_once_that_a_repository_is_not_there() {
        let ping = Event::Ping(Ping { repository: None });
        assert_eq!(patience(&ping, Unread::Refused), TimeDelta::zero());
        assert!(!is_lost(&ping, Unread::Refused));
    }
}
