//! References whose digest decides whether something is stale, and what registries said of them.

mod answers;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::image::{Digest, ManifestForm, Reference};
use workflows::rebuild::{Observation, Target};

use super::row::{column, json, parsed_option, readable, to_json};
use super::{Store, StoreError, at, seconds};

/// A reference that is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) reference: Reference,
    /// Names of the releases whose images follow it.
    pub(crate) releases: Vec<String>,
    /// What it named when the registry last said so, and since when.
    pub(crate) known: Option<(Target, DateTime<Utc>)>,
    pub(crate) etag: Option<String>,
    pub(crate) answer: Answer,
    pub(crate) asked_at: Option<DateTime<Utc>>,
    pub(crate) tries: u32,
    pub(crate) hints: i64,
}

/// What came of the last question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Unasked,
    Found,
    Missing,
    Failed(String),
}

/// What a check found out about one reference.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) reference: Reference,
    /// The hints that were known when the question was asked.
    pub(crate) hints: i64,
    pub(crate) said: Said,
    /// When to ask again unless a hint comes before.
    pub(crate) due_at: DateTime<Utc>,
}

/// What a registry said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Unchanged,
    Names(Target, Option<String>),
    Missing,
    Failed(String),
}

impl Watched {
    /// As the planner sees it; `None` before the first answer.
    pub(crate) fn observation(&self) -> Option<Observation> {
        match (&self.answer, &self.known) {
            (Answer::Unasked, _) | (Answer::Found, None) => None,
            (Answer::Found, Some((target, _))) => Some(Observation::Found(target.clone())),
            (Answer::Missing, Some(_)) => Some(Observation::Missing),
            (Answer::Missing, None) => Some(Observation::Never),
            (Answer::Failed(why), _) => Some(Observation::Failed(why.clone())),
        }
    }
}

/// One digest that a reference was seen with.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    /// `None` when it was gone.
    pub(crate) target: Option<Target>,
    pub(crate) seen_at: DateTime<Utc>,
}

impl Store {
    /// All watched references, in no order.
    pub(crate) async fn watched(&self) -> Result<Vec<Watched>, StoreError> {
        let rows = sqlx::query("SELECT *, rowid AS id FROM watched_references")
            .fetch_all(&self.reader)
            .await?;
        Ok(readable("watched reference", &rows, watched))
    }

    /// Those that are due, the longest waiting first.
    pub(crate) async fn watched_due(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Watched>, StoreError> {
        let rows = sqlx::query(
            "SELECT *, rowid AS id FROM watched_references WHERE due_at <= $1 \
             ORDER BY due_at, reference LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        Ok(readable("watched reference", &rows, watched))
    }

    /// Makes the set of watched references that which the graph follows now. Each new one, and each
    /// that others follow than before, is due at once; the history of one that is not followed any more stays.
    pub(crate) async fn watch(
        &self,
        wanted: &[(Reference, Vec<String>)],
        gone: &[Reference],
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for (reference, releases) in wanted {
            sqlx::query(
                "INSERT INTO watched_references (reference, repository, tag, releases) \
                 VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (reference) DO UPDATE SET releases = excluded.releases, \
                 due_at = 0, hints = hints + 1",
            )
            .bind(reference.to_string())
            .bind(&reference.repository)
            .bind(reference.tag.as_ref().map_or("", |tag| tag.as_str()))
            .bind(to_json(releases)?)
            .execute(&mut *tx)
            .await?;
        }
        for reference in gone {
            sqlx::query("DELETE FROM watched_references WHERE reference = $1")
                .bind(reference.to_string())
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Writes what registries said. A hint that came while the question was under way keeps the
    /// reference due. The answer is how many references name something else than before.
    pub(crate) async fn record_checks(
        &self,
        checks: &[Checked],
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let mut tx = self.write().await?;
        let moved = answers::record(&mut tx, checks, now).await?;
        tx.commit().await?;
        Ok(moved)
    }

    /// Makes every watched reference of that repository and tag due at once, on whichever host: a
    /// registry may be known under another name there. The answer is how many.
    pub(crate) async fn hint(
        &self,
        names: &[(String, String)],
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        // One statement, because a notification may name very many tags that nobody watches.
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE watched_references SET due_at = min(due_at, $2), hints = hints + 1 \
             WHERE (repository, tag) IN (SELECT value ->> 0, value ->> 1 FROM json_each($1))",
        )
        .bind(to_json(&names)?)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Makes each of these due at its time at the latest.
    pub(crate) async fn due_by(
        &self,
        times: impl Iterator<Item = (DateTime<Utc>, Reference)>,
    ) -> Result<(), StoreError> {
        let times: Vec<_> = times.map(|(at, one)| (seconds(at), one.to_string())).collect();
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE watched_references AS w SET due_at = min(w.due_at, told.due_at) \
             FROM (SELECT value ->> 0 AS due_at, value ->> 1 AS reference FROM json_each($1)) \
             AS told WHERE w.reference = told.reference",
        )
        .bind(to_json(&times)?)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Makes all of them due at once.
    pub(crate) async fn hint_all(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let done = sqlx::query("UPDATE watched_references SET due_at = $1, hints = hints + 1")
            .bind(seconds(now))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// The digests of a reference, newest first.
    pub(crate) async fn sightings(
        &self,
        reference: &Reference,
        limit: u32,
    ) -> Result<Vec<Sighting>, StoreError> {
        let rows = sqlx::query(
            "SELECT form, digest, seen_at FROM reference_history WHERE reference = $1 \
             ORDER BY id DESC LIMIT $2",
        )
        .bind(reference.to_string())
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| Ok(Sighting { target: target(row)?, seen_at: at(column(row, "seen_at")?) }))
            .collect()
    }
}

/// Makes the watched references of a repository and tag due, inside the caller's transaction.
pub(super) async fn hint(
    tx: &mut SqliteConnection,
    repository: &str,
    tag: &str,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE watched_references SET due_at = min(due_at, $3), hints = hints + 1 \
         WHERE repository = $1 AND tag = $2",
    )
    .bind(repository)
    .bind(tag)
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    Ok(done.rows_affected())
}

fn target(row: &SqliteRow) -> Result<Option<Target>, StoreError> {
    let form: Option<ManifestForm> = parsed_option(row, "form")?;
    let digest: Option<String> = column(row, "digest")?;
    let digest = digest.as_deref().map(Digest::parse).transpose();
    let digest = digest.map_err(|error| StoreError::Corrupt(format!("column digest: {error}")))?;
    Ok(form.zip(digest).map(|(form, digest)| Target::new(form, digest)))
}

fn watched(row: &SqliteRow) -> Result<Watched, StoreError> {
    let reference: String = column(row, "reference")?;
    let since: Option<i64> = column(row, "since")?;
    let asked_at: Option<i64> = column(row, "asked_at")?;
    let answer = match column::<&str>(row, "answer")? {
        "found" => Answer::Found,
        "missing" => Answer::Missing,
        "failed" => Answer::Failed(column(row, "reason")?),
        _ => Answer::Unasked,
    };
    Ok(Watched {
        reference: reference
            .try_into()
            .map_err(|error| StoreError::Corrupt(format!("column reference: {error}")))?,
        releases: json(row, "releases")?,
        known: target(row)?.zip(since.map(at)),
        etag: column(row, "etag")?,
        answer,
        asked_at: asked_at.map(at),
        tries: column(row, "tries")?,
        hints: column(row, "hints")?,
    })
}
