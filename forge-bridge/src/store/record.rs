//! The build record: one row for each layered build that is over, and rows for what happens to
//! its image beside it. All of them are append-only, which triggers of the schema enforce.

mod attachments;
mod attempt;
mod read;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use workflows::event::Trust;
use workflows::ids::{ImageId, JobId, RunId};
use workflows::image::{BuiltImage, Digest, Nvr, Reference, Tag};
use workflows::plan::{DraftAction, JobDraft};
use workflows::record::{
    BuildRecord, FORM, RecordedRunner, RecordedSource, RecordedTimes, RecordedWorkflow,
};

use super::row::{column, parsed, parsed_option, to_json};
use super::{StoreError, at, seconds};

pub(crate) use attachments::DueAttachment;
pub(super) use attempt::note_built;
pub(crate) use read::{BuildKey, Found};

/// Writes the record of a job that has just ended, in the transaction of its end. A job without
/// a layered build has none.
pub(super) async fn write(
    tx: &mut SqliteConnection,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT j.id, j.run_id, j.name, j.draft, j.spec, j.attempt, j.outcome, j.fault, j.message, \
             j.created_at, j.queued_at, j.leased_at, \
             r.forge, r.repository, r.ref_name, r.commit_id, r.release, r.cause, r.trust, \
             r.workflow, r.workflow_path, r.workflow_origin, r.workflow_blob, \
             n.name AS runner, n.version AS runner_version, \
             v.name AS nvr_name, v.version AS nvr_version, v.release AS nvr_release, \
             i.reference, i.digest, i.size_bytes, \
             (SELECT min(started_at) FROM steps s WHERE s.job_id = j.id \
                  AND s.attempt = j.attempt) AS step_at, \
             f.log_path, f.log_bytes, f.log_sha256, f.evidence, f.image AS pushed \
         FROM jobs j JOIN runs r ON r.id = j.run_id \
             LEFT JOIN runners n ON n.id = j.runner_id \
             LEFT JOIN nvrs v ON v.job_id = j.id \
             LEFT JOIN images i ON i.job_id = j.id \
             LEFT JOIN attempt_facts f ON f.job_id = j.id AND f.attempt = j.attempt \
         WHERE j.id = $1",
    )
    .bind(job.0)
    .fetch_one(&mut *tx)
    .await?;
    let is_build = lenient::<JobDraft>(&row, "draft")?.is_some_and(|draft| builds(&draft));
    let record = record(&row, now)?;
    if !is_build && record.build().is_none() {
        return Ok(());
    }
    append(tx, &record, now).await?;
    let attaches = record.outcome.is_success() && record.trust == Trust::Trusted;
    if attaches && record.built().is_ok() {
        attachments::want(tx, job).await?;
    }
    Ok(())
}

fn builds(draft: &JobDraft) -> bool {
    draft.steps.iter().any(|step| matches!(step.action, DraftAction::LayeredBuild { .. }))
}

async fn append(
    tx: &mut SqliteConnection,
    record: &BuildRecord,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO build_records (job_id, run_id, job, nvr, outcome, recorded_at, record) \
         VALUES ($1,$2,$3,$4,$5,$6,$7)",
    )
    .bind(record.job.0)
    .bind(record.run.0)
    .bind(&record.job_name)
    .bind(record.nvr.as_ref().map(ToString::to_string))
    .bind(record.outcome.as_str())
    .bind(seconds(now))
    .bind(to_json(record)?)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

fn record(row: &SqliteRow, now: DateTime<Utc>) -> Result<BuildRecord, StoreError> {
    Ok(BuildRecord {
        form: FORM,
        run: RunId(column(row, "run_id")?),
        job: JobId(column(row, "id")?),
        job_name: column(row, "name")?,
        attempt: column(row, "attempt")?,
        outcome: parsed(row, "outcome")?,
        fault: parsed_option(row, "fault")?,
        message: column(row, "message")?,
        nvr: nvr(row)?,
        release: column(row, "release")?,
        cause: column(row, "cause")?,
        trust: parsed(row, "trust")?,
        source: RecordedSource {
            forge: column(row, "forge")?,
            repository: name(row, "repository")?,
            ref_name: name(row, "ref_name")?,
            commit: name(row, "commit_id")?,
        },
        workflow: RecordedWorkflow {
            name: column(row, "workflow")?,
            path: column(row, "workflow_path")?,
            origin: column(row, "workflow_origin")?,
            blob: column(row, "workflow_blob")?,
        },
        spec: lenient(row, "spec")?,
        image: image(row)?,
        evidence: lenient(row, "evidence")?,
        runner: runner(row)?,
        log: attempt::log(row)?,
        times: times(row, now)?,
    })
}

fn times(row: &SqliteRow, now: DateTime<Utc>) -> Result<RecordedTimes, StoreError> {
    let time = |name| Ok::<_, StoreError>(column::<Option<i64>>(row, name)?.map(at));
    Ok(RecordedTimes {
        planned: at(column(row, "created_at")?),
        queued: time("queued_at")?,
        leased: time("leased_at")?,
        started: time("step_at")?,
        finished: now,
    })
}

fn nvr(row: &SqliteRow) -> Result<Option<Nvr>, StoreError> {
    let Some(name) = column(row, "nvr_name")? else { return Ok(None) };
    let (version, release) = (column(row, "nvr_version")?, column(row, "nvr_release")?);
    Ok(Some(Nvr { name, version, release }))
}

fn runner(row: &SqliteRow) -> Result<Option<RecordedRunner>, StoreError> {
    let Some(name) = column(row, "runner")? else { return Ok(None) };
    Ok(Some(RecordedRunner { name, version: column(row, "runner_version")? }))
}

fn image(row: &SqliteRow) -> Result<Option<BuiltImage>, StoreError> {
    // Of a build that failed after its push there is no image that could have tags.
    let Some(reference) = column::<Option<String>>(row, "reference")? else {
        return lenient(row, "pushed");
    };
    let corrupt = |error: workflows::image::ImageNameError| StoreError::Corrupt(error.to_string());
    Ok(Some(BuiltImage {
        reference: Reference::try_from(reference).map_err(corrupt)?,
        digest: Digest::try_from(column::<String>(row, "digest")?).map_err(corrupt)?,
        size_bytes: column::<i64>(row, "size_bytes")?.unsigned_abs(),
    }))
}

/// A column that holds a checked name of ours.
fn name<T: TryFrom<String, Error: std::fmt::Display>>(
    row: &SqliteRow,
    of: &'static str,
) -> Result<T, StoreError> {
    T::try_from(column(row, of)?)
        .map_err(|error| StoreError::Corrupt(format!("column {of}: {error}")))
}

/// A JSON column that may be null, or of a form that this version cannot read: a job must be able
/// to end all the same.
fn lenient<T: DeserializeOwned>(row: &SqliteRow, of: &str) -> Result<Option<T>, StoreError> {
    let Some(text) = row.try_get::<Option<&str>, _>(of)? else { return Ok(None) };
    match serde_json::from_str(text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            tracing::error!(%error, "a build record goes without `{of}`: {error}");
            Ok(None)
        }
    }
}

/// Appends that a tag of an image was put, in the transaction that says so.
pub(super) async fn tag_put(
    tx: &mut SqliteConnection,
    image: ImageId,
    tag: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO record_events (job_id, at, kind, subject, digest) \
         SELECT job_id, $2, 'tag_put', $3, digest FROM images WHERE id = $1",
    )
    .bind(image.0)
    .bind(seconds(now))
    .bind(tag)
    .execute(tx)
    .await?;
    Ok(())
}

/// Appends that the tags of an image were taken away.
pub(super) async fn tags_removed(
    tx: &mut SqliteConnection,
    image: ImageId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO record_events (job_id, at, kind, subject, digest) \
         SELECT i.job_id, $2, 'tag_removed', t.tag, i.digest FROM image_tags t \
         JOIN images i ON i.id = t.image_id \
         WHERE i.id = $1 AND t.put_at IS NOT NULL AND t.removed_at IS NULL ORDER BY t.rowid",
    )
    .bind(image.0)
    .bind(seconds(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Appends that these floating tags, which an image still wants, are given up.
pub(super) async fn tags_forgone(
    tx: &mut SqliteConnection,
    image: ImageId,
    tags: &[Tag],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO record_events (job_id, at, kind, subject, digest) \
         SELECT i.job_id, $2, 'tag_forgone', t.tag, i.digest FROM image_tags t \
         JOIN images i ON i.id = t.image_id \
         WHERE i.id = $1 AND t.class = 'floating' AND t.put_at IS NULL \
         AND t.tag IN (SELECT value FROM json_each($3)) ORDER BY t.rowid",
    )
    .bind(image.0)
    .bind(seconds(now))
    .bind(to_json(&tags)?)
    .execute(tx)
    .await?;
    Ok(())
}
