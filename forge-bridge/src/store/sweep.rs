//! Repositories that are watched, and what sweeps left of their branches.

pub(crate) mod comments;
pub(crate) mod pulls;
mod rename;
pub(super) mod taken;

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use uuid::Uuid;
use workflows::event::Event;
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::sweep::{Found, Known, Told};

use super::row::{column, json, parsed, parsed_option, readable, to_json};
use super::{Store, StoreError, at, seconds};

/// The word in `deliveries.source`, and the name of the event there.
const SWEEP: &str = "sweep";
/// Events of a repository that are compared at most, the newest: far more than a branch gets
/// between two sweeps.
const MAX_TOLD: u32 = 20_000;

/// A repository whose branches are to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct WatchedRepository {
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) forge_id: Option<String>,
    /// Whether a delivery names another id.
    pub(crate) is_doubtful: bool,
    /// When the forge said the id last.
    pub(crate) identified_at: DateTime<Utc>,
    pub(crate) tries: u32,
    pub(crate) redelivered_at: DateTime<Utc>,
}

/// What a look compares branches by their names, or open pull requests by their numbers, with.
#[derive(Debug)]
pub(crate) struct Remembered<K, H> {
    pub(crate) known: BTreeMap<K, Known<H>>,
    /// What was told of each since, oldest first: its new head, `None` for its end.
    pub(crate) told: BTreeMap<K, Vec<Option<H>>>,
    pub(crate) is_first: bool,
    /// The newest event when `told` was read.
    pub(crate) events_up_to: i64,
}

/// Watches the repositories of new events, a JSON list of rows; one that is watched stays as it
/// is.
pub(super) async fn watch(
    transaction: &mut Transaction<'static, Sqlite>,
    rows: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO watched_repositories (forge, repository)
         SELECT DISTINCT value ->> 'forge', value ->> 'repository' FROM json_each(?)
         WHERE value ->> 'repository' IS NOT NULL
           AND value ->> 'kind' IN ('push', 'branch_created', 'pull_request')
         ON CONFLICT DO NOTHING",
    )
    .bind(rows)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl Store {
    /// Repositories of these forges that are due to be looked at, the longest waiting first.
    pub(crate) async fn sweeps_due(
        &self,
        forges: &[String],
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<WatchedRepository>, StoreError> {
        let rows = sqlx::query(
            "SELECT forge, repository, forge_id, is_doubtful, identified_at, tries, redelivered_at
             FROM watched_repositories
             WHERE due_at <= ? AND forge IN (SELECT value FROM json_each(?))
             ORDER BY due_at LIMIT ?",
        )
        .bind(seconds(now))
        .bind(to_json(&forges)?)
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        let read = |row: &SqliteRow| {
            Ok(WatchedRepository {
                forge: column(row, "forge")?,
                repository: parsed(row, "repository")?,
                forge_id: column(row, "forge_id")?,
                is_doubtful: column(row, "is_doubtful")?,
                identified_at: at(column(row, "identified_at")?),
                tries: column(row, "tries")?,
                redelivered_at: at(column(row, "redelivered_at")?),
            })
        };
        Ok(readable("watched repository", &rows, read))
    }

    /// A repository of a forge that is watched, one that could be read before others.
    pub(crate) async fn some_watched(
        &self,
        forge: &str,
    ) -> Result<Option<RepositoryName>, StoreError> {
        let row = sqlx::query(
            "SELECT repository FROM watched_repositories WHERE forge = ?
             ORDER BY tries, swept_at DESC, repository LIMIT 1",
        )
        .bind(forge)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(|row| parsed(row, "repository")).transpose()
    }

    /// All branches and pull requests of a repository that nobody has looked at yet are news.
    pub(crate) async fn welcome_repository(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE watched_repositories SET swept_at = 0, pulls_swept_at = 0
             WHERE forge = ? AND repository = ? AND swept_at IS NULL",
        )
        .bind(forge)
        .bind(repository.as_str())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// How many repositories are watched, and how many of them could not be looked at.
    pub(crate) async fn watched_count(&self) -> Result<(i64, i64), StoreError> {
        Ok(sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE tries > 0) FROM watched_repositories",
        )
        .fetch_one(&self.reader)
        .await?)
    }

    /// Makes every repository due within that many seconds, so that what was missed while nobody
    /// looked is found soon.
    pub(crate) async fn sweep_soon(
        &self,
        now: DateTime<Utc>,
        spread_seconds: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE watched_repositories SET due_at = min(due_at, $1 + rowid % $2)")
            .bind(seconds(now))
            .bind(spread_seconds.max(1))
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// What is known of a repository's branches. To be read after they were listed, so that a
    /// push in between looks told and not missed. `None` when it is watched no more under that name,
    /// because another look found that it has a new one.
    pub(crate) async fn remembered(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<Option<Remembered<RefName, CommitId>>, StoreError> {
        let mut tx = self.reader.begin().await?;
        let sql = "SELECT swept_at, events_up_to FROM watched_repositories
                   WHERE forge = ? AND repository = ?";
        let Some((swept_at, since)) = last_look(&mut tx, sql, forge, repository).await? else {
            return Ok(None);
        };
        let known = known(&mut tx, forge, repository).await?;
        let (told, events_up_to) = told(&mut tx, forge, repository, since).await?;
        Ok(Some(Remembered { known, told, is_first: swept_at.is_none(), events_up_to }))
    }

    /// Writes what a sweep found, with the deliveries that it makes up, in one transaction; nothing of
    /// a repository that is watched no more under that name.
    pub(crate) async fn record_sweep(
        &self,
        swept: &WatchedRepository,
        found: &Found,
        events_up_to: i64,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let (forge, repository) = (&swept.forge, swept.repository.as_str());
        let noted = sqlx::query(
            "UPDATE watched_repositories SET swept_at = $3, events_up_to = $4, due_at = $5,
             tries = 0, reason = '' WHERE forge = $1 AND repository = $2",
        )
        .bind(forge)
        .bind(repository)
        .bind(seconds(now))
        .bind(events_up_to)
        .bind(seconds(due_at))
        .execute(&mut *tx)
        .await?;
        if noted.rows_affected() == 0 {
            return Ok(());
        }
        let replace = [
            "DELETE FROM watched_branches WHERE forge = $1 AND repository = $2",
            "INSERT INTO watched_branches (forge, repository, ref_name, head, missed)
             SELECT $1, $2, value ->> 'key', value ->> 'head', value ->> 'missed'
             FROM json_each($3)",
        ];
        leave(&mut tx, replace, swept, &found.known).await?;
        for event in &found.events {
            make_up(&mut tx, forge, event, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// A look failed; the next one is due then.
    pub(crate) async fn defer_sweep(
        &self,
        swept: &WatchedRepository,
        why: &str,
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE watched_repositories SET tries = tries + 1, reason = $3, due_at = $4
             WHERE forge = $1 AND repository = $2",
        )
        .bind(&swept.forge)
        .bind(swept.repository.as_str())
        .bind(why)
        .bind(seconds(due_at))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Takes it on to ask the forge which of its deliveries failed: those of a repository, or `of_all`
    /// of them. False when somebody did after `before`.
    pub(crate) async fn claim_redelivery(
        &self,
        swept: &WatchedRepository,
        of_all: bool,
        before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let claimed = sqlx::query(
            "UPDATE watched_repositories SET redelivered_at = $3
             WHERE forge = $1 AND (repository = $2 OR $5) AND NOT EXISTS
                 (SELECT 1 FROM watched_repositories AS o WHERE o.forge = $1
                  AND (o.repository = $2 OR $5) AND o.redelivered_at > $4)",
        )
        .bind(&swept.forge)
        .bind(swept.repository.as_str())
        .bind(seconds(now))
        .bind(seconds(before))
        .bind(of_all)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(claimed.rows_affected() > 0)
    }
}

async fn known(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
) -> Result<BTreeMap<RefName, Known>, StoreError> {
    let rows = sqlx::query(
        "SELECT ref_name, head, coalesce(missed, 'null') AS missed FROM watched_branches
         WHERE forge = ? AND repository = ?",
    )
    .bind(forge)
    .bind(repository.as_str())
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((parsed(row, "ref_name")?, left(row)?))).collect()
}

/// When the last look was, and the newest event then; `sql` selects both of a repository.
async fn last_look(
    tx: &mut SqliteConnection,
    sql: &'static str,
    forge: &str,
    repository: &RepositoryName,
) -> Result<Option<(Option<i64>, i64)>, StoreError> {
    Ok(sqlx::query_as(sql).bind(forge).bind(repository.as_str()).fetch_optional(tx).await?)
}

/// What the last look left of a branch or of a pull request.
fn left<H>(row: &SqliteRow) -> Result<Known<H>, StoreError>
where
    H: FromStr + DeserializeOwned,
    H::Err: std::fmt::Display,
{
    Ok(Known { head: parsed_option(row, "head")?, missed: json(row, "missed")? })
}

/// Leaves what a look knows in the place of what the one before left: one statement takes that of a
/// repository away, and the other writes rows of JSON.
async fn leave<K: Serialize, H: Serialize>(
    tx: &mut SqliteConnection,
    [delete, insert]: [&'static str; 2],
    swept: &WatchedRepository,
    known: &BTreeMap<K, Known<H>>,
) -> Result<(), StoreError> {
    let row = |(key, known): (&K, &Known<H>)| serde_json::json!({"key": key, "head": known.head, "missed": known.missed});
    let rows = to_json(&known.iter().map(row).collect::<Vec<_>>())?;
    let (forge, repository) = (swept.forge.as_str(), swept.repository.as_str());
    sqlx::query(delete).bind(forge).bind(repository).execute(&mut *tx).await?;
    sqlx::query(insert).bind(forge).bind(repository).bind(rows).execute(tx).await?;
    Ok(())
}

/// What events newer than `since` say of branches, and the number of the newest of all. One that is
/// a double says nothing, and one that may be says nothing yet.
async fn told(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
    since: i64,
) -> Result<(Told, i64), StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM (
             SELECT id, moved_ref, moved_to FROM events
             WHERE forge = ? AND repository = ? AND id > ?
               AND moved_ref IS NOT NULL AND moved_ref NOT LIKE 'pull %'
               AND state <> 'duplicate' AND (repeats IS NULL OR state = 'planned')
             ORDER BY id DESC LIMIT ?) ORDER BY id",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(since)
    .bind(MAX_TOLD)
    .fetch_all(&mut *tx)
    .await?;
    let mut told = Told::new();
    for row in &rows {
        let heads: &mut Vec<_> = told.entry(parsed(row, "moved_ref")?).or_default();
        heads.push(parsed_option(row, "moved_to")?);
    }
    Ok((told, newest_event(tx).await?.max(since)))
}

/// The newest event of all: whatever is told later has a higher number, and no look need read
/// again what others have said meanwhile.
async fn newest_event(tx: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM events").fetch_one(tx).await?)
}

/// Stores an event as a delivery that nobody sent; the decoder takes it from there.
async fn make_up(
    tx: &mut SqliteConnection,
    forge: &str,
    event: &Event,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO deliveries (forge, delivery, event_name, headers, body, received_at, source)
         VALUES ($1, $2, $3, '{}', $4, $5, $3)",
    )
    .bind(forge)
    .bind(format!("{SWEEP}-{}", Uuid::new_v4()))
    .bind(SWEEP)
    .bind(to_json(event)?.into_bytes())
    .bind(seconds(now))
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
