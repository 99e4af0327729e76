//! How rebuilds ended, and what that means for the next ones.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::image::{Digest, Reference};
use workflows::rebuild::Tried;
use workflows::state::Outcome;

use super::super::nodes::{self, Branch, of_branch};
use super::super::row::{column, json, parsed_option, to_json};
use super::super::{StoreError, seconds};
use super::{NOT_CONFIGURED, SUPERSEDED};

/// How one rebuild ended.
struct End {
    outcome: Outcome,
    reason: String,
}

pub(super) async fn settle(
    tx: &mut SqliteConnection,
    row: &sqlx::sqlite::SqliteRow,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (number, event): (i64, i64) = (column(row, "id")?, column(row, "event")?);
    let branch = Branch::read(row)?;
    let end = if column::<&str>(row, "event_state")? == "planned" {
        end_of_runs(tx, event).await?
    } else {
        let reason: Option<String> = column(row, "event_reason")?;
        let reason = reason.unwrap_or_default();
        let outcome = match reason.starts_with(SUPERSEDED) {
            true => Outcome::Superseded,
            false => Outcome::Failure,
        };
        End { outcome, reason }
    };
    let ended = sqlx::query(
        "UPDATE rebuilds SET finished_at = $2, outcome = $3, reason = $4 \
         WHERE id = $1 AND finished_at IS NULL",
    )
    .bind(number)
    .bind(seconds(now))
    .bind(end.outcome.as_str())
    .bind(&end.reason)
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(());
    }
    match end.outcome {
        Outcome::Success => {
            nodes::forgive(tx, &branch).await?;
            drop_leftovers(tx, &branch, event).await
        }
        Outcome::Superseded => Ok(()),
        _ => {
            let mut tried: Vec<Tried> = json(row, "tried")?;
            for (reference, digest) in pins_of(tx, event).await? {
                // What was built on is what the pinner found, which may be newer than the plan.
                if let Some(known) = tried.iter_mut().find(|tried| tried.reference == reference) {
                    known.digest = digest;
                }
            }
            let counts = !end.reason.starts_with(NOT_CONFIGURED);
            record_failure(tx, &branch, &tried, &end.reason, now, counts).await
        }
    }
}

/// What all runs of a rebuild together are. One that ends well and builds no image of its branch
/// has not done what it was there for, and would be begun for ever.
async fn end_of_runs(tx: &mut SqliteConnection, event: i64) -> Result<End, StoreError> {
    let rows = sqlx::query(
        "SELECT runs.outcome AS outcome, runs.message AS run_message, \
         (SELECT message FROM jobs WHERE run_id = runs.id AND outcome NOT IN ('success', 'skipped') \
          ORDER BY id LIMIT 1) AS message, \
         EXISTS (SELECT 1 FROM image_nodes JOIN jobs ON jobs.id = image_nodes.job_id \
          WHERE jobs.run_id = runs.id) AS built FROM runs WHERE event_id = $1",
    )
    .bind(event)
    .fetch_all(&mut *tx)
    .await?;
    let mut outcomes = Vec::new();
    let (mut reason, mut built) = (String::new(), false);
    for row in &rows {
        outcomes.extend(parsed_option::<Outcome>(row, "outcome")?);
        built |= column::<bool>(row, "built")?;
        if reason.is_empty() {
            let message: Option<String> = column(row, "message")?;
            reason = message.map_or_else(|| column(row, "run_message"), Ok)?;
        }
    }
    let outcome = Outcome::of_all(outcomes);
    Ok(match outcome {
        Outcome::Success if !built => End {
            outcome: Outcome::Failure,
            reason: "its workflow does not build a released image any more".to_owned(),
        },
        _ => End { outcome, reason },
    })
}

/// A job that the workflow does not have any more, or one that does not build any more, has left
/// an image that nobody will build again. One that was current was not to be built.
async fn drop_leftovers(
    tx: &mut SqliteConnection,
    branch: &Branch,
    event: i64,
) -> Result<(), StoreError> {
    of_branch(
        "DELETE FROM image_nodes WHERE forge = $1 AND repository = $2 AND ref_name = $3 \
         AND job_id < (SELECT min(jobs.id) FROM jobs JOIN runs ON runs.id = run_id \
         WHERE event_id = $4) AND NOT EXISTS (SELECT 1 FROM events, \
         json_each(event, '$.current') AS current WHERE events.id = $4 \
         AND current.value ->> '$.workflow.origin' = workflow_origin \
         AND current.value ->> '$.workflow.path' = workflow_path \
         AND current.value ->> 'job' = job_name)",
        branch,
    )
    .bind(event)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Counts a failure, anew when the parents are others than those of the failures before. One that
/// does not count, because it is not the image's, is tried again after the first pause, for ever.
pub(super) async fn record_failure(
    tx: &mut SqliteConnection,
    branch: &Branch,
    tried: &[Tried],
    reason: &str,
    now: DateTime<Utc>,
    counts: bool,
) -> Result<(), StoreError> {
    of_branch(
        "INSERT INTO rebuild_controls (forge, repository, ref_name, attempts, failed_at, reason, \
         tried) VALUES ($1, $2, $3, $7, $4, $5, $6) \
         ON CONFLICT (forge, repository, ref_name) DO UPDATE SET \
         attempts = CASE WHEN tried = excluded.tried THEN attempts ELSE 0 END + $7, \
         failed_at = excluded.failed_at, reason = excluded.reason, tried = excluded.tried",
        branch,
    )
    .bind(seconds(now))
    .bind(reason)
    .bind(to_json(&tried)?)
    .bind(counts)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn pins_of(
    tx: &mut SqliteConnection,
    event: i64,
) -> Result<Vec<(Reference, Digest)>, StoreError> {
    let rows = sqlx::query(
        "SELECT reference, digest FROM pins JOIN jobs ON jobs.id = job_id \
         JOIN runs ON runs.id = run_id WHERE event_id = $1",
    )
    .bind(event)
    .fetch_all(&mut *tx)
    .await?;
    let corrupt = |error| StoreError::Corrupt(format!("pins: {error}"));
    rows.iter()
        .map(|row| {
            let reference = column::<String>(row, "reference")?.try_into().map_err(corrupt)?;
            Ok((reference, Digest::parse(column(row, "digest")?).map_err(corrupt)?))
        })
        .collect()
}
