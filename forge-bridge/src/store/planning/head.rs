//! What a run knows of itself: its numbers, its name, its concurrency group.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, SqliteConnection};
use workflows::diagnostic::Diagnostic;
use workflows::facts::RunNumbers;
use workflows::ids::{JobId, RunId};
use workflows::status;

use super::PlannedRun;
use crate::store::groups::{self, IS_BEHIND};
use crate::store::row::{column, to_json};
use crate::store::{StoreError, desired};

/// Gives a new run its numbers, and evaluates what it says of itself with them. The inner error is
/// for the author of the workflow.
pub(super) async fn complete(
    tx: &mut SqliteConnection,
    run: RunId,
    planned: &PlannedRun,
    now: DateTime<Utc>,
) -> Result<Result<(), Diagnostic>, StoreError> {
    let number: i64 = sqlx::query_scalar(
        "SELECT 1 + COALESCE(max(other.number), 0) FROM runs JOIN runs AS other \
         ON other.forge = runs.forge AND other.repository = runs.repository \
         AND other.workflow_origin = runs.workflow_origin \
         AND other.workflow_path = runs.workflow_path WHERE runs.id = $1",
    )
    .bind(run.0)
    .fetch_one(&mut *tx)
    .await?;
    write(tx, run, planned, RunNumbers { id: run.0, number, attempt: 1 }, now).await
}

/// Writes what follows from the numbers of a run.
pub(super) async fn write(
    tx: &mut SqliteConnection,
    run: RunId,
    planned: &PlannedRun,
    numbers: RunNumbers,
    now: DateTime<Utc>,
) -> Result<Result<(), Diagnostic>, StoreError> {
    let facts = planned.facts.clone().with_run(numbers);
    let head = planned.texts.head(&planned.path, &planned.workflow, &facts);
    let run_name = head.as_ref().ok().and_then(|head| head.run_name.clone());
    sqlx::query(
        "UPDATE runs SET number = $2, attempt = $3, run_name = $4, warnings = $5, \
         status_label = $6, facts = $7 WHERE id = $1",
    )
    .bind(run.0)
    .bind(numbers.number)
    .bind(numbers.attempt)
    .bind(run_name)
    .bind(to_json(&planned.warnings)?)
    .bind(&planned.label)
    .bind(to_json(&facts)?)
    .execute(&mut *tx)
    .await?;
    let group = match head {
        Ok(head) => head.concurrency,
        Err(diagnostic) => return Ok(Err(diagnostic)),
    };
    if let (Some(group), Ok(_)) = (group, &planned.jobs) {
        groups::enter_as_run(tx, run, &group, now).await?;
    }
    Ok(Ok(()))
}

/// The forge hears of jobs that wait behind another run what they wait for.
pub(super) async fn tell_what_is_behind(
    tx: &mut SqliteConnection,
    run: RunId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT jobs.id AS id, group_members.name AS name FROM group_members JOIN jobs USING (run_id) \
         WHERE run_id = $1 AND group_members.job_id IS NULL AND state = 'unpinned' AND {IS_BEHIND}"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(run.0).fetch_all(&mut *tx).await?;
    for row in &rows {
        let sentence = status::behind(column(row, "name")?);
        desired::desire_for_job(tx, JobId(column(row, "id")?), &sentence, now).await?;
    }
    Ok(())
}
