//! Writing what registries said: of a whole check in two statements, and one more for each
//! reference of which something new was said.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Row, SqliteConnection};
use workflows::rebuild::Target;

use super::{Checked, Said, target};
use crate::store::row::{column, to_json};
use crate::store::{StoreError, seconds};

/// What every answer changes in its row, as a row of the batch.
#[derive(Serialize)]
struct Told<'a> {
    reference: String,
    answer: &'static str,
    reason: &'a str,
    hints: i64,
    due_at: i64,
}

/// What stood there before.
struct Before {
    target: Option<Target>,
    etag: Option<String>,
    was_missing: bool,
}

/// Writes the answers; how many references name something else than before.
pub(super) async fn record(
    tx: &mut SqliteConnection,
    checks: &[Checked],
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let told: Vec<Told<'_>> = checks.iter().map(told).collect();
    let batch = to_json(&told)?;
    let before = before(tx, &batch).await?;
    write_all(tx, &batch, now).await?;
    let mut moved = 0;
    for (check, told) in checks.iter().zip(&told) {
        // One that is not there has nobody who follows it any more.
        if let Some(before) = before.get(&told.reference) {
            moved += usize::from(write_news(tx, check, &told.reference, before, now).await?);
        }
    }
    Ok(moved)
}

fn told(check: &Checked) -> Told<'_> {
    let (answer, reason) = match &check.said {
        Said::Unchanged | Said::Names(..) => ("found", ""),
        Said::Missing => ("missing", ""),
        Said::Failed(why) => ("failed", why.as_str()),
    };
    let reference = check.reference.to_string();
    Told { reference, answer, reason, hints: check.hints, due_at: seconds(check.due_at) }
}

async fn before(
    tx: &mut SqliteConnection,
    batch: &str,
) -> Result<HashMap<String, Before>, StoreError> {
    let rows = sqlx::query(
        "SELECT w.reference, w.form, w.digest, w.answer, w.etag FROM json_each($1) AS told \
         JOIN watched_references AS w ON w.reference = told.value ->> 'reference'",
    )
    .bind(batch)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let before = Before {
                target: target(row)?,
                etag: row.try_get("etag")?,
                was_missing: column::<&str>(row, "answer")? == "missing",
            };
            Ok((column(row, "reference")?, before))
        })
        .collect()
}

/// What each answer changes, in one statement.
async fn write_all(
    tx: &mut SqliteConnection,
    batch: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE watched_references AS w SET answer = told.answer, reason = told.reason, \
         asked_at = $2, tries = CASE WHEN told.answer = 'failed' THEN tries + 1 ELSE 0 END, \
         due_at = CASE WHEN w.hints = told.hints THEN told.due_at ELSE w.due_at END \
         FROM (SELECT value ->> 'reference' AS reference, value ->> 'answer' AS answer, \
         value ->> 'reason' AS reason, value ->> 'hints' AS hints, value ->> 'due_at' AS due_at \
         FROM json_each($1)) AS told WHERE w.reference = told.reference",
    )
    .bind(batch)
    .bind(seconds(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// What was not known before; true when the reference names something else.
async fn write_news(
    tx: &mut SqliteConnection,
    check: &Checked,
    reference: &str,
    before: &Before,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let was_missing = before.was_missing;
    let (sighting, moved) = match &check.said {
        Said::Names(target, etag) => {
            let moved = before.target.as_ref() != Some(target);
            if moved || before.etag != *etag {
                write_target(tx, reference, target, etag.as_deref(), moved, now).await?;
            }
            ((moved || was_missing).then_some(Some(target)), moved)
        }
        Said::Missing => ((!was_missing).then_some(None), false),
        Said::Unchanged if was_missing => (before.target.as_ref().map(Some), false),
        Said::Unchanged | Said::Failed(_) => (None, false),
    };
    if let Some(target) = sighting {
        sqlx::query(
            "INSERT INTO reference_history (reference, form, digest, seen_at) \
             VALUES ($1, $2, $3, $4)",
        )
        .bind(reference)
        .bind(target.map(|target| target.form().as_str()))
        .bind(target.map(|target| target.digest().as_str()))
        .bind(seconds(now))
        .execute(tx)
        .await?;
    }
    Ok(moved)
}

async fn write_target(
    tx: &mut SqliteConnection,
    reference: &str,
    target: &Target,
    etag: Option<&str>,
    moved: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE watched_references SET form = $2, digest = $3, etag = $4, \
         since = CASE WHEN $5 THEN $6 ELSE since END WHERE reference = $1",
    )
    .bind(reference)
    .bind(target.form().as_str())
    .bind(target.digest().as_str())
    .bind(etag)
    .bind(moved)
    .bind(seconds(now))
    .execute(tx)
    .await?;
    Ok(())
}
