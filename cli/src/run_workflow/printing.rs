//! What a person, or a program, sees of a run on this machine.

use serde_json::{Value as Json, json};

use super::jobs::{LocalJob, Run};
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// The plan, and nothing else.
pub(super) fn plan(run: &Run<'_>, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let jobs: Vec<Json> = run.jobs.iter().map(planned).collect();
        return Ok(
            output.json(&json!({"run_name": run.name, "jobs": jobs, "skipped": run.skipped}))?
        );
    }
    begins(run, output)
}

fn planned(job: &LocalJob) -> Json {
    json!({
        "name": job.draft.name, "needs": job.draft.needs, "image": job.draft.image,
        "steps": job.draft.steps.iter().map(|step| &step.name).collect::<Vec<_>>()
    })
}

/// The plan before it is carried out.
pub(super) fn begins(run: &Run<'_>, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return Ok(());
    }
    if let Some(name) = &run.name {
        output.line(name)?;
    }
    let rows: Vec<Vec<Cell>> = run
        .jobs
        .iter()
        .map(|job| {
            vec![
                Cell::plain(&job.draft.name),
                Cell::plain(job.draft.needs.join(", ")),
                Cell::plain(job.draft.image.as_deref().unwrap_or_default()),
                Cell::plain(job.draft.steps.len().to_string()),
            ]
        })
        .collect();
    output.table(&["JOB", "NEEDS", "IMAGE", "STEPS"], &rows)?;
    for (job, why) in &run.skipped {
        output.line(&format!("{job} does not run: {why}"))?;
    }
    Ok(output.line("")?)
}

/// How it ended.
pub(super) fn ends(run: &Run<'_>, output: &Output) -> Result<(), Failure> {
    let outcome = run.outcome();
    if output.is_json() {
        let jobs: Vec<Json> = run
            .jobs
            .iter()
            .map(|job| {
                json!({
                    "name": job.draft.name, "outcome": job.outcome(), "message": job.message,
                    "outputs": job.member.outputs, "summary": job.summary
                })
            })
            .collect();
        return Ok(output.json(&json!({"outcome": outcome, "jobs": jobs}))?);
    }
    let rows: Vec<Vec<Cell>> = run
        .jobs
        .iter()
        .map(|job| {
            let word = job.outcome().map_or("waiting", workflows::state::Outcome::as_str);
            vec![Cell::plain(&job.draft.name), Cell::word(word), Cell::plain(&job.message)]
        })
        .collect();
    output.line("")?;
    Ok(output.table(&["JOB", "OUTCOME", "MESSAGE"], &rows)?)
}
