//! Jobs whose images are not pinned yet, and the NVRs that they reserve.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, SqliteConnection};
use workflows::event::Trust;
use workflows::facts::Facts;
use workflows::ids::{JobId, RunId};
use workflows::image::{ManifestForm, Nvr, ParentPin, Reference};
use workflows::job::JobSpec;
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::nvr::{self, NvrError};
use workflows::plan::JobDraft;
use workflows::rebuild::ParentKind;
use workflows::state::JobState;
use workflows::status::{self, Sentence};

use super::groups::IS_BEHIND;
use super::row::{column, json, json_option, parsed, readable, to_json};
use super::{Store, StoreError, desired, holders, progress, seconds};

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
    /// Whether a pull request began the run, be it of the branch that it would go into.
    pub(crate) is_of_pull: bool,
    pub(crate) release: String,
    pub(crate) trust: Trust,
    pub(crate) tries: u32,
    pub(crate) created_at: DateTime<Utc>,
    /// Whether a parent that moved is the cause.
    pub(crate) is_rebuild: bool,
    /// The workflow's title.
    pub(crate) workflow: String,
    /// What is known about the event; `None` for a run of an older version.
    pub(crate) facts: Option<Facts>,
    /// The context `needs`, as far as it is known.
    pub(crate) needs: Option<Json>,
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
    /// Releases of this line that the registry has although nobody here holds them, the newest
    /// first: they were given out after a database was saved that is restored now.
    pub(crate) there: Vec<String>,
    /// What else it takes; `None` of a question that reserves nothing.
    pub(crate) claim: Option<Claim>,
}

/// What is one repository's alone.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Where the image goes, without a tag.
    pub(crate) target: Reference,
    /// The repository that the operator lets build it, whoever built it first.
    pub(crate) assigned: Option<RepositoryName>,
}

/// Why an NVR could not be reserved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReserveError {
    /// The packager's release is built, or being built.
    #[error("{place}: {nvr} exists already; raise the release, or leave it out")]
    Taken { nvr: Nvr, place: String },
    /// The component, or the place of the image, is another repository's.
    #[error(
        "{what} is built by repository {holder} and by no other; name the image otherwise, or have \
         the operator write this repository into `holders` of the release"
    )]
    Held { what: String, holder: String },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NvrRequest {
    /// The NVR beside those that are held.
    fn choose(&self, held: &[(String, String)]) -> Result<Nvr, ReserveError> {
        let place = &self.place;
        let refused =
            |error: &dyn std::fmt::Display| ReserveError::Refused(format!("{place}: {error}"));
        let nvr = |release: &str| {
            Nvr::new(&self.name, &self.version, release).map_err(|error| refused(&error))
        };
        let there = self.there.iter().map(|release| (release.clone(), self.dist_tag.clone()));
        let held: Vec<_> = there.chain(held.iter().cloned()).collect();
        match nvr::release_for(self.release.as_deref(), &self.dist_tag, &held) {
            Ok(release) => nvr(&release),
            Err(NvrError::Taken(release)) => {
                Err(ReserveError::Taken { nvr: nvr(&release)?, place: place.clone() })
            }
            Err(error) => Err(refused(&error)),
        }
    }
}

impl From<sqlx::Error> for ReserveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Jobs to pin, the important and the old ones first, but those of the forges and of the
    /// repositories `without`.
    pub(crate) async fn unpinned(
        &self,
        now: DateTime<Utc>,
        limit: u32,
        without: (&[String], &[(String, RepositoryName)]),
    ) -> Result<Vec<UnpinnedJob>, StoreError> {
        let sql = format!(
            "SELECT jobs.id AS id, run_id, draft, workflow, facts, needs_known, runs.forge AS forge, runs.repository AS repository, \
             ref_name, commit_id, fetch_ref, release, \
             trust, tries, jobs.created_at AS created_at, events.kind = 'rebuild' AS is_rebuild, \
             pull_number IS NOT NULL AS is_of_pull \
             FROM jobs JOIN runs ON runs.id = run_id JOIN events ON events.id = event_id \
             WHERE jobs.state = 'unpinned' AND jobs.due_at <= $1 AND NOT {IS_BEHIND} \
             AND runs.forge NOT IN (SELECT value FROM json_each($3)) \
             AND NOT EXISTS (SELECT 1 FROM json_each($4) \
             WHERE value ->> 0 = runs.forge AND value ->> 1 = runs.repository) \
             ORDER BY priority DESC, jobs.id LIMIT $2",
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(seconds(now))
            .bind(limit)
            .bind(to_json(&without.0)?)
            .bind(to_json(&without.1)?)
            .fetch_all(&self.reader)
            .await?;
        Ok(readable("job to pin", &rows, |row| {
            Ok(UnpinnedJob {
                id: JobId(column(row, "id")?),
                run: RunId(column(row, "run_id")?),
                draft: json(row, "draft")?,
                forge: column(row, "forge")?,
                repository: parsed(row, "repository")?,
                ref_name: parsed(row, "ref_name")?,
                commit: parsed(row, "commit_id")?,
                fetch_ref: column(row, "fetch_ref")?,
                is_of_pull: column(row, "is_of_pull")?,
                release: column(row, "release")?,
                trust: parsed(row, "trust")?,
                tries: column(row, "tries")?,
                created_at: super::at(column(row, "created_at")?),
                is_rebuild: column(row, "is_rebuild")?,
                workflow: column(row, "workflow")?,
                facts: json_option(row, "facts")?,
                needs: json_option(row, "needs_known")?,
            })
        }))
    }

    /// Reserves the NVR, completes the specification with it and frees the job to be leased, in
    /// one transaction: two jobs never hold the same NVR, and none is queued without its pins. One
    /// that ended while its images were asked for takes nothing.
    pub(crate) async fn record_pins(
        &self,
        job: &UnpinnedJob,
        request: Option<&NvrRequest>,
        pins: &[ParentPin],
        complete: impl FnOnce(Option<&Nvr>) -> JobSpec,
        now: DateTime<Utc>,
    ) -> Result<(), ReserveError> {
        let mut tx = self.write().await?;
        if !is_unpinned(&mut tx, job.id).await? {
            return Ok(());
        }
        let nvr = match request {
            Some(request) => {
                if let Some(claim) = &request.claim {
                    holders::check(&mut tx, &job.repository, &request.name, claim).await?;
                }
                Some(reserve(&mut tx, job.id, request).await?)
            }
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
        progress::settle(&mut tx, job.run, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The NVR that a build would get if it asked now; nothing is reserved.
    pub(crate) async fn next_nvr(&self, request: &NvrRequest) -> Result<Nvr, ReserveError> {
        request.choose(&releases_held(&self.reader, &request.name, &request.version).await?)
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
        if !is_unpinned(&mut tx, job).await? {
            return Ok(());
        }
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

/// Whether a job still waits for its digests: it may have been cancelled meanwhile.
async fn is_unpinned(tx: &mut SqliteConnection, job: JobId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND state = 'unpinned')";
    Ok(sqlx::query_scalar(sql).bind(job.0).fetch_one(tx).await?)
}

async fn reserve(
    tx: &mut SqliteConnection,
    job: JobId,
    request: &NvrRequest,
) -> Result<Nvr, ReserveError> {
    let held = releases_held(&mut *tx, &request.name, &request.version).await?;
    let nvr = request.choose(&held)?;
    sqlx::query(
        "INSERT INTO nvrs (job_id, name, version, release, dist_tag, target, state) \
         VALUES ($1, $2, $3, $4, $5, $6, 'reserved')",
    )
    .bind(job.0)
    .bind(&nvr.name)
    .bind(&nvr.version)
    .bind(&nvr.release)
    .bind(&request.dist_tag)
    .bind(request.claim.as_ref().map_or_else(String::new, |claim| claim.target.to_string()))
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
