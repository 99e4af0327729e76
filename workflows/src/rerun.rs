//! A run that a person asks for again: which of its jobs stand, and which run once more.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::state::Outcome;

/// Most attempts of a run, as on GitHub.
pub const MAX_ATTEMPTS: i64 = 50;

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Everything.
    #[default]
    All,
    /// What did not succeed, and what stands on it.
    Failed,
}

/// A job of the attempt before.
#[derive(Debug, Clone)]
pub struct Before {
    /// Its name, unlike that of any other job of the run.
    pub name: String,
    /// The name of the call that it is part of; empty for a job of the run's own workflow.
    pub within: String,
    /// Its key in the workflow, which the jobs of a matrix share.
    pub key: String,
    /// Keys of the jobs that it needs, of the same call.
    pub needs: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether anything of it has begun.
    pub has_begun: bool,
}

/// What becomes of a job of the attempt before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its result stands.
    Stands,
    /// It runs once more as it was: what it needs stands.
    Again,
    /// Its key is drafted anew, since what it needs runs again and may say something else.
    Anew,
    /// It is a call that is open again: some of the jobs within it run, and the others stand.
    Opens,
    /// It is part of a call that runs as a whole, and comes with it.
    Within,
}

/// What becomes of each job; `None` when none of them failed, so that there is nothing to do.
#[must_use]
pub fn fates(jobs: &[Before], which: Which) -> Option<Vec<Fate>> {
    let mut fates = vec![Fate::Within; jobs.len()];
    let is_own = |place: &usize| jobs[*place].within.is_empty();
    if which == Which::All {
        (0..jobs.len()).filter(is_own).for_each(|place| fates[place] = Fate::Anew);
        return Some(fates);
    }
    let mut jobs = Jobs { jobs, failed: Vec::new() };
    jobs.failed = (0..jobs.jobs.len()).map(|place| jobs.has_failed(place)).collect();
    if !jobs.failed.contains(&true) {
        return None;
    }
    jobs.decide("", &mut fates);
    Some(fates)
}

/// What of a run is asked for by its check: by that of a job with this outcome, `None` where it has
/// none; `has_failed` when anything of the run did not go well.
///
/// Who asks for a check that did not go well gets all that did not, and what stands on it: GitHub
/// asks for each of several failed checks by itself, while a run has one attempt under way at a time.
/// Who asks for one that went well wants it made once more, and with it the run that it is of.
#[must_use]
pub fn of_check(outcome: Option<Outcome>, has_failed: bool) -> Which {
    match outcome {
        Some(Outcome::Success) => Which::All,
        _ if has_failed => Which::Failed,
        _ => Which::All,
    }
}

/// The jobs of a run, and which of them failed.
struct Jobs<'a> {
    jobs: &'a [Before],
    failed: Vec<bool>,
}

impl Jobs<'_> {
    /// The jobs of a call, or of the run's own workflow. Calls are as deep as their files, which are
    /// few, so that what recurses over them ends soon.
    fn of<'s>(&'s self, call: &'s str) -> impl Iterator<Item = usize> + 's {
        (0..self.jobs.len()).filter(move |place| self.jobs[*place].within == call)
    }

    /// Whether it or anything within it did not go well. A job that was skipped because of another
    /// one is that one's to bring back.
    fn has_failed(&self, place: usize) -> bool {
        let job = &self.jobs[place];
        !matches!(job.outcome, Outcome::Success | Outcome::Skipped)
            || self.of(&job.name).any(|inner| self.has_failed(inner))
    }

    fn has_begun(&self, place: usize) -> bool {
        let job = &self.jobs[place];
        job.has_begun || self.of(&job.name).any(|inner| self.has_begun(inner))
    }

    /// Decides about the jobs of a call, one of which failed, or of the run's own workflow.
    fn decide(&self, call: &str, fates: &mut [Fate]) {
        let own: Vec<usize> = self.of(call).collect();
        let keys = |places: &mut dyn Iterator<Item = &usize>| -> BTreeSet<&str> {
            places.map(|place| self.jobs[*place].key.as_str()).collect()
        };
        let failed = keys(&mut own.iter().filter(|place| self.failed[**place]));
        let mut anew = BTreeSet::new();
        // Each round adds a key at least, so that there are no more rounds than keys.
        loop {
            let stands_on = |job: &&Before| {
                let runs =
                    |key: &String| failed.contains(key.as_str()) || anew.contains(key.as_str());
                !anew.contains(job.key.as_str()) && job.needs.iter().any(runs)
            };
            match own.iter().map(|place| &self.jobs[*place]).find(stands_on) {
                Some(job) => anew.insert(job.key.as_str()),
                None => break,
            };
        }
        for place in own {
            let job = &self.jobs[place];
            match () {
                () if anew.contains(job.key.as_str()) => fates[place] = Fate::Anew,
                () if !self.failed[place] => self.keep(place, fates),
                // Of a call of which nothing has begun, or whose own words failed, nothing stands.
                () if self.of(&job.name).any(|inner| self.failed[inner])
                    && self.has_begun(place) =>
                {
                    fates[place] = Fate::Opens;
                    self.decide(&job.name, fates);
                }
                () => fates[place] = Fate::Again,
            }
        }
    }

    /// A result stands with those of all jobs within it.
    fn keep(&self, place: usize, fates: &mut [Fate]) {
        fates[place] = Fate::Stands;
        self.of(&self.jobs[place].name).for_each(|inner| self.keep(inner, fates));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job by its name; what stands before the last ` / ` is the call that it is part of.
    fn before(name: &str, needs: &[&str], outcome: Outcome) -> Before {
        let (within, key) = name.rsplit_once(" / ").unwrap_or(("", name));
        Before {
            name: name.to_owned(),
            within: within.to_owned(),
            key: key.to_owned(),
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
            outcome,
            has_begun: outcome != Outcome::Skipped,
        }
    }

    #[test]
    fn everything_is_drafted_anew_when_all_is_asked_for() {
        let jobs = [before("a", &[], Outcome::Success), before("b", &["a"], Outcome::Failure)];
        assert_eq!(fates(&jobs, Which::All), Some(vec![Fate::Anew; 2]));
    }

    #[test]
    fn what_failed_runs_again_and_what_stands_on_it_is_drafted_anew() {
        let jobs = [
            before("list", &[], Outcome::Success),
            before("test", &["list"], Outcome::Success),
            before("test", &["list"], Outcome::TimedOut),
            before("docs", &["list"], Outcome::Skipped),
            before("publish", &["test", "docs"], Outcome::Skipped),
            before("tell", &["publish"], Outcome::Success),
        ];
        let expected =
            [Fate::Stands, Fate::Stands, Fate::Again, Fate::Stands, Fate::Anew, Fate::Anew];
        assert_eq!(fates(&jobs, Which::Failed), Some(expected.to_vec()));
    }

    #[test]
    fn a_check_that_failed_brings_what_failed_and_one_that_went_well_the_whole_run() {
        for (outcome, has_failed, expected) in [
            (Some(Outcome::Failure), true, Which::Failed),
            (Some(Outcome::Success), true, Which::All),
            (Some(Outcome::Success), false, Which::All),
            (Some(Outcome::Skipped), true, Which::Failed),
            (Some(Outcome::Skipped), false, Which::All),
            (None, true, Which::Failed),
            (None, false, Which::All),
        ] {
            assert_eq!(of_check(outcome, has_failed), expected, "{outcome:?} {has_failed}");
        }
    }

    #[test]
    fn a_cancelled_job_counts_as_failed_and_a_run_that_went_well_has_nothing_to_do() {
        let cancelled = [before("a", &[], Outcome::Cancelled)];
        assert_eq!(fates(&cancelled, Which::Failed), Some(vec![Fate::Again]));
        let well = [before("a", &[], Outcome::Success), before("b", &[], Outcome::Skipped)];
        assert_eq!(fates(&well, Which::Failed), None);
    }

    #[test]
    fn of_a_call_only_what_failed_runs_again_and_what_stands_on_it() {
        let jobs = [
            before("build", &[], Outcome::Failure),
            before("build / list", &[], Outcome::Success),
            before("build / test", &["list"], Outcome::Failure),
            before("build / tell", &["test"], Outcome::Success),
            before("build / inner", &["list"], Outcome::Failure),
            before("build / inner / a", &[], Outcome::Success),
            before("build / inner / b", &[], Outcome::Error),
            before("build / well", &["list"], Outcome::Success),
            before("build / well / a", &[], Outcome::Success),
            before("after", &["build"], Outcome::Skipped),
        ];
        let expected = [
            Fate::Opens,
            Fate::Stands,
            Fate::Again,
            Fate::Anew,
            Fate::Opens,
            Fate::Stands,
            Fate::Again,
            Fate::Stands,
            Fate::Stands,
            Fate::Anew,
        ];
        assert_eq!(fates(&jobs, Which::Failed), Some(expected.to_vec()));
    }

    #[test]
    fn a_call_runs_as_a_whole_when_what_it_needs_does_or_when_nothing_of_it_can_stand() {
        let mut jobs = [
            before("list", &[], Outcome::Failure),
            before("build", &["list"], Outcome::Failure),
            before("build / a", &[], Outcome::Failure),
            // Its outputs could not be told, though its jobs went well.
            before("silent", &[], Outcome::Failure),
            before("silent / a", &[], Outcome::Success),
            before("late", &[], Outcome::Cancelled),
            before("late / a", &[], Outcome::Cancelled),
        ];
        (jobs[5].has_begun, jobs[6].has_begun) = (false, false);
        let expected = [
            Fate::Again,
            Fate::Anew,
            Fate::Within,
            Fate::Again,
            Fate::Within,
            Fate::Again,
            Fate::Within,
        ];
        assert_eq!(fates(&jobs, Which::Failed), Some(expected.to_vec()));
    }

    #[test]
    fn what_is_forgiven_within_a_call_runs_again_as_it_would_outside() {
        let jobs = [
            before("build", &[], Outcome::Success),
            before("build / a", &[], Outcome::Failure),
            before("build / b", &[], Outcome::Success),
        ];
        let expected = [Fate::Opens, Fate::Again, Fate::Stands];
        assert_eq!(fates(&jobs, Which::Failed), Some(expected.to_vec()));
    }
}
