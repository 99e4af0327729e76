//! Whether an event of a branch or of a pull request is one that was told before.
//!
//! Forges tell one push several times: under new delivery ids, through two webhooks, by a sweep
//! that was faster, and with another `before` (Pagure names the merge base of a forced push). But
//! a branch, and the head of a pull request, may also move to a commit and back, and then the same
//! words tell of something new. What is said of branches here holds of both.

/// What the store knows when an event comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<N> {
    /// The first event of the same [`identity`](super::Event::identity).
    pub twin: Option<N>,
    /// The newest event of the same [`place`](super::Landing::place) that counts.
    pub newest: Option<Newest<N>>,
}

/// The newest event of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest<N> {
    /// Which one.
    pub event: N,
    /// Where it left the branch; `None` when it removed it.
    pub head: Option<String>,
    /// Whether it was looked at, or will be, to build that head.
    pub is_planned: bool,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty<N> {
    /// Told for the first time.
    New,
    /// The same happening as that event.
    Repeats(N),
    /// In the words of `twin`, while `newest` left the branch elsewhere: either an old delivery
    /// once more, or the branch is back. Only the forge can tell.
    Doubtful {
        /// The first event in these words.
        twin: N,
        /// The event that left the branch elsewhere.
        newest: N,
    },
}

/// Decides about an event that leaves its branch at `head`; `None` for one that is about no
/// branch or removes it, and for the end of a pull request. One that does not revive is told before
/// what ended it, however late it comes.
#[must_use]
pub fn novelty<N: Copy + PartialEq>(
    head: Option<&str>,
    revives: bool,
    known: &Known<N>,
) -> Novelty<N> {
    let newest = known.newest.as_ref().filter(|_| head.is_some());
    if let Some(newest) = newest
        && newest.is_planned
        && newest.head.as_deref() == head
    {
        return Novelty::Repeats(newest.event);
    }
    match (known.twin, newest) {
        (None, _) => Novelty::New,
        (Some(twin), Some(newest))
            if newest.head.as_deref() != head && (revives || newest.head.is_some()) =>
        {
            Novelty::Doubtful { twin, newest: newest.event }
        }
        (Some(twin), _) => Novelty::Repeats(twin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(event: u8, head: Option<&str>, is_planned: bool) -> Option<Newest<u8>> {
        Some(Newest { event, head: head.map(str::to_owned), is_planned })
    }

    #[test]
    fn the_first_word_of_a_branch_is_new() {
        let known = Known::<u8> { twin: None, newest: None };
        assert_eq!(novelty(Some("a"), true, &known), Novelty::New);
        assert_eq!(novelty(None, true, &known), Novelty::New);
    }

    #[test]
    fn a_move_to_where_the_branch_is_repeats_whatever_it_says_of_the_old_head() {
        let known = Known { twin: None, newest: newest(7, Some("a"), true) };
        assert_eq!(novelty(Some("a"), true, &known), Novelty::Repeats(7));
        let known = Known { twin: Some(3), newest: newest(7, Some("a"), true) };
        assert_eq!(novelty(Some("a"), true, &known), Novelty::Repeats(7));
    }

    #[test]
    fn a_head_that_nobody_planned_may_come_again() {
        let known = Known { twin: None, newest: newest(7, Some("a"), false) };
        assert_eq!(novelty(Some("a"), true, &known), Novelty::New);
        let known = Known { twin: Some(7), newest: newest(7, Some("a"), false) };
        assert_eq!(
            novelty(Some("a"), true, &known),
            Novelty::Repeats(7),
            "the same delivery once more"
        );
    }

    #[test]
    fn a_branch_that_went_elsewhere_may_be_back() {
        for left in [Some("b"), None] {
            let known = Known { twin: Some(3), newest: newest(7, left, true) };
            assert_eq!(novelty(Some("a"), true, &known), Novelty::Doubtful { twin: 3, newest: 7 });
            let known = Known { twin: None, newest: newest(7, left, true) };
            assert_eq!(novelty(Some("a"), true, &known), Novelty::New);
        }
    }

    #[test]
    fn a_pull_request_that_is_over_is_opened_again_before_it_moves() {
        let known = Known { twin: Some(3), newest: newest(7, None, true) };
        assert_eq!(novelty(Some("a"), false, &known), Novelty::Repeats(3));
        assert_eq!(novelty(Some("a"), true, &known), Novelty::Doubtful { twin: 3, newest: 7 });
        let known = Known { twin: Some(3), newest: newest(7, Some("b"), true) };
        assert_eq!(novelty(Some("a"), false, &known), Novelty::Doubtful { twin: 3, newest: 7 });
    }

    #[test]
    fn what_is_about_no_branch_goes_by_its_words() {
        let known = Known { twin: Some(3), newest: None };
        assert_eq!(novelty(None, true, &known), Novelty::Repeats(3));
    }
}
