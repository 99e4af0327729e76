//! `needs`: which job waits for which, and that none waits for itself.

use std::collections::{HashMap, HashSet};

use super::job::Job;
use crate::diagnostic::{Report, nearest, quoted};

/// The jobs' places in an order in which each comes after those that it needs, otherwise as in
/// the file; `None` after something was reported.
pub(crate) fn order(jobs: &[Job], report: &mut Report) -> Option<Vec<usize>> {
    let needs = resolved(jobs, report)?;
    let mut order = Vec::with_capacity(jobs.len());
    let mut placed = vec![false; jobs.len()];
    while order.len() < jobs.len() {
        let ready = (0..jobs.len())
            .find(|&job| !placed[job] && needs[job].iter().all(|&needed| placed[needed]));
        let Some(job) = ready else {
            report_cycle(jobs, &needs, &placed, report);
            return None;
        };
        placed[job] = true;
        order.push(job);
    }
    Some(order)
}

/// Each job's needs as places in the list.
fn resolved(jobs: &[Job], report: &mut Report) -> Option<Vec<Vec<usize>>> {
    let places: HashMap<&str, usize> =
        jobs.iter().enumerate().map(|(place, job)| (job.key.value.as_str(), place)).collect();
    let mut complete = true;
    let mut all = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut seen = HashSet::new();
        let mut needs = Vec::new();
        for needed in &job.needs {
            let name = quoted(&needed.value);
            let is_new = seen.insert(&needed.value);
            let message = if !is_new {
                format!("job `{}` needs {name} twice", job.key.value)
            } else if let Some(&place) = places.get(needed.value.as_str()) {
                needs.push(place);
                continue;
            } else {
                format!("job `{}` needs {name}, and there is no such job", job.key.value)
            };
            complete = false;
            if !is_new {
                report.error(needed.at, message);
                continue;
            }
            match nearest(&needed.value, places.keys().copied()) {
                Some(meant) if meant != needed.value => {
                    let hint = format!("did you mean `{meant}`?");
                    report.error_with_hint(needed.at, message, hint);
                }
                _ => report.error(needed.at, message),
            }
        }
        all.push(needs);
    }
    complete.then_some(all)
}

/// Shows one cycle among the jobs that could not be placed.
fn report_cycle(jobs: &[Job], needs: &[Vec<usize>], placed: &[bool], report: &mut Report) {
    let next = |job: usize| needs[job].iter().copied().find(|&needed| !placed[needed]);
    let Some(mut job) = placed.iter().position(|&placed| !placed) else { return };
    // Each job that is left needs another one that is left, so that the walk meets itself.
    let mut walk: Vec<usize> = Vec::new();
    let start = loop {
        if let Some(start) = walk.iter().position(|&seen| seen == job) {
            break start;
        }
        walk.push(job);
        match next(job) {
            Some(needed) => job = needed,
            None => return,
        }
    };
    let cycle = &walk[start..];
    let names: Vec<&str> =
        cycle.iter().chain(&cycle[..1]).map(|&job| jobs[job].key.value.as_str()).collect();
    let message = format!("jobs need each other in a circle: {}", names.join(" → "));
    report.error(jobs[cycle[0]].key.at, message);
}
