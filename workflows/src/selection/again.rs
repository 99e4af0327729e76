//! Which files build an image again.

use super::{Candidate, Origin};
use crate::asked::builds_an_image;
use crate::event::WorkflowRef;
use crate::matching::{self, ChangedPaths, Occasion};
use crate::plan::JobDraft;

/// The files that made an image, as they are now. Where a default workflow was one of them that the
/// release does not have any more, its defaults of today take its place, as they would for a push to
/// the branch.
///
/// # Errors
/// What the operator has to mend: there is no default workflow any more, or it cannot be read.
pub fn again(
    candidates: Vec<Candidate>,
    made_by: &[WorkflowRef],
    branch: &str,
) -> Result<Vec<Candidate>, String> {
    let is = |one: &Candidate, wanted: &WorkflowRef| {
        one.file.origin == wanted.origin && one.file.path == wanted.path
    };
    let lost = made_by.iter().find(|wanted| {
        wanted.origin == Origin::Operator && !candidates.iter().any(|one| is(one, wanted))
    });
    let push = Occasion::Push {
        branch: branch.to_owned(),
        paths: ChangedPaths::Everything { reason: "a parent moved".to_owned() },
    };
    let would_fire = |one: &Candidate| {
        one.workflow.as_ref().map_or(true, |workflow| {
            workflow.on.parent_image.is_some() || matching::fires(&workflow.on, &push).is_ok()
        })
    };
    let is_meant = |one: &Candidate| {
        made_by.iter().any(|wanted| is(one, wanted))
            || (lost.is_some() && one.file.origin == Origin::Operator && would_fire(one))
    };
    let meant: Vec<Candidate> = candidates.into_iter().filter(is_meant).collect();
    if let (Some(lost), true) = (lost, meant.is_empty()) {
        return Err(format!(
            "default workflow `{}` built it, and the release has none any more that a push would \
             fire",
            lost.path
        ));
    }
    let of_operator = meant.iter().filter(|one| one.file.origin == Origin::Operator);
    match of_operator.filter_map(|one| one.workflow.as_ref().err()?.first()).next() {
        Some(fault) => Err(format!("default workflow `{}`: {}", fault.file, fault.message)),
        None => Ok(meant),
    }
}

/// Leaves out the jobs whose images are current, as far as no other job that builds one needs them.
/// What such a job needs and what needs it stays; where none is left, nobody knows what is stale,
/// and all jobs stay.
pub(super) fn leave_out(jobs: &mut Vec<JobDraft>, current: &[&str]) {
    let may_be_stale = |job: &JobDraft| {
        let may_build = builds_an_image(std::slice::from_ref(job)) || job.is_provisional;
        may_build && !current.contains(&&*job.name)
    };
    let mut stays: Vec<bool> = jobs.iter().map(may_be_stale).collect();
    if !stays.contains(&true) {
        return;
    }
    let needs = |one: &JobDraft, other: &JobDraft| one.needs.contains(&other.key);
    spread(&mut stays, |from, to| needs(&jobs[to], &jobs[from]));
    spread(&mut stays, |from, to| needs(&jobs[from], &jobs[to]));
    let mut stays = stays.into_iter();
    jobs.retain(|_| stays.next().unwrap_or(true));
}

/// Marks whatever a marked one leads to, on and on.
fn spread(marked: &mut [bool], leads: impl Fn(usize, usize) -> bool) {
    let mut open: Vec<usize> = (0..marked.len()).filter(|&one| marked[one]).collect();
    while let Some(from) = open.pop() {
        let new: Vec<usize> =
            (0..marked.len()).filter(|&to| !marked[to] && leads(from, to)).collect();
        new.iter().for_each(|&to| marked[to] = true);
        open.extend(new);
    }
}
