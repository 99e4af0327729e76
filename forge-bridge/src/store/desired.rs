//! What the forge should say about a commit, written together with what made it so.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::ids::{JobId, RunId};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::status::Sentence;
use workflows::status::shared::{self, Claim, Place};

use super::pulls::PullKey;
use super::row::{column, parsed, parsed_option};
use super::{StoreError, seconds};

/// Which commit a status is about, and which run says so.
pub(super) struct Subject<'a> {
    pub(super) run: RunId,
    pub(super) forge: &'a str,
    pub(super) repository: &'a RepositoryName,
    pub(super) commit: &'a CommitId,
}

/// Most places of a commit that are looked at. What is no success comes first, so that more of them
/// do not make a success.
const MAX_CLAIMS: u32 = 100;
/// Most statuses that are looked at when a pull request moves.
const MAX_REVIEWED: u32 = 1000;

/// Says what a run says of a context. The same words again change nothing; what an older run says
/// never replaces the words of a newer one for the same branch or pull request; and of several of
/// these the forge is told what [`shared::told`] says.
pub(super) async fn desire(
    tx: &mut SqliteConnection,
    subject: &Subject<'_>,
    context: &str,
    sentence: &Sentence,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let status: i64 = sqlx::query_scalar(
        "INSERT INTO statuses (forge, repository, commit_id, context, run_id, state, \
         description, target_url, changed_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) \
         ON CONFLICT (forge, repository, commit_id, context) DO UPDATE SET id = id RETURNING id",
    )
    .bind(subject.forge)
    .bind(subject.repository.as_str())
    .bind(subject.commit.as_str())
    .bind(context)
    .bind(subject.run.0)
    .bind(sentence.state.as_str())
    .bind(&sentence.description)
    .bind(target(subject.run))
    .bind(seconds(now))
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO status_claims (status_id, place, run_id, state, description) \
         SELECT $1, CASE WHEN pull_number IS NULL THEN ref_name ELSE '#' || pull_number END, id, \
         $3, $4 FROM runs WHERE id = $2 ON CONFLICT DO UPDATE SET run_id = excluded.run_id, \
         state = excluded.state, description = excluded.description \
         WHERE excluded.run_id >= status_claims.run_id",
    )
    .bind(status)
    .bind(subject.run.0)
    .bind(sentence.state.as_str())
    .bind(&sentence.description)
    .execute(&mut *tx)
    .await?;
    choose(tx, status, now).await
}

/// Chooses anew what is told of the commits that a pull request has, or had: it is not what it was.
pub(super) async fn review_pull(
    tx: &mut SqliteConnection,
    key: &PullKey,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let shared: Vec<i64> = sqlx::query_scalar(
        "SELECT s.id FROM statuses s WHERE s.forge = $1 AND s.repository = $2 \
         AND s.commit_id IN (SELECT head_commit FROM runs \
             WHERE forge = $1 AND repository = $2 AND pull_number = $3) \
         AND (SELECT count(*) FROM status_claims c WHERE c.status_id = s.id) > 1 \
         ORDER BY s.id DESC LIMIT $4",
    )
    .bind(&key.forge)
    .bind(key.repository.as_str())
    .bind(i64::try_from(key.number).unwrap_or(i64::MAX))
    .bind(MAX_REVIEWED)
    .fetch_all(&mut *tx)
    .await?;
    for status in shared {
        choose(tx, status, now).await?;
    }
    Ok(())
}

/// The page's path; the reporter knows the public URL that stands before it.
fn target(run: RunId) -> String {
    format!("/runs/{run}")
}

/// Makes the words of one of the places those that the forge is to be told.
async fn choose(
    tx: &mut SqliteConnection,
    status: i64,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some((run, sentence)) = shared::told(&claims(tx, status).await?) else { return Ok(()) };
    sqlx::query(
        "UPDATE statuses SET run_id = $2, state = $3, description = $4, target_url = $5, \
         changed_at = $6, desired = desired + 1, attempts = 0, due_at = 0, refusal = NULL \
         WHERE id = $1 AND (state <> $3 OR description <> $4 OR target_url <> $5)",
    )
    .bind(status)
    .bind(run.0)
    .bind(sentence.state.as_str())
    .bind(&sentence.description)
    .bind(target(run))
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn claims(tx: &mut SqliteConnection, status: i64) -> Result<Vec<Claim>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.run_id, c.state, c.description, r.ref_name, r.pull_number, \
         COALESCE(p.state = 'open' AND p.head = s.commit_id, 1) AS is_there, \
         (SELECT outcome FROM jobs j WHERE j.run_id = c.run_id AND j.context = s.context \
             ORDER BY j.id LIMIT 1) AS outcome \
         FROM status_claims c JOIN statuses s ON s.id = c.status_id JOIN runs r ON r.id = c.run_id \
         LEFT JOIN pull_requests p ON p.forge = r.forge AND p.repository = r.repository \
         AND p.number = r.pull_number \
         WHERE c.status_id = $1 ORDER BY c.state = 'success', c.run_id DESC LIMIT $2",
    )
    .bind(status)
    .bind(MAX_CLAIMS)
    .fetch_all(&mut *tx)
    .await?;
    rows.iter()
        .map(|row| {
            let number: Option<i64> = column(row, "pull_number")?;
            let ref_name: RefName = parsed(row, "ref_name")?;
            let place = match number {
                Some(number) => Place::PullRequest {
                    number: number.unsigned_abs(),
                    is_there: column(row, "is_there")?,
                },
                None => Place::Ref(ref_name.short().to_owned()),
            };
            Ok(Claim {
                place,
                run: RunId(column(row, "run_id")?),
                sentence: Sentence {
                    state: parsed(row, "state")?,
                    description: column(row, "description")?,
                },
                outcome: parsed_option(row, "outcome")?,
            })
        })
        .collect()
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
