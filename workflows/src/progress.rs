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
}

/// The next thing to do about the jobs of a run; `None` when all stand as they should. It is asked
/// again after each thing done. `cancelled` says why the run was cancelled, if it was;
/// `contexts` gives what the `if` of the job with that key can name beside `needs`.
pub fn next(
    members: &[Member],
    cancelled: Option<&str>,
    mut contexts: impl FnMut(&str) -> Context,
) -> Option<(usize, Decision)> {
    members.iter().enumerate().find_map(|(place, member)| {
        let decision = stopped(member, members, cancelled, &mut contexts)
            .or_else(|| settled(member, members, cancelled.is_some(), &mut contexts));
        decision.map(|decision| (place, decision))
    })
}

/// What all jobs together make of their run, when all are over.
#[must_use]
pub fn outcome(members: &[Member]) -> Option<Outcome> {
    let parts = members.iter().map(|member| match member.stage {
        Stage::Ended(outcome) if is_forgiven(member, outcome) => Some(Outcome::Success),
        Stage::Ended(outcome) => Some(outcome),
        _ => None,
    });
    parts.collect::<Option<Vec<Outcome>>>().map(Outcome::of_all)
}

/// The context `needs` of a job.
#[must_use]
pub fn needs(member: &Member, members: &[Member]) -> Map<String, Json> {
    let mut needs = Map::new();
    for key in &member.needs {
        let result = match ended(key, members) {
            None => continue,
            Some(Ended::Success) => "success",
            Some(Ended::Failure) => "failure",
            Some(Ended::Cancelled) => "cancelled",
            Some(Ended::Skipped) => "skipped",
        };
        // Of the jobs of a matrix the last one that says something is heard, as on GitHub.
        let mut outputs = Map::new();
        for (name, value) in named(key, members).flat_map(|needed| &needed.outputs) {
            if !value.is_empty() || !outputs.contains_key(name) {
                outputs.insert(name.clone(), value.as_str().into());
            }
        }
        needs.insert(key.clone(), json!({"result": result, "outputs": outputs}));
    }
    needs
}

fn stopped(
    member: &Member,
    members: &[Member],
    cancelled: Option<&str>,
    contexts: &mut impl FnMut(&str) -> Context,
) -> Option<Decision> {
    match member.stage {
        Stage::Held | Stage::Waiting | Stage::Unpinned | Stage::Queued => {}
        Stage::Running { is_told_to_stop } if !is_told_to_stop => {}
        Stage::Running { .. } | Stage::Publishing | Stage::Ended(_) => return None,
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
            && other.key == member.key
            && matches!(other.stage, Stage::Ended(outcome)
            if !is_forgiven(other, outcome) && ended_as(outcome) == Ended::Failure)
    })?;
    Some(Decision::Stop(format!("Cancelled, because {} did not succeed", failed.name)))
}

fn settled(
    member: &Member,
    members: &[Member],
    is_cancelled: bool,
    contexts: &mut impl FnMut(&str) -> Context,
) -> Option<Decision> {
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

fn decide(
    member: &Member,
    condition: Option<&Template>,
    members: &[Member],
    is_cancelled: bool,
    contexts: &mut impl FnMut(&str) -> Context,
) -> Result<Readiness, String> {
    let before: Vec<Option<Ended>> =
        ancestors(member, members).into_iter().map(|key| ended(key, members)).collect();
    let mut context = Context::default();
    // What is not asked for need not be made.
    if condition.is_some() && before.iter().all(Option::is_some) {
        context = contexts(&member.key);
        context.set("needs", (&Json::Object(needs(member, members))).into());
    }
    let decided = readiness(condition, &before, is_cancelled, &context, &mut Budget::default());
    decided.map_err(|error| {
        let line = condition.map_or(1, |condition| condition.at.line);
        format!("in `if` of line {line}: {error}")
    })
}

fn skipped(member: &Member, because: Option<&str>, members: &[Member]) -> Decision {
    let before = ancestors(member, members).into_iter().filter_map(|key| ended(key, members));
    let is_well = before.into_iter().all(|one| matches!(one, Ended::Success | Ended::Skipped));
    let why = match because {
        Some(key) if is_well => format!("Skipped, because {key} did not run"),
        Some(key) => format!("Skipped, because {key} did not succeed"),
        None => "Skipped: its `if` does not hold".to_owned(),
    };
    Decision::Skip { why, is_well }
}

/// A need that is over and did not go well.
fn failed_need<'a>(member: &'a Member, members: &[Member]) -> Option<&'a str> {
    let failed = |key: &&String| !matches!(ended(key, members), None | Some(Ended::Success));
    member.needs.iter().find(failed).map(String::as_str)
}

/// Keys of the jobs that it needs, and of those that these need in turn.
fn ancestors<'a>(member: &'a Member, members: &'a [Member]) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = member.needs.iter().map(String::as_str).collect();
    while let Some(key) = open.pop() {
        if found.insert(key) {
            open.extend(named(key, members).flat_map(|needed| &needed.needs).map(String::as_str));
        }
    }
    found
}

/// The jobs of a key. Rows of older versions name a job of a matrix by its own name.
fn named<'a>(key: &'a str, members: &'a [Member]) -> impl Iterator<Item = &'a Member> {
    members.iter().filter(move |member| member.key == key || member.name == key)
}

/// How all jobs of a key ended; `None` while one is not over. A key of which no job was made did
/// not run.
fn ended(key: &str, members: &[Member]) -> Option<Ended> {
    let mut all = Vec::new();
    for member in named(key, members) {
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
