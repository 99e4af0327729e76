//! What becomes of the jobs of a run when something about them changes: which may begin, which
//! never will, which have to stop.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use crate::expression::{Budget, Context};
use crate::readiness::{Ended, Readiness, readiness};
use crate::state::Outcome;
use crate::template::Template;

/// One job of a run as it stands.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name, unlike that of any other job of the run.
    pub name: String,
    /// Its key in the workflow, which the jobs of a matrix share.
    pub key: String,
    /// The name of the call that it is part of; empty for a job of the run's own workflow. Keys mean
    /// jobs of the same call.
    pub within: String,
    /// Keys of the jobs that must be over before it.
    pub needs: Vec<String>,
    /// What decides whether it runs once they are.
    pub condition: Option<Template>,
    /// Whether its failure counts for nothing.
    pub continue_on_error: bool,
    /// Whether its failure stops the other jobs of its matrix.
    pub fail_fast: bool,
    /// Where it stands.
    pub stage: Stage,
    /// What it said to others.
    pub outputs: BTreeMap<String, String>,
}

/// Where a job stands, as far as others of its run care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for somebody's approval.
    Held,
    /// It waits for the jobs that it needs.
    Waiting,
    /// It waits for its digests, and perhaps for the jobs that it needs.
    Unpinned,
    /// It waits for a runner.
    Queued,
    /// A runner has it.
    Running {
        /// Whether the runner is told to stop it.
        is_told_to_stop: bool,
    },
    /// It is a call whose jobs are under way.
    Calling {
        /// Whether these are to stop.
        is_told_to_stop: bool,
    },
    /// It is built, and is being published; nothing stops that.
    Publishing,
    /// It is over.
    Ended(Outcome),
}

/// What is to be done about a job now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Its needs are met. The object is the context `needs` of the job.
    Free(Map<String, Json>),
    /// It does not run.
    Skip {
        /// Why, as a sentence.
        why: String,
        /// Whether nothing before it went wrong: its `if` does not hold.
        is_well: bool,
    },
    /// Its `if` cannot be evaluated; says what is wrong.
    Refuse(String),
    /// It has to stop, or never to begin; says why.
    Stop(String),
    /// All jobs of a call are over.
    Close {
        /// What they make of it.
        outcome: Outcome,
        /// The context `jobs` of its outputs.
        jobs: Map<String, Json>,
    },
}

/// The next thing to do about the jobs of a run; `None` when all stand as they should. It is asked
/// again after each thing done. `cancelled` says why the run was cancelled, if it was;
/// `contexts` gives what the `if` of a job can name beside `needs`.
pub fn next(
    members: &[Member],
    cancelled: Option<&str>,
    mut contexts: impl FnMut(&Member) -> Context,
) -> Option<(usize, Decision)> {
    members.iter().enumerate().find_map(|(place, member)| {
        let cancelled = cancelled.map(str::to_owned).or_else(|| cancelled_call(member, members));
        let cancelled = cancelled.as_deref();
        let decision = stopped(member, members, cancelled, &mut contexts)
            .or_else(|| settled(member, members, cancelled.is_some(), &mut contexts));
        decision.map(|decision| (place, decision))
    })
}

/// Why the call that a job is part of stops, if it does.
fn cancelled_call(member: &Member, members: &[Member]) -> Option<String> {
    let call = members.iter().find(|call| call.name == member.within)?;
    let stops = matches!(call.stage, Stage::Calling { is_told_to_stop: true });
    stops.then(|| format!("Cancelled together with {}", call.name))
}

/// What all jobs together make of their run, when all are over.
#[must_use]
pub fn outcome(members: &[Member]) -> Option<Outcome> {
    outcome_of(members.iter())
}

fn outcome_of<'a>(members: impl Iterator<Item = &'a Member>) -> Option<Outcome> {
    let parts = members.map(|member| match member.stage {
        Stage::Ended(outcome) if is_forgiven(member, outcome) => Some(Outcome::Success),
        Stage::Ended(outcome) => Some(outcome),
        _ => None,
    });
    parts.collect::<Option<Vec<Outcome>>>().map(Outcome::of_all)
}

/// The context `needs` of a job.
#[must_use]
pub fn needs(member: &Member, members: &[Member]) -> Map<String, Json> {
    told(member.needs.iter().map(String::as_str), &member.within, members)
}

/// How the jobs of these keys ended, and what they said.
fn told<'a>(
    keys: impl Iterator<Item = &'a str>,
    within: &str,
    members: &[Member],
) -> Map<String, Json> {
    let mut told = Map::new();
    for key in keys {
        let result = match ended(key, within, members) {
            None => continue,
            Some(Ended::Success) => "success",
            Some(Ended::Failure) => "failure",
            Some(Ended::Cancelled) => "cancelled",
            Some(Ended::Skipped) => "skipped",
        };
        // Of the jobs of a matrix the last one that says something is heard, as on GitHub.
        let mut outputs = Map::new();
        for (name, value) in named(key, within, members).flat_map(|needed| &needed.outputs) {
            if !value.is_empty() || !outputs.contains_key(name) {
                outputs.insert(name.clone(), value.as_str().into());
            }
        }
        told.insert(key.to_owned(), json!({"result": result, "outputs": outputs}));
    }
    told
}

fn stopped(
    member: &Member,
    members: &[Member],
    cancelled: Option<&str>,
    contexts: &mut impl FnMut(&Member) -> Context,
) -> Option<Decision> {
    match member.stage {
        Stage::Held | Stage::Waiting | Stage::Unpinned | Stage::Queued => {}
        Stage::Running { is_told_to_stop: false } | Stage::Calling { is_told_to_stop: false } => {}
        Stage::Running { .. } | Stage::Calling { .. } | Stage::Publishing | Stage::Ended(_) => {
            return None;
        }
    }
    if let Some(why) = cancelled {
        let goes_on = member.condition.as_ref().is_some_and(|condition| {
            let readiness = decide(member, Some(condition), members, true, contexts);
            matches!(readiness, Ok(Readiness::Run | Readiness::Wait))
        });
        return (!goes_on).then(|| Decision::Stop(why.to_owned()));
    }
    let failed = members.iter().find(|other| {
        other.fail_fast
            && (&other.key, &other.within) == (&member.key, &member.within)
            && matches!(other.stage, Stage::Ended(outcome)
            if !is_forgiven(other, outcome) && ended_as(outcome) == Ended::Failure)
    })?;
    Some(Decision::Stop(format!("Cancelled, because {} did not succeed", failed.name)))
}

fn settled(
    member: &Member,
    members: &[Member],
    is_cancelled: bool,
    contexts: &mut impl FnMut(&Member) -> Context,
) -> Option<Decision> {
    if let Stage::Calling { .. } = member.stage {
        return closed(member, members);
    }
    if !matches!(member.stage, Stage::Waiting | Stage::Unpinned) {
        return None;
    }
    // Nobody will want the digests of a job whose need has failed, nor wait for the other needs.
    if let (None, Some(failed)) = (&member.condition, failed_need(member, members)) {
        return Some(skipped(member, Some(failed), members));
    }
    if member.stage == Stage::Unpinned {
        return None;
    }
    match decide(member, member.condition.as_ref(), members, is_cancelled, contexts) {
        Ok(Readiness::Wait) => None,
        Ok(Readiness::Run) => Some(Decision::Free(needs(member, members))),
        Ok(Readiness::Skip) => Some(skipped(member, None, members)),
        Err(why) => Some(Decision::Refuse(why)),
    }
}

/// A call is over with the last of its jobs.
fn closed(call: &Member, members: &[Member]) -> Option<Decision> {
    let jobs = || members.iter().filter(|member| member.within == call.name);
    let outcome = outcome_of(jobs())?;
    let keys: BTreeSet<&str> = jobs().map(|job| job.key.as_str()).collect();
    Some(Decision::Close { outcome, jobs: told(keys.into_iter(), &call.name, members) })
}

fn decide(
    member: &Member,
    condition: Option<&Template>,
    members: &[Member],
    is_cancelled: bool,
    contexts: &mut impl FnMut(&Member) -> Context,
) -> Result<Readiness, String> {
    let before: Vec<Option<Ended>> = ancestors(member, members)
        .into_iter()
        .map(|key| ended(key, &member.within, members))
        .collect();
    let mut context = Context::default();
    // What is not asked for need not be made.
    if condition.is_some() && before.iter().all(Option::is_some) {
        context = contexts(member);
        context.set("needs", (&Json::Object(needs(member, members))).into());
    }
    let decided = readiness(condition, &before, is_cancelled, &context, &mut Budget::default());
    decided.map_err(|error| {
        let line = condition.map_or(1, |condition| condition.at.line);
        format!("in `if` of line {line}: {error}")
    })
}

fn skipped(member: &Member, because: Option<&str>, members: &[Member]) -> Decision {
    let before = ancestors(member, members).into_iter();
    let before = before.filter_map(|key| ended(key, &member.within, members));
    let is_well = before.into_iter().all(|one| matches!(one, Ended::Success | Ended::Skipped));
    let why = match because {
        Some(key) if is_well => format!("Skipped, because {key} did not run"),
        Some(key) => format!("Skipped, because {key} did not succeed"),
        None if member.condition.is_none() && !is_well => {
            "Skipped, because something before it did not succeed".to_owned()
        }
        None if member.condition.is_none() => {
            "Skipped, because something before it did not run".to_owned()
        }
        None => "Skipped: its `if` does not hold".to_owned(),
    };
    Decision::Skip { why, is_well }
}

/// A need that is over and did not go well.
fn failed_need<'a>(member: &'a Member, members: &[Member]) -> Option<&'a str> {
    let within = &member.within;
    let failed =
        |key: &&String| !matches!(ended(key, within, members), None | Some(Ended::Success));
    member.needs.iter().find(failed).map(String::as_str)
}

/// Keys of the jobs that it needs, and of those that these need in turn.
fn ancestors<'a>(member: &'a Member, members: &'a [Member]) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = member.needs.iter().map(String::as_str).collect();
    while let Some(key) = open.pop() {
        if found.insert(key) {
            let of_key = named(key, &member.within, members);
            open.extend(of_key.flat_map(|needed| &needed.needs).map(String::as_str));
        }
    }
    found
}

/// The jobs of a key. Rows of older versions name a job of a matrix by its own name.
fn named<'a>(
    key: &'a str,
    within: &'a str,
    members: &'a [Member],
) -> impl Iterator<Item = &'a Member> {
    let of_key = move |member: &&Member| member.key == key || member.name == key;
    members.iter().filter(move |member| member.within == within).filter(of_key)
}

/// How all jobs of a key ended; `None` while one is not over. A key of which no job was made did
/// not run.
fn ended(key: &str, within: &str, members: &[Member]) -> Option<Ended> {
    let mut all = Vec::new();
    for member in named(key, within, members) {
        match member.stage {
            Stage::Ended(outcome) if is_forgiven(member, outcome) => all.push(Ended::Success),
            Stage::Ended(outcome) => all.push(ended_as(outcome)),
            _ => return None,
        }
    }
    let has = |one: Ended| all.contains(&one);
    Some(match () {
        () if has(Ended::Failure) => Ended::Failure,
        () if has(Ended::Cancelled) => Ended::Cancelled,
        () if has(Ended::Success) => Ended::Success,
        () => Ended::Skipped,
    })
}

fn ended_as(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Success => Ended::Success,
        Outcome::Failure | Outcome::Error | Outcome::TimedOut => Ended::Failure,
        Outcome::Cancelled | Outcome::Superseded => Ended::Cancelled,
        Outcome::Skipped => Ended::Skipped,
    }
}

fn is_forgiven(member: &Member, outcome: Outcome) -> bool {
    member.continue_on_error && ended_as(outcome) == Ended::Failure
}
