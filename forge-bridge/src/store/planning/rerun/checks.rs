//! Runs whose checks a person asks the forge to have made again.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, SqliteConnection};
use workflows::event::RerunAsked;
use workflows::ids::{EventId, RunId};
use workflows::rerun::{self, Which};
use workflows::state::Outcome;

use super::{RerunError, begin};
use crate::store::row::{column, parsed_option};
use crate::store::{Store, StoreError, seconds};

/// Most runs that one request makes again; a commit has one for each workflow and place.
const MAX_RUNS: i64 = 50;
/// Longest account of what became of a request, in characters.
const MAX_REASON_CHARS: usize = 2000;

/// A run that a check is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedRun {
    pub(crate) run: RunId,
    /// What of it is asked for.
    pub(crate) which: Which,
    /// The pull request whose change it is of; `None` for what a branch runs, be it about a pull
    /// request into it.
    pub(crate) change: Option<u64>,
}

/// What is decided about a request.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) asked: RerunAsked,
    pub(crate) runs: Vec<(RunId, Which)>,
    /// Why others are not made again.
    pub(crate) refused: Vec<String>,
}

impl Store {
    /// The runs that a request is about. Of one check that is the run that the forge was told of
    /// last, in its newest attempt; of all checks of a commit the newest run of each workflow and
    /// place, where builds that were asked for in another mode have checks of their own.
    pub(crate) async fn runs_of_checks(
        &self,
        forge: &str,
        asked: &RerunAsked,
    ) -> Result<Vec<CheckedRun>, StoreError> {
        let Some(check) = &asked.check else { return self.newest_runs(forge, asked).await };
        let row = sqlx::query(
            "SELECT run.id AS id, iif(run.fetch_ref = run.ref_name, NULL, run.pull_number) AS change, \
             (SELECT outcome FROM jobs j WHERE j.run_id = run.id AND j.context = $4 \
                 ORDER BY j.id LIMIT 1) AS outcome, \
             EXISTS (SELECT 1 FROM jobs j WHERE j.run_id = run.id \
                 AND j.outcome NOT IN ('success', 'skipped')) AS has_failed \
             FROM statuses JOIN runs told ON told.id = statuses.run_id \
             JOIN runs run ON run.event_id = told.event_id \
             AND run.workflow_origin = told.workflow_origin \
             AND run.workflow_path = told.workflow_path AND run.fetch_ref = told.fetch_ref \
             WHERE statuses.forge = $1 AND statuses.repository = $2 AND statuses.commit_id = $3 \
             AND statuses.context = $4 ORDER BY run.attempt DESC, run.id DESC LIMIT 1",
        )
        .bind(forge)
        .bind(asked.repository.as_str())
        .bind(asked.head.as_str())
        .bind(check)
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let outcome: Option<Outcome> = parsed_option(&row, "outcome")?;
        let which = rerun::of_check(outcome, column(&row, "has_failed")?);
        Ok(vec![checked(&row, which)?])
    }

    async fn newest_runs(
        &self,
        forge: &str,
        asked: &RerunAsked,
    ) -> Result<Vec<CheckedRun>, StoreError> {
        let rows = sqlx::query(
            "SELECT max(runs.id) AS id, \
             iif(fetch_ref = ref_name, NULL, pull_number) AS change FROM runs \
             JOIN events ON events.id = event_id \
             WHERE runs.forge = $1 AND runs.repository = $2 \
             AND COALESCE(head_commit, commit_id) = $3 \
             GROUP BY workflow_origin, workflow_path, status_label, ref_name, pull_number, \
             fetch_ref = ref_name, iif(events.kind = 'build_asked', \
                 nullif(events.event ->> '$.mode', 'release'), NULL) \
             ORDER BY 1 LIMIT $4",
        )
        .bind(forge)
        .bind(asked.repository.as_str())
        .bind(asked.head.as_str())
        .bind(MAX_RUNS)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| checked(row, Which::All)).collect()
    }
}

fn checked(row: &SqliteRow, which: Which) -> Result<CheckedRun, StoreError> {
    let change: Option<i64> = column(row, "change")?;
    Ok(CheckedRun { run: RunId(column(row, "id")?), which, change: change.map(i64::unsigned_abs) })
}

/// Begins the runs inside the caller's transaction, and writes what became of the event. One that
/// cannot begin leaves nothing behind and keeps none of the others from it.
pub(in crate::store::planning) async fn record(
    tx: &mut SqliteConnection,
    event: EventId,
    forge: &str,
    again: &Again,
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, StoreError> {
    let mut runs = Vec::new();
    let mut said = Vec::new();
    for &(run, which) in &again.runs {
        let mut one = tx.begin().await?;
        match begin(&mut one, run, which, &again.asked.actor, now).await {
            Ok(new) => {
                one.commit().await?;
                said.push(format!("run {run} runs again as run {new}"));
                runs.push(new);
            }
            Err(RerunError::Store(error)) => return Err(error),
            Err(why) => {
                one.rollback().await?;
                said.push(why.to_string());
            }
        }
    }
    said.extend(again.refused.iter().cloned());
    let state = if runs.is_empty() { "skipped" } else { "planned" };
    let reason: String = said.join("; ").chars().take(MAX_REASON_CHARS).collect();
    sqlx::query("UPDATE events SET state = $2, reason = $3 WHERE id = $1")
        .bind(event.0)
        .bind(state)
        .bind(reason)
        .execute(&mut *tx)
        .await?;
    tell_once_more(tx, forge, &again.asked, now).await?;
    Ok(runs)
}

/// GitHub takes the end of a check away when it is asked for, or that of all checks of the commit.
/// What is not made again is told again, so that it does not look as if it were still to come.
async fn tell_once_more(
    tx: &mut SqliteConnection,
    forge: &str,
    asked: &RerunAsked,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE statuses SET again_at = $5 WHERE forge = $1 AND repository = $2 \
         AND commit_id = $3 AND ($4 IS NULL OR context = $4) \
         AND reported >= desired AND refusal IS NULL",
    )
    .bind(forge)
    .bind(asked.repository.as_str())
    .bind(asked.head.as_str())
    .bind(&asked.check)
    .bind(seconds(now))
    .execute(tx)
    .await?;
    Ok(())
}
