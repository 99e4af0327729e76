//! Which stages are built, and which of them can begin.

use std::collections::{BTreeMap, BTreeSet};

use workflows::dockerfile::{Dockerfile, StageBase};

use crate::stage::{Built, depends_on, needed};

/// The stages of a build and what they wait for. What a parent image keeps for its children may
/// take from more stages than the Dockerfile shows: those join when the parent is known.
pub(super) struct Schedule<'a> {
    file: &'a Dockerfile,
    bases: &'a [StageBase],
    /// All stages of the build, each with those that it cannot be built without.
    needs: BTreeMap<usize, BTreeSet<usize>>,
    /// Those that nobody has begun.
    open: BTreeSet<usize>,
    /// What stages stand on that have begun and wait for others.
    parents: BTreeMap<usize, Built>,
}

/// A stage that can be built now.
pub(super) struct Ready {
    pub(super) index: usize,
    pub(super) needs: BTreeSet<usize>,
    /// What it stands on, where that is known already.
    pub(super) parent: Option<Built>,
}

impl<'a> Schedule<'a> {
    /// What stage `last` needs, and itself.
    pub(super) fn new(file: &'a Dockerfile, bases: &'a [StageBase], last: usize) -> Self {
        let (needs, open, parents) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let mut schedule = Self { file, bases, needs, open, parents };
        schedule.join(last);
        schedule
    }

    fn join(&mut self, last: usize) {
        for index in needed(self.file, self.bases, last) {
            if !self.needs.contains_key(&index) {
                self.needs.insert(index, depends_on(self.file, self.bases, index));
                self.open.insert(index);
            }
        }
    }

    /// Whether there is one stage and no other.
    pub(super) fn is_single(&self) -> bool {
        self.needs.len() == 1
    }

    /// Whether each stage waits for the one before it.
    pub(super) fn is_chain(&self) -> bool {
        let pairs = self.needs.keys().zip(self.needs.values().skip(1));
        pairs.into_iter().all(|(before, needs)| needs.contains(before))
    }

    /// The first stage that waits for nobody, which has begun with that.
    pub(super) fn next(&mut self, is_done: impl Fn(usize) -> bool) -> Option<Ready> {
        let is_ready = |index: &&usize| self.needs[*index].iter().all(|&need| is_done(need));
        let index = *self.open.iter().find(is_ready)?;
        self.open.remove(&index);
        let (needs, parent) = (self.needs[&index].clone(), self.parents.remove(&index));
        Some(Ready { index, needs, parent })
    }

    /// Stage `index` goes on when the stages `missing` are built, which stand before it.
    pub(super) fn wait(&mut self, index: usize, missing: BTreeSet<usize>, parent: Built) {
        for &stage in &missing {
            self.join(stage);
        }
        self.needs.entry(index).or_default().extend(missing);
        self.parents.insert(index, parent);
        self.open.insert(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflows::dockerfile::parse;

    #[test]
    fn what_only_a_parents_instructions_take_from_is_built_before() {
        let text = "FROM a AS deep\nFROM deep AS taken\nFROM b AS unused\nFROM c\n";
        let file = parse(text).unwrap();
        let bases = file.bases(&Default::default()).unwrap();
        let mut schedule = Schedule::new(&file, &bases, 3);
        assert!(schedule.is_single());
        assert_eq!(schedule.next(|_| false).map(|ready| ready.index), Some(3));
        schedule.wait(3, [1].into(), Built::default());
        assert!(!schedule.is_single() && schedule.is_chain());
        let mut begun = Vec::new();
        while let Some(ready) = schedule.next(|stage| begun.contains(&stage)) {
            assert_eq!(ready.parent.is_some(), ready.index == 3);
            begun.push(ready.index);
        }
        assert_eq!(begun, [0, 1, 3]);
    }

    #[test]
    fn a_stage_that_was_begun_is_not_begun_again() {
        let file = parse("FROM a AS one\nFROM b AS two\nFROM c\nCOPY --from=one / /\n").unwrap();
        let bases = file.bases(&Default::default()).unwrap();
        let mut schedule = Schedule::new(&file, &bases, 2);
        assert_eq!(schedule.next(|_| false).map(|ready| ready.index), Some(0));
        assert_eq!(schedule.next(|stage| stage == 0).map(|ready| ready.index), Some(2));
        schedule.wait(2, [0, 1].into(), Built::default());
        assert_eq!(schedule.next(|stage| stage == 0).map(|ready| ready.index), Some(1));
        let last = schedule.next(|stage| stage < 2).unwrap();
        assert_eq!((last.index, last.needs), (2, BTreeSet::from([0, 1])));
        assert!(schedule.next(|_| true).is_none());
    }
}
