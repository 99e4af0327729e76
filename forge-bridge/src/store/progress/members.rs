//! The jobs of a run as `workflows::progress` sees them.

use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::expression::Context;
use workflows::facts::Facts;
use workflows::ids::{JobId, RunId};
use workflows::progress::{Member, Stage};
use workflows::state::JobState;

use crate::store::StoreError;
use crate::store::row::{column, json, json_option, parsed, parsed_option};

/// A job with what only the store has to know of it.
pub(super) struct Row {
    pub(super) id: JobId,
    pub(super) member: Member,
    pub(super) is_pinned: bool,
    pub(super) is_provisional: bool,
    /// Whether it is another workflow.
    pub(super) is_call: bool,
    /// What it is given by the call that it is part of.
    inputs: Option<Map<String, Json>>,
    max_parallel: Option<i64>,
}

/// What the conditions of a run's jobs stand on.
pub(super) struct Story {
    pub(super) cancelled: Option<String>,
    workflow: String,
    /// Read only when a condition asks.
    facts: Option<String>,
}

impl Story {
    pub(super) async fn load(tx: &mut SqliteConnection, run: RunId) -> Result<Self, StoreError> {
        let row = sqlx::query("SELECT cancelled, workflow, facts FROM runs WHERE id = $1")
            .bind(run.0)
            .fetch_one(&mut *tx)
            .await?;
        Ok(Self {
            cancelled: column(&row, "cancelled")?,
            workflow: column(&row, "workflow")?,
            facts: column(&row, "facts")?,
        })
    }

    pub(super) fn context_of_condition(&self, member: &Member, rows: &[Row]) -> Context {
        let facts = self.facts.as_deref().and_then(|facts| serde_json::from_str(facts).ok());
        let mut facts: Facts = facts.unwrap_or_default();
        let row = rows.iter().find(|row| row.member.name == member.name);
        if let Some(inputs) = row.and_then(|row| row.inputs.as_ref()) {
            facts = facts.with_inputs(inputs.clone());
        }
        facts.context_of_condition(&self.workflow, &member.key)
    }
}

/// All jobs of a run, in the order in which they were planned.
pub(super) async fn load(tx: &mut SqliteConnection, run: RunId) -> Result<Vec<Row>, StoreError> {
    // A draft is read only as far as it is of use, and for jobs that are not over.
    let rows = sqlx::query(
        "SELECT id, name, key, within, max_parallel, needs, state, outcome, cancel, outputs, spec IS NOT NULL AS pinned, \
         CASE WHEN state <> 'finished' THEN draft -> '$.condition' END AS condition, \
         CASE WHEN state <> 'finished' THEN draft -> '$.within.inputs' END AS inputs, \
         draft -> '$.call' IS NOT NULL AS is_call, \
         COALESCE(draft ->> '$.continue_on_error', 0) AS continue_on_error, \
         COALESCE(draft ->> '$.is_provisional', 0) AS provisional, \
         COALESCE(draft ->> '$.matrix.fail_fast', 0) AS fail_fast \
         FROM jobs WHERE run_id = $1 ORDER BY id",
    )
    .bind(run.0)
    .fetch_all(&mut *tx)
    .await?;
    let mut rows = rows.iter().map(row).collect::<Result<Vec<Row>, StoreError>>()?;
    hold_beyond_bounds(&mut rows);
    Ok(rows)
}

/// Of the calls of a matrix no more open than may run at a time: the others are left as they are.
fn hold_beyond_bounds(rows: &mut [Row]) {
    for place in 0..rows.len() {
        let row = &rows[place];
        let (true, Some(bound)) = (row.is_call, row.max_parallel) else { continue };
        let is_open = |other: &&Row| {
            let same = (&other.member.key, &other.member.within);
            same == (&row.member.key, &row.member.within)
                && matches!(other.member.stage, Stage::Calling { .. })
        };
        let open = i64::try_from(rows.iter().filter(is_open).count()).unwrap_or(i64::MAX);
        if open >= bound && row.member.stage == Stage::Waiting {
            rows[place].member.stage = Stage::Held;
        }
    }
}

fn row(row: &SqliteRow) -> Result<Row, StoreError> {
    let name: String = column(row, "name")?;
    let key: String = column(row, "key")?;
    let is_old = key.is_empty();
    let condition: Option<&str> = column(row, "condition")?;
    let member = Member {
        key: if is_old { name.clone() } else { key },
        name,
        within: column(row, "within")?,
        needs: json(row, "needs")?,
        condition: if condition.is_some() { json(row, "condition")? } else { None },
        continue_on_error: column(row, "continue_on_error")?,
        // Their own version did not stop the others.
        fail_fast: column::<bool>(row, "fail_fast")? && !is_old,
        stage: stage(row)?,
        outputs: json(row, "outputs")?,
    };
    Ok(Row {
        id: JobId(column(row, "id")?),
        member,
        is_pinned: column(row, "pinned")?,
        is_provisional: column(row, "provisional")?,
        is_call: column(row, "is_call")?,
        inputs: json_option(row, "inputs")?,
        max_parallel: column(row, "max_parallel")?,
    })
}

fn stage(row: &SqliteRow) -> Result<Stage, StoreError> {
    Ok(match parsed::<JobState>(row, "state")? {
        JobState::Held => Stage::Held,
        JobState::Unpinned => Stage::Unpinned,
        JobState::Waiting => Stage::Waiting,
        JobState::Queued => Stage::Queued,
        JobState::Leased => Stage::Running { is_told_to_stop: column(row, "cancel")? },
        JobState::Calling => Stage::Calling { is_told_to_stop: column(row, "cancel")? },
        JobState::Publishing => Stage::Publishing,
        JobState::Finished => {
            let outcome = parsed_option(row, "outcome")?;
            Stage::Ended(outcome.ok_or_else(|| {
                StoreError::Corrupt("a job is finished and has no outcome".to_owned())
            })?)
        }
    })
}
