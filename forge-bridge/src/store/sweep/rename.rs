//! A repository that was renamed or moved keeps its history: the forge's own id tells that it is
//! the same.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::named_value::Scope;
use workflows::names::RepositoryName;

use super::taken;
use crate::store::row::parsed_option;
use crate::store::{Store, StoreError, named_values, seconds};
use crate::vault::Vault;

/// What holds a repository's name and tells what happened.
/// Build records never change: they tell the name of their day.
const HISTORY: &[&str] = &[
    "UPDATE events SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE runs SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE group_members SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE rebuilds SET repository = $3 WHERE forge = $1 AND repository = $2",
    // The old name may be all that the forge refused.
    "UPDATE OR IGNORE statuses SET repository = $3, refusal = NULL, attempts = 0, due_at = 0
     WHERE forge = $1 AND repository = $2",
    "UPDATE replies SET repository = $3 WHERE forge = $1 AND repository = $2",
    "DELETE FROM statuses WHERE forge = $1 AND repository = $2 AND $3 <> $2",
];

/// What holds a repository's name and says what becomes of it; rows of the new name win over those
/// of the old.
pub(super) const POSSESSIONS: &[&str] = &[
    "UPDATE OR IGNORE schedules SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE OR IGNORE branch_schedules SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE OR IGNORE image_nodes SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE OR IGNORE rebuild_controls SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE OR IGNORE watched_pulls SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE OR IGNORE watched_branches SET repository = $3 WHERE forge = $1 AND repository = $2",
    "UPDATE OR IGNORE pull_requests SET repository = $3, pull = json_set(pull, '$.repository', $3,
     '$.head_repository', CASE pull ->> 'head_repository' WHEN $2 THEN $3
     ELSE pull ->> 'head_repository' END) WHERE forge = $1 AND repository = $2",
    "UPDATE OR IGNORE approvals SET repository = $3 WHERE forge = $1 AND repository = $2",
    "DELETE FROM schedules WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM branch_schedules WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM image_nodes WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM rebuild_controls WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM watched_pulls WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM watched_branches WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM pull_requests WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM approvals WHERE forge = $1 AND repository = $2 AND $3 <> $2",
    "DELETE FROM watched_repositories WHERE forge = $1 AND repository = $2 AND $3 <> $2",
];

impl Store {
    /// A repository of that name and id exists. It is watched from now on; and one that had the
    /// id under another name was renamed: what is kept of it goes to the new name, its secrets
    /// sealed anew by the vault. Returns the old one. One that had the name under another id is not
    /// this one: nothing of it is left to this one.
    pub(crate) async fn meet_repository(
        &self,
        vault: &Vault,
        forge: &str,
        repository: &RepositoryName,
        forge_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Option<RepositoryName>, StoreError> {
        let mut tx = self.write().await?;
        let old = match forge_id {
            Some(id) => name_of(&mut tx, forge, id, repository).await?,
            None => None,
        };
        if let Some(id) = forge_id
            && taken::put_away(&mut tx, vault, forge, repository, id, now).await?
        {
            tracing::error!(
                forge.name = forge, repo.name = %repository,
                "sweeper: {repository} is another repository now; what the one before had is put away"
            );
        }
        sqlx::query(
            "INSERT INTO watched_repositories (forge, repository, forge_id, due_at, identified_at)
             VALUES ($1, $2, $3, $4, iif($3 IS NULL, 0, $4)) ON CONFLICT DO UPDATE SET
             forge_id = coalesce(excluded.forge_id, forge_id),
             identified_at = max(excluded.identified_at, identified_at),
             is_doubtful = iif(excluded.forge_id IS NULL, is_doubtful, 0)",
        )
        .bind(forge)
        .bind(repository.as_str())
        .bind(forge_id)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        if let Some(old) = &old {
            inherit(&mut tx, forge, old, repository).await?;
            for &sql in HISTORY.iter().chain(POSSESSIONS) {
                sqlx::query(sql)
                    .bind(forge)
                    .bind(old.as_str())
                    .bind(repository.as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            let scope = |repository: &RepositoryName| Scope::Repository {
                forge: forge.to_owned(),
                repository: repository.clone(),
            };
            named_values::move_all(&mut tx, vault, &scope(old), &scope(repository), now).await?;
        }
        tx.commit().await?;
        Ok(old)
    }
}

/// The other name under which an id is known.
async fn name_of(
    tx: &mut SqliteConnection,
    forge: &str,
    id: &str,
    repository: &RepositoryName,
) -> Result<Option<RepositoryName>, StoreError> {
    let row = sqlx::query(
        "SELECT repository FROM watched_repositories
         WHERE forge = ? AND forge_id = ? AND repository <> ? LIMIT 1",
    )
    .bind(forge)
    .bind(id)
    .bind(repository.as_str())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map_or(Ok(None), |row| parsed_option(row, "repository"))
}

/// The sweep of the new name goes on where that of the old one ended, unless it has begun.
async fn inherit(
    tx: &mut SqliteConnection,
    forge: &str,
    old: &RepositoryName,
    new: &RepositoryName,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE watched_repositories SET (swept_at, events_up_to, pulls_swept_at, pulls_up_to) =
             (SELECT o.swept_at, o.events_up_to, o.pulls_swept_at, o.pulls_up_to FROM watched_repositories AS o
              WHERE o.forge = $1 AND o.repository = $2), pulls_etag = NULL
         WHERE forge = $1 AND repository = $3 AND swept_at IS NULL",
    )
    .bind(forge)
    .bind(old.as_str())
    .bind(new.as_str())
    .execute(tx)
    .await?;
    Ok(())
}
