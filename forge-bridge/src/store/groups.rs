//! Concurrency groups: runs and jobs of one repository that exclude each other.
//!
//! The members of a group stand in the order in which they came; the first one is under way. The
//! others are neither pinned nor leased, see [`IS_BEHIND`].

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::ids::{JobId, RunId};
use workflows::plan::{Group, JobDraft};
use workflows::status;

use super::cancel;
use super::row::{column, json};
use super::{StoreError, desired};

/// Whether a row of `jobs` waits behind another member of its group, or its run does, or a call
/// that it is part of. A job of a
/// run that is a member itself does not wait for its own run.
pub(super) const IS_BEHIND: &str = "EXISTS (SELECT 1 FROM group_members AS own \
     JOIN group_members AS other ON other.forge = own.forge \
     AND other.repository = own.repository AND other.name = own.name AND other.id < own.id \
     WHERE own.run_id = jobs.run_id AND (own.job_id IS NULL OR own.job_id = jobs.id \
     OR jobs.within <> '' AND own.job_id IN (SELECT call.id FROM jobs AS call \
     WHERE call.run_id = jobs.run_id AND instr(jobs.within || ' / ', call.name || ' / ') = 1)) \
     AND NOT (other.job_id IS NULL AND other.run_id = own.run_id))";

/// A member as others of its group see it.
struct Member {
    run: RunId,
    job: Option<JobId>,
}

/// Makes a run a member of a group. It comes before its jobs are inserted.
pub(super) async fn enter_as_run(
    tx: &mut SqliteConnection,
    run: RunId,
    group: &Group,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    enter(tx, &Member { run, job: None }, group, now).await
}

/// Makes a job a member of the group that its draft names, once.
pub(super) async fn enter_as_job(
    tx: &mut SqliteConnection,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT run_id, draft FROM jobs WHERE id = $1 AND draft -> '$.concurrency' IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM group_members WHERE job_id = $1)",
    )
    .bind(job.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let draft: JobDraft = json(&row, "draft")?;
    let Some(group) = draft.concurrency else { return Ok(()) };
    let member = Member { run: RunId(column(&row, "run_id")?), job: Some(job) };
    enter(tx, &member, &group, now).await?;
    let behind = format!("SELECT {IS_BEHIND} FROM jobs WHERE id = $1");
    let is_behind: bool =
        sqlx::query_scalar(sqlx::AssertSqlSafe(behind)).bind(job.0).fetch_one(&mut *tx).await?;
    if is_behind {
        desired::desire_for_job(tx, job, &status::behind(&group.name), now).await?;
    }
    Ok(())
}

/// A job is over and has left its group.
pub(super) async fn leave(tx: &mut SqliteConnection, job: JobId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM group_members WHERE job_id = $1").bind(job.0).execute(tx).await?;
    Ok(())
}

/// A run is over and has left its group.
pub(super) async fn leave_with_run(
    tx: &mut SqliteConnection,
    run: RunId,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM group_members WHERE run_id = $1").bind(run.0).execute(tx).await?;
    Ok(())
}

/// Stops whom the new member replaces, and puts it behind the others.
async fn enter(
    tx: &mut SqliteConnection,
    new: &Member,
    group: &Group,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let name = group.name.to_lowercase();
    let others = sqlx::query(
        "SELECT m.run_id, m.job_id FROM group_members m JOIN runs r ON r.id = $1 \
         WHERE m.forge = r.forge AND m.repository = r.repository AND m.name = $2 \
         AND NOT (m.run_id = $1 AND m.job_id IS NULL) ORDER BY m.id",
    )
    .bind(new.run.0)
    .bind(&name)
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO group_members (forge, repository, name, run_id, job_id) \
         SELECT forge, repository, $2, id, $3 FROM runs WHERE id = $1",
    )
    .bind(new.run.0)
    .bind(&name)
    .bind(new.job.map(|job| job.0))
    .execute(&mut *tx)
    .await?;
    let why = format!("Superseded by run {} in the concurrency group {}", new.run, group.name);
    for (place, row) in others.iter().enumerate() {
        let other = Member {
            run: RunId(column(row, "run_id")?),
            job: column::<Option<i64>>(row, "job_id")?.map(JobId),
        };
        let replaced = if place == 0 { group.cancel_in_progress } else { !group.lines_up };
        // Jobs of one matrix may share a group; they take turns.
        if replaced && other.run != new.run {
            replace(tx, &other, &why, now).await?;
        }
    }
    Ok(())
}

async fn replace(
    tx: &mut SqliteConnection,
    member: &Member,
    why: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    match member.job {
        None => cancel::cancel(tx, member.run, why, now).await,
        Some(job) => cancel::cancel_job(tx, member.run, job, why, now).await,
    }
}
