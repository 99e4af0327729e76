//! What the forge should say about a commit, written together with what made it so.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::ids::{JobId, RunId};
use workflows::names::{CommitId, RepositoryName};
use workflows::status::Sentence;

use super::row::{column, parsed};
use super::{StoreError, seconds};

/// Which commit a status is about, and which run says so.
pub(super) struct Subject<'a> {
    pub(super) run: RunId,
    pub(super) forge: &'a str,
    pub(super) repository: &'a RepositoryName,
    pub(super) commit: &'a CommitId,
}

/// Sets the desired status of a context. The same words again change nothing; a status of an
/// older run never replaces that of a newer one.
pub(super) async fn desire(
    tx: &mut SqliteConnection,
    subject: &Subject<'_>,
    context: &str,
    sentence: &Sentence,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // The page's path; the reporter knows the public URL that stands before it.
    let target = format!("/runs/{}", subject.run);
    sqlx::query(
        "INSERT INTO statuses (forge, repository, commit_id, context, run_id, state, \
         description, target_url, changed_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) \
         ON CONFLICT (forge, repository, commit_id, context) DO UPDATE SET \
         run_id = excluded.run_id, state = excluded.state, description = excluded.description, \
         target_url = excluded.target_url, changed_at = excluded.changed_at, \
         desired = desired + 1, attempts = 0, due_at = 0, refusal = NULL \
         WHERE excluded.run_id >= statuses.run_id AND (statuses.state <> excluded.state OR \
         statuses.description <> excluded.description OR \
         statuses.target_url <> excluded.target_url)",
    )
    .bind(subject.forge)
    .bind(subject.repository.as_str())
    .bind(subject.commit.as_str())
    .bind(context)
    .bind(subject.run.0)
    .bind(sentence.state.as_str())
    .bind(&sentence.description)
    .bind(target)
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Sets the desired status of a job.
pub(super) async fn desire_for_job(
    tx: &mut SqliteConnection,
    job: JobId,
    sentence: &Sentence,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT run_id, context, forge, repository, \
         COALESCE(head_commit, commit_id) AS commit_id FROM jobs \
         JOIN runs ON runs.id = run_id WHERE jobs.id = $1",
    )
    .bind(job.0)
    .fetch_one(&mut *tx)
    .await?;
    let subject = Subject {
        run: RunId(column(&row, "run_id")?),
        forge: column(&row, "forge")?,
        repository: &parsed(&row, "repository")?,
        commit: &parsed(&row, "commit_id")?,
    };
    desire(tx, &subject, column(&row, "context")?, sentence, now).await
}
