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
    /// Its key in the workflow, which the jobs of a matrix share.
    pub key: String,
    /// Keys of the jobs that it needs.
    pub needs: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
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
}

/// What becomes of each job; `None` when none of them failed, so that there is nothing to do.
#[must_use]
pub fn fates(jobs: &[Before], which: Which) -> Option<Vec<Fate>> {
    if which == Which::All {
        return Some(vec![Fate::Anew; jobs.len()]);
    }
    let failed: BTreeSet<&str> =
        jobs.iter().filter(|job| has_failed(job)).map(|job| job.key.as_str()).collect();
    if failed.is_empty() {
        return None;
    }
    let mut anew = BTreeSet::new();
    // Each round adds a key at least, so that there are no more rounds than keys.
    loop {
        let stands_on = |job: &&Before| {
            let runs = |key: &String| failed.contains(key.as_str()) || anew.contains(key.as_str());
            !anew.contains(job.key.as_str()) && job.needs.iter().any(runs)
        };
        match jobs.iter().find(stands_on) {
            Some(job) => anew.insert(job.key.as_str()),
            None => break,
        };
    }
    let fate = |job: &Before| match () {
        () if anew.contains(job.key.as_str()) => Fate::Anew,
        () if has_failed(job) => Fate::Again,
        () => Fate::Stands,
    };
    Some(jobs.iter().map(fate).collect())
}

/// A job that was skipped because of another one is that one's to bring back.
fn has_failed(job: &Before) -> bool {
    !matches!(job.outcome, Outcome::Success | Outcome::Skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(key: &str, needs: &[&str], outcome: Outcome) -> Before {
        let needs = needs.iter().map(|&need| need.to_owned()).collect();
        Before { key: key.to_owned(), needs, outcome }
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
    fn a_cancelled_job_counts_as_failed_and_a_run_that_went_well_has_nothing_to_do() {
        let cancelled = [before("a", &[], Outcome::Cancelled)];
        assert_eq!(fates(&cancelled, Which::Failed), Some(vec![Fate::Again]));
        let well = [before("a", &[], Outcome::Success), before("b", &[], Outcome::Skipped)];
        assert_eq!(fates(&well, Which::Failed), None);
    }
}
