//! What looks at the open pull requests of a repository left.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::event::{Event, PullRequestAction};
use workflows::names::RepositoryName;
use workflows::sweep::Known;
use workflows::sweep::pulls::{Place, Told};

use super::comments::{self, ReadUpTo};
use super::{
    MAX_TOLD, Remembered, WatchedRepository, last_look, leave, left, make_up, newest_event,
};
use crate::store::row::{column, parsed_option};
use crate::store::{Store, StoreError, seconds};

/// What a look leaves.
#[derive(Debug)]
pub(crate) struct PullsLook {
    pub(crate) known: BTreeMap<u64, Known<Place>>,
    /// Up to when comments are read.
    pub(crate) comments: ReadUpTo,
    /// What no forge delivered.
    pub(crate) events: Vec<Event>,
    pub(crate) events_up_to: i64,
    pub(crate) etag: Option<String>,
    /// When to look again at the latest.
    pub(crate) due_at: DateTime<Utc>,
}

impl Store {
    /// What the forge called the list of a repository's open pull requests that is remembered.
    pub(crate) async fn pulls_etag(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<Option<String>, StoreError> {
        let found = sqlx::query_scalar::<_, Option<String>>(
            "SELECT pulls_etag FROM watched_repositories WHERE forge = ? AND repository = ?",
        )
        .bind(forge)
        .bind(repository.as_str())
        .fetch_optional(&self.reader)
        .await?;
        Ok(found.flatten())
    }

    /// What is known of a repository's open pull requests. To be read after they were listed.
    /// `None` as of [`Self::remembered`].
    pub(crate) async fn remembered_pulls(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<Option<Remembered<u64, Place>>, StoreError> {
        let mut tx = self.reader.begin().await?;
        let sql = "SELECT pulls_swept_at, pulls_up_to FROM watched_repositories
                   WHERE forge = ? AND repository = ?";
        let Some((swept_at, since)) = last_look(&mut tx, sql, forge, repository).await? else {
            return Ok(None);
        };
        let known = known(&mut tx, forge, repository).await?;
        let (told, events_up_to) = told(&mut tx, forge, repository, since).await?;
        Ok(Some(Remembered { known, told, is_first: swept_at.is_none(), events_up_to }))
    }

    /// Writes what a look found, with the deliveries that it makes up, in one transaction; nothing of a
    /// repository that is watched no more under that name.
    pub(crate) async fn record_pulls(
        &self,
        swept: &WatchedRepository,
        look: PullsLook,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let (forge, repository) = (&swept.forge, swept.repository.as_str());
        let noted = sqlx::query(
            "UPDATE watched_repositories SET pulls_swept_at = $3, pulls_up_to = $4,
             pulls_etag = $5, pulls_reason = '', due_at = min(due_at, $6)
             WHERE forge = $1 AND repository = $2",
        )
        .bind(forge)
        .bind(repository)
        .bind(seconds(now))
        .bind(look.events_up_to)
        .bind(look.etag)
        .bind(seconds(look.due_at))
        .execute(&mut *tx)
        .await?;
        if noted.rows_affected() == 0 {
            return Ok(());
        }
        let replace = [
            "DELETE FROM watched_pulls WHERE forge = $1 AND repository = $2",
            "INSERT INTO watched_pulls (forge, repository, number, head, missed)
             SELECT $1, $2, value ->> 'key', value ->> 'head', value ->> 'missed'
             FROM json_each($3)",
        ];
        leave(&mut tx, replace, swept, &look.known).await?;
        comments::note(&mut tx, swept, &look.comments).await?;
        for event in look.events {
            let event = that_is_new(&mut tx, forge, event, now).await?;
            make_up(&mut tx, forge, &event, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The open pull requests could not be listed; the branches were.
    pub(crate) async fn record_unlisted_pulls(
        &self,
        swept: &WatchedRepository,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE watched_repositories SET pulls_reason = $3
             WHERE forge = $1 AND repository = $2 AND pulls_reason <> $3",
        )
        .bind(&swept.forge)
        .bind(swept.repository.as_str())
        .bind(why)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

/// What was told before and is so again would be taken for what was told then: a pull request that
/// was closed and opened again, or one whose end overtook its opening. That the head of an open one
/// is back is seen by where its events left it.
async fn that_is_new(
    tx: &mut SqliteConnection,
    forge: &str,
    mut event: Event,
    now: DateTime<Utc>,
) -> Result<Event, StoreError> {
    let was_told: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM events WHERE forge = ? AND identity = ?
         AND state <> 'duplicate')",
    )
    .bind(forge)
    .bind(event.identity())
    .fetch_one(tx)
    .await?;
    match &mut event {
        Event::PullRequest(pull) if was_told && pull.action == PullRequestAction::Opened => {
            pull.action = PullRequestAction::Reopened;
        }
        Event::PullRequestClosed(closed) if was_told => {
            closed.moment = format!("{} seen {}", closed.moment, seconds(now));
        }
        _ => {}
    }
    Ok(event)
}

async fn known(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
) -> Result<BTreeMap<u64, Known<Place>>, StoreError> {
    let rows = sqlx::query(
        "SELECT number, head, coalesce(missed, 'null') AS missed FROM watched_pulls
         WHERE forge = ? AND repository = ?",
    )
    .bind(forge)
    .bind(repository.as_str())
    .fetch_all(tx)
    .await?;
    let read = |row| Ok((column::<i64>(row, "number")?.unsigned_abs(), left(row)?));
    rows.iter().map(read).collect()
}

/// What events newer than `since` say of pull requests, and the number of the newest of all.
async fn told(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
    since: i64,
) -> Result<(Told, i64), StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM (
             SELECT id, event ->> 'number' AS number,
                    CASE kind WHEN 'pull_request'
                    THEN (event ->> 'head') || ' ' || (event ->> 'base_ref') END AS place FROM events
             WHERE forge = ? AND repository = ? AND id > ?
               AND kind IN ('pull_request', 'pull_request_closed')
               AND state NOT IN ('duplicate', 'given_up')
             ORDER BY id DESC LIMIT ?)
         WHERE typeof(number) = 'integer' ORDER BY id",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(since)
    .bind(MAX_TOLD)
    .fetch_all(&mut *tx)
    .await?;
    let mut told = Told::new();
    for row in &rows {
        let number: i64 = column(row, "number")?;
        told.entry(number.unsigned_abs()).or_default().push(parsed_option(row, "place")?);
    }
    Ok((told, newest_event(tx).await?.max(since)))
}
