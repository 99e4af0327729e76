//! Jobs whose images are not pinned yet, and the NVRs that they reserve.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::event::Trust;
use workflows::ids::{JobId, RunId};
use workflows::image::{ManifestForm, Nvr, ParentPin};
use workflows::job::JobSpec;
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::nvr::{self, NvrError};
use workflows::plan::JobDraft;
use workflows::rebuild::ParentKind;
use workflows::state::JobState;
use workflows::status::{self, Sentence};

use super::row::{column, json, parsed, to_json};
use super::{Store, StoreError, desired, seconds};

/// A job that waits for its digests.
#[derive(Debug)]
pub(crate) struct UnpinnedJob {
    pub(crate) id: JobId,
    pub(crate) run: RunId,
    pub(crate) draft: JobDraft,
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) ref_name: RefName,
    pub(crate) commit: CommitId,
    pub(crate) fetch_ref: String,
    pub(crate) release: String,
    pub(crate) trust: Trust,
    pub(crate) tries: u32,
    pub(crate) created_at: DateTime<Utc>,
    /// Whether a parent that moved is the cause.
    pub(crate) is_rebuild: bool,
}

/// Which NVR a job asks for.
#[derive(Debug, Clone)]
pub(crate) struct NvrRequest {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Given by the packager, used verbatim.
    pub(crate) release: Option<String>,
    /// Where the packager gave it, such as `Dockerfile:7`.
    pub(crate) place: String,
    /// Put behind a number that is ours to choose.
    pub(crate) dist_tag: String,
}

/// Why an NVR could not be reserved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReserveError {
    /// The packager's release is built, or being built.
    #[error("{place}: {nvr} exists already; raise the release, or leave it out")]
    Taken { nvr: Nvr, place: String },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ReserveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Jobs to pin, the important and the old ones first.
    pub(crate) async fn unpinned(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<UnpinnedJob>, StoreError> {
        let rows = sqlx::query(
            "SELECT jobs.id AS id, run_id, draft, runs.forge AS forge, runs.repository AS repository, \
             ref_name, commit_id, fetch_ref, release, \
             trust, tries, jobs.created_at AS created_at, events.kind = 'rebuild' AS is_rebuild \
             FROM jobs JOIN runs ON runs.id = run_id JOIN events ON events.id = event_id \
             WHERE jobs.state = 'unpinned' AND jobs.due_at <= $1 \
             ORDER BY priority DESC, jobs.id LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(UnpinnedJob {
                    id: JobId(column(row, "id")?),
                    run: RunId(column(row, "run_id")?),
                    draft: json(row, "draft")?,
                    forge: column(row, "forge")?,
                    repository: parsed(row, "repository")?,
                    ref_name: parsed(row, "ref_name")?,
                    commit: parsed(row, "commit_id")?,
                    fetch_ref: column(row, "fetch_ref")?,
                    release: column(row, "release")?,
                    trust: parsed(row, "trust")?,
                    tries: column(row, "tries")?,
                    created_at: super::at(column(row, "created_at")?),
                    is_rebuild: column(row, "is_rebuild")?,
                })
            })
            .collect()
    }

    /// Reserves the NVR, completes the specification with it and frees the job to be leased, in
    /// one transaction: two jobs never hold the same NVR, and none is queued without its pins.
    pub(crate) async fn record_pins(
        &self,
        job: &UnpinnedJob,
        request: Option<&NvrRequest>,
        pins: &[ParentPin],
        complete: impl FnOnce(Option<&Nvr>) -> JobSpec,
        now: DateTime<Utc>,
    ) -> Result<(), ReserveError> {
        let mut tx = self.write().await?;
        let nvr = match request {
            Some(request) => Some(reserve(&mut tx, job.id, request).await?),
            None => None,
        };
        let spec = complete(nvr.as_ref());
        for (position, pin) in pins.iter().enumerate() {
            sqlx::query(
                "INSERT INTO pins (job_id, position, written, reference, digest, kind, form) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(job.id.0)
            .bind(i64::try_from(position).unwrap_or(i64::MAX))
            .bind(&pin.written)
            .bind(pin.reference.to_string())
            .bind(pin.digest.as_str())
            .bind(pin.kind.map(ParentKind::as_str))
            .bind(pin.form.map(ManifestForm::as_str))
            .execute(&mut *tx)
            .await?;
        }
        let (state, sentence) = if job.draft.needs.is_empty() {
            (JobState::Queued, status::queued())
        } else {
            (JobState::Waiting, status::waiting(&job.draft.needs))
        };
        sqlx::query(
            "UPDATE jobs SET state = $2, spec = $3, queued_at = $4, tries = 0, due_at = 0 \
             WHERE id = $1 AND state = 'unpinned'",
        )
        .bind(job.id.0)
        .bind(state.as_str())
        .bind(to_json(&spec)?)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        desired::desire_for_job(&mut tx, job.id, &sentence, now).await?;
        super::jobs::settle_run(&mut tx, job.run, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The NVR that a build would get if it asked now; nothing is reserved.
    pub(crate) async fn next_nvr(&self, request: &NvrRequest) -> Result<Nvr, ReserveError> {
        let held = releases_held(&self.reader, &request.name, &request.version).await?;
        let refused = |error: &dyn std::fmt::Display| ReserveError::Refused(error.to_string());
        let chosen = nvr::release_for(request.release.as_deref(), &request.dist_tag, &held);
        let release = chosen.map_err(|error| refused(&error))?;
        Nvr::new(&request.name, &request.version, &release).map_err(|error| refused(&error))
    }

    /// Puts a job off because a registry or forge does not answer, and says so in its status.
    pub(crate) async fn defer_pinning(
        &self,
        job: JobId,
        until: DateTime<Utc>,
        sentence: &Sentence,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE jobs SET tries = tries + 1, due_at = $2, message = $3 \
             WHERE id = $1 AND state = 'unpinned'",
        )
        .bind(job.0)
        .bind(seconds(until))
        .bind(&sentence.description)
        .execute(&mut *tx)
        .await?;
        desired::desire_for_job(&mut tx, job, sentence, now).await?;
        Ok(tx.commit().await?)
    }
}

async fn reserve(
    tx: &mut SqliteConnection,
    job: JobId,
    request: &NvrRequest,
) -> Result<Nvr, ReserveError> {
    let held = releases_held(&mut *tx, &request.name, &request.version).await?;
    let place = &request.place;
    let refused =
        |error: &dyn std::fmt::Display| ReserveError::Refused(format!("{place}: {error}"));
    let chosen = nvr::release_for(request.release.as_deref(), &request.dist_tag, &held);
    let nvr = |release: &str| {
        Nvr::new(&request.name, &request.version, release).map_err(|error| refused(&error))
    };
    let nvr = match chosen {
        Ok(release) => nvr(&release)?,
        Err(NvrError::Taken(release)) => {
            return Err(ReserveError::Taken { nvr: nvr(&release)?, place: place.clone() });
        }
        Err(error) => return Err(refused(&error)),
    };
    sqlx::query(
        "INSERT INTO nvrs (job_id, name, version, release, dist_tag, state) \
         VALUES ($1, $2, $3, $4, $5, 'reserved')",
    )
    .bind(job.0)
    .bind(&nvr.name)
    .bind(&nvr.version)
    .bind(&nvr.release)
    .bind(&request.dist_tag)
    .execute(&mut *tx)
    .await?;
    Ok(nvr)
}

/// Releases of this name and version that somebody holds, each with its dist tag, the newest
/// first. Within the single writer's transaction reading them and reserving one more is one step.
async fn releases_held(
    executor: impl sqlx::SqliteExecutor<'_>,
    name: &str,
    version: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let held = sqlx::query_as(
        "SELECT release, dist_tag FROM nvrs WHERE name = $1 AND version = $2 \
         AND state <> 'free' ORDER BY job_id DESC",
    )
    .bind(name)
    .bind(version)
    .fetch_all(executor)
    .await?;
    Ok(held)
}
