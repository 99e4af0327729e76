//! Brings the jobs of a run to where they should stand: frees, drafts, skips and stops them, and
//! writes what all of them make of the run. What is to be done is `workflows::progress`'s word.

mod calls;
mod definition;
mod members;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;
use workflows::diagnostic::Diagnostic;
use workflows::ids::{JobId, RunId};
use workflows::plan::JobDraft;
use workflows::progress::{self, Decision, Member, Stage};
use workflows::state::{JobState, Outcome, RunState};
use workflows::status;
use workflows::workflow::MAX_JOBS;

use super::jobs::{self, Ending};
use super::row::to_json;
use super::{StoreError, cancel, desired, groups, record, seconds};
use definition::Definition;
pub(super) use definition::{insert_draft, release};
use members::{Row, Story};

/// Does whatever is to be done about the jobs of a run, until nothing is, and then writes what all
/// of them together make of the run.
pub(super) async fn settle(
    tx: &mut SqliteConnection,
    run: RunId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let story = Story::load(tx, run).await?;
    loop {
        let rows = members::load(tx, run).await?;
        let members: Vec<Member> = rows.iter().map(|row| row.member.clone()).collect();
        let contexts = |member: &Member| story.context_of_condition(member, &rows);
        let Some((place, decision)) =
            progress::next(&members, story.cancelled.as_deref(), contexts)
        else {
            return write_run_state(tx, run, &members, now).await;
        };
        let row = &rows[place];
        match decision {
            Decision::Free(needs) => free(tx, run, row, &needs, rows.len(), now).await?,
            Decision::Skip { why, is_well } => skip(tx, row.id, &why, is_well, now).await?,
            Decision::Refuse(why) => end(tx, row.id, &Ending::failure(why), now).await?,
            Decision::Stop(why) => stop(tx, row, &why, now).await?,
            Decision::Close { outcome, jobs } => {
                calls::close(tx, run, row.id, outcome, &jobs, now).await?;
            }
        }
    }
}

/// The needs of a job are met: it goes on to the queue, to the pinner, or is drafted for good.
async fn free(
    tx: &mut SqliteConnection,
    run: RunId,
    row: &Row,
    needs: &Map<String, Json>,
    jobs_of_run: usize,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if row.is_provisional {
        return draft(tx, run, row, needs, jobs_of_run, now).await;
    }
    if row.is_call {
        return calls::open(tx, run, row.id, needs, jobs_of_run, now).await;
    }
    let state = if row.is_pinned { JobState::Queued } else { JobState::Unpinned };
    sqlx::query("UPDATE jobs SET state = $2, needs_known = $3, queued_at = $4 WHERE id = $1")
        .bind(row.id.0)
        .bind(state.as_str())
        .bind(to_json(needs)?)
        .bind(row.is_pinned.then(|| seconds(now)))
        .execute(&mut *tx)
        .await?;
    let sentence = if row.is_pinned { status::queued() } else { status::accepted() };
    desired::desire_for_job(tx, row.id, &sentence, now).await?;
    groups::enter_as_job(tx, row.id, now).await
}

/// Drafts a job again, now that more is known. The row becomes the first of the jobs that come of
/// it; the others get rows of their own.
async fn draft(
    tx: &mut SqliteConnection,
    run: RunId,
    row: &Row,
    needs: &Map<String, Json>,
    jobs_of_run: usize,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let definition = Definition::load(tx, run).await?;
    let within = calls::draft_of(tx, row.id).await?.within;
    let mut drafts = match definition.drafts_of_key(within.as_deref(), &row.member.key, needs) {
        Ok(drafts) => drafts,
        Err(diagnostics) => return end(tx, row.id, &refused(&diagnostics), now).await,
    };
    // A matrix that was known at planning has a row for each of its jobs already.
    if let Some(place) = drafts.iter().position(|draft| draft.name == row.member.name) {
        drafts = vec![drafts.swap_remove(place)];
    }
    if jobs_of_run - 1 + drafts.len() > MAX_JOBS {
        let message = format!("the matrix gives the run more than {MAX_JOBS} jobs");
        return end(tx, row.id, &Ending::failure(message), now).await;
    }
    let Some((first, others)) = drafts.split_first() else {
        let message = format!("the workflow has no job `{}`", row.member.key);
        return end(tx, row.id, &Ending::failure(message), now).await;
    };
    if first.name != row.member.name {
        let names: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
        desired::desire_for_job(tx, row.id, &status::became(&names), now).await?;
    }
    definition.rewrite_row(tx, row.id, first, needs, now).await?;
    for other in others {
        definition.insert_beside(tx, run, row.id, other, needs, now).await?;
    }
    Ok(())
}

fn refused(diagnostics: &[Diagnostic]) -> Ending {
    let all: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    let first = all.first().map_or("the job cannot be drafted", String::as_str);
    let sentence = status::finished(Outcome::Failure, None, first);
    Ending { outcome: Outcome::Failure, fault: None, message: all.join("\n"), sentence }
}

/// Ends a job that does not run. Where nothing went wrong before it, the forge hears no error.
async fn skip(
    tx: &mut SqliteConnection,
    job: JobId,
    why: &str,
    is_well: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut ending = Ending::new(Outcome::Skipped, None, why);
    if is_well {
        ending.sentence = status::not_run(why);
    }
    jobs::end_row(tx, job, &ending, now).await?;
    desired::desire_for_job(tx, job, &ending.sentence, now).await
}

async fn end(
    tx: &mut SqliteConnection,
    job: JobId,
    ending: &Ending,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    jobs::end_row(tx, job, ending, now).await?;
    record::write(tx, job, now).await?;
    desired::desire_for_job(tx, job, &ending.sentence, now).await
}

/// Stops a job: at once where no runner has it, else by the next heartbeat.
async fn stop(
    tx: &mut SqliteConnection,
    row: &Row,
    why: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if !matches!(row.member.stage, Stage::Running { .. } | Stage::Calling { .. }) {
        return end(tx, row.id, &Ending::new(Outcome::Cancelled, None, why), now).await;
    }
    cancel::ask(tx, row.id, why).await
}

async fn write_run_state(
    tx: &mut SqliteConnection,
    run: RunId,
    members: &[Member],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if members.is_empty() {
        return Ok(());
    }
    let begun = members.iter().any(|member| {
        let begun = matches!(member.stage, Stage::Running { .. } | Stage::Calling { .. });
        begun || matches!(member.stage, Stage::Publishing | Stage::Ended(_))
    });
    let outcome = progress::outcome(members);
    let state = match outcome {
        Some(_) => RunState::Finished,
        None if begun => RunState::Running,
        None => RunState::Queued,
    };
    sqlx::query(
        "UPDATE runs SET state = $2, outcome = $3, \
         started_at = CASE WHEN $2 = 'queued' THEN started_at ELSE COALESCE(started_at, $4) END, \
         finished_at = CASE WHEN $2 = 'finished' THEN $4 END WHERE id = $1 AND state <> 'finished'",
    )
    .bind(run.0)
    .bind(state.as_str())
    .bind(outcome.map(Outcome::as_str))
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    if state == RunState::Finished {
        groups::leave_with_run(tx, run).await?;
    }
    Ok(())
}

/// Whether a draft may go to the pinner before the jobs are over that it needs.
pub(super) fn state_of_new(draft: &JobDraft) -> JobState {
    if draft.is_provisional || draft.condition.is_some() || draft.call.is_some() {
        JobState::Waiting
    } else {
        JobState::Unpinned
    }
}
