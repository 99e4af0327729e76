//! What looks know of the comments on open pull requests.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::event::{Event, PullRequestCommented};
use workflows::names::RepositoryName;

use super::WatchedRepository;
use crate::store::row::{column, to_json};
use crate::store::{Store, StoreError, at, seconds};

/// Up to when the comments of each pull request were read, by its forge's clock.
pub(crate) type ReadUpTo = BTreeMap<u64, DateTime<Utc>>;

impl Store {
    /// Up to when comments were read, and when pull requests were looked at the last time; `None` of a
    /// repository that was never looked at.
    pub(crate) async fn comments_read(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<(ReadUpTo, Option<DateTime<Utc>>), StoreError> {
        let mut tx = self.reader.begin().await?;
        let looked_at: Option<Option<i64>> = sqlx::query_scalar(
            "SELECT nullif(pulls_swept_at, 0) FROM watched_repositories
             WHERE forge = ? AND repository = ?",
        )
        .bind(forge)
        .bind(repository.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let rows = sqlx::query(
            "SELECT number, comments_up_to FROM watched_pulls
             WHERE forge = ? AND repository = ? AND comments_up_to IS NOT NULL",
        )
        .bind(forge)
        .bind(repository.as_str())
        .fetch_all(&mut *tx)
        .await?;
        let read = |row| {
            let number: i64 = column(row, "number")?;
            Ok((number.unsigned_abs(), at(column(row, "comments_up_to")?)))
        };
        let read = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
        Ok((read, looked_at.flatten().map(at)))
    }

    /// The events of comments that nobody has told of.
    pub(crate) async fn untold_comments(
        &self,
        forge: &str,
        said: Vec<PullRequestCommented>,
    ) -> Result<Vec<Event>, StoreError> {
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let mut events: Vec<Event> = said.into_iter().map(Event::PullRequestCommented).collect();
        let identities: Vec<_> = events.iter().filter_map(Event::identity).collect();
        let told: Vec<String> = sqlx::query_scalar(
            "SELECT identity FROM events WHERE forge = ? AND state <> 'given_up'
             AND identity IN (SELECT value FROM json_each(?))",
        )
        .bind(forge)
        .bind(to_json(&identities)?)
        .fetch_all(&self.reader)
        .await?;
        let told: HashSet<String> = told.into_iter().collect();
        events.retain(|event| event.identity().is_none_or(|identity| !told.contains(&identity)));
        Ok(events)
    }
}

/// Takes note of up to when the comments on pull requests are read that are watched.
pub(super) async fn note(
    tx: &mut SqliteConnection,
    swept: &WatchedRepository,
    read: &ReadUpTo,
) -> Result<(), StoreError> {
    let read: BTreeMap<u64, i64> =
        read.iter().map(|(number, at)| (*number, seconds(*at))).collect();
    sqlx::query(
        "UPDATE watched_pulls SET comments_up_to = read.value FROM json_each($3) AS read
         WHERE forge = $1 AND repository = $2 AND number = CAST(read.key AS INTEGER)",
    )
    .bind(&swept.forge)
    .bind(swept.repository.as_str())
    .bind(to_json(&read)?)
    .execute(tx)
    .await?;
    Ok(())
}
