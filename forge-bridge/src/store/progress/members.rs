//! The jobs of a run as `workflows::progress` sees them.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::expression::Context;
use workflows::facts::Facts;
use workflows::ids::{JobId, RunId};
use workflows::progress::{Member, Stage};
use workflows::state::JobState;

use crate::store::StoreError;
use crate::store::row::{column, json, parsed, parsed_option};

/// A job with what only the store has to know of it.
pub(super) struct Row {
    pub(super) id: JobId,
    pub(super) member: Member,
    pub(super) is_pinned: bool,
    pub(super) is_provisional: bool,
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

    pub(super) fn context_of_condition(&self, key: &str) -> Context {
        let facts = self.facts.as_deref().and_then(|facts| serde_json::from_str(facts).ok());
        let facts: Facts = facts.unwrap_or_default();
        facts.context_of_condition(&self.workflow, key)
    }
}

/// All jobs of a run, in the order in which they were planned.
pub(super) async fn load(tx: &mut SqliteConnection, run: RunId) -> Result<Vec<Row>, StoreError> {
    // A draft is read only as far as it is of use, and for jobs that are not over.
    let rows = sqlx::query(
        "SELECT id, name, key, needs, state, outcome, cancel, outputs, spec IS NOT NULL AS pinned, \
         CASE WHEN state <> 'finished' THEN draft -> '$.condition' END AS condition, \
         COALESCE(draft ->> '$.continue_on_error', 0) AS continue_on_error, \
         COALESCE(draft ->> '$.is_provisional', 0) AS provisional, \
         COALESCE(draft ->> '$.matrix.fail_fast', 0) AS fail_fast \
         FROM jobs WHERE run_id = $1 ORDER BY id",
    )
    .bind(run.0)
    .fetch_all(&mut *tx)
    .await?;
    rows.iter().map(row).collect()
}

fn row(row: &SqliteRow) -> Result<Row, StoreError> {
    let name: String = column(row, "name")?;
    let key: String = column(row, "key")?;
    let is_old = key.is_empty();
    let condition: Option<&str> = column(row, "condition")?;
    let member = Member {
        key: if is_old { name.clone() } else { key },
        name,
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
    })
}

fn stage(row: &SqliteRow) -> Result<Stage, StoreError> {
    Ok(match parsed::<JobState>(row, "state")? {
        JobState::Held => Stage::Held,
        JobState::Unpinned => Stage::Unpinned,
        JobState::Waiting => Stage::Waiting,
        JobState::Queued => Stage::Queued,
        JobState::Leased => Stage::Running { is_told_to_stop: column(row, "cancel")? },
        JobState::Publishing => Stage::Publishing,
        JobState::Finished => {
            let outcome = parsed_option(row, "outcome")?;
            Stage::Ended(outcome.ok_or_else(|| {
                StoreError::Corrupt("a job is finished and has no outcome".to_owned())
            })?)
        }
    })
}
