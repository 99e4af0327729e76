//! Jobs that are other workflows: they open when their needs are met, and are over with the last
//! of the jobs within them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;
use workflows::ids::{JobId, RunId};
use workflows::plan::JobDraft;
use workflows::state::{JobState, Outcome};
use workflows::status;
use workflows::workflow::MAX_JOBS;

use super::definition::{Definition, insert_draft};
use super::{end, refused, skip};
use crate::store::jobs::Ending;
use crate::store::row::{column, json, to_json};
use crate::store::{StoreError, desired, groups, seconds};

/// The draft of a job.
pub(super) async fn draft_of(
    tx: &mut SqliteConnection,
    job: JobId,
) -> Result<JobDraft, StoreError> {
    let row = sqlx::query("SELECT draft FROM jobs WHERE id = $1").bind(job.0).fetch_one(tx).await?;
    json(&row, "draft")
}

/// Gives the run the jobs of a call.
pub(super) async fn open(
    tx: &mut SqliteConnection,
    run: RunId,
    job: JobId,
    needs: &Map<String, Json>,
    jobs_of_run: usize,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(call) = draft_of(tx, job).await?.call else { return Ok(()) };
    let definition = Definition::load(tx, run).await?;
    let drafts = match definition.drafts_of_call(&call) {
        Ok(drafts) => drafts,
        Err(diagnostics) => return end(tx, job, &refused(&diagnostics), now).await,
    };
    if drafts.is_empty() {
        let why = "Skipped: no job of the called workflow has an `if` that holds";
        return skip(tx, job, why, true, now).await;
    }
    if jobs_of_run + drafts.len() > MAX_JOBS {
        let message = format!("the call gives the run more than {MAX_JOBS} jobs");
        return end(tx, job, &Ending::failure(message), now).await;
    }
    let row = sqlx::query(
        "UPDATE jobs SET state = $2, needs_known = $3, started_at = $4 WHERE id = $1 \
         RETURNING priority",
    )
    .bind(job.0)
    .bind(JobState::Calling.as_str())
    .bind(to_json(needs)?)
    .bind(seconds(now))
    .fetch_one(&mut *tx)
    .await?;
    let priority: i64 = column(&row, "priority")?;
    let names: Vec<&str> = drafts.iter().map(|draft| draft.title.as_str()).collect();
    desired::desire_for_job(tx, job, &status::calling(&names), now).await?;
    groups::enter_as_job(tx, job, now).await?;
    for draft in &drafts {
        let context = definition.context(draft);
        insert_draft(tx, run, &context, draft, priority, false, now).await?;
    }
    Ok(())
}

/// Ends a call as its jobs ended, with what they say through it.
pub(super) async fn close(
    tx: &mut SqliteConnection,
    run: RunId,
    job: JobId,
    outcome: Outcome,
    jobs: &Map<String, Json>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(call) = draft_of(tx, job).await?.call else { return Ok(()) };
    let outputs = Definition::load(tx, run).await?.outputs_of_call(&call, jobs);
    let ending = match outputs {
        Ok(outputs) => {
            sqlx::query("UPDATE jobs SET outputs = $2 WHERE id = $1")
                .bind(job.0)
                .bind(to_json(&outputs)?)
                .execute(&mut *tx)
                .await?;
            Ending::new(outcome, None, in_words(outcome))
        }
        Err(why) => Ending::failure(why),
    };
    end(tx, job, &ending, now).await
}

fn in_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "All jobs of the called workflow went well",
        Outcome::Skipped => "No job of the called workflow ran",
        Outcome::Cancelled | Outcome::Superseded => "Jobs of the called workflow were cancelled",
        Outcome::Failure | Outcome::TimedOut | Outcome::Error => {
            "Jobs of the called workflow did not succeed"
        }
    }
}
