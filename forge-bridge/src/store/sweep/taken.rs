//! A name that another repository has now: what belongs to the one before must not go to it.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::ids::RunId;
use workflows::named_value::Scope;
use workflows::names::RepositoryName;
use workflows::state::Outcome;

use super::rename::POSSESSIONS;
use crate::store::row::column;
use crate::store::{StoreError, cancel, named_values, seconds};
use crate::vault::Vault;

/// Notes what deliveries say of the ids of repositories, a JSON list of rows: one that is not the
/// known one is asked about soon, and nothing is given away until then.
pub(in crate::store) async fn doubt(
    tx: &mut SqliteConnection,
    rows: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE watched_repositories SET is_doubtful = 1, due_at = 0
         WHERE (forge, repository) IN
             (SELECT value ->> 'forge', value ->> 'repository' FROM json_each($1)
              WHERE value ->> 'claimed' IS NOT NULL)
         AND forge_id IS NOT NULL AND is_doubtful = 0 AND forge_id NOT IN
             (SELECT value ->> 'claimed' FROM json_each($1)
              WHERE value ->> 'forge' = watched_repositories.forge
                AND value ->> 'repository' = watched_repositories.repository
                AND value ->> 'claimed' IS NOT NULL)",
    )
    .bind(rows)
    .execute(tx)
    .await?;
    Ok(())
}

/// Sees whether a name belongs to the repository that it was known to belong to. If not, what
/// that one has is put away under a name that nobody has, where a look finds it again by its id,
/// and what runs under its name is cancelled. Returns whether that was so.
pub(super) async fn put_away(
    tx: &mut SqliteConnection,
    vault: &Vault,
    forge: &str,
    repository: &RepositoryName,
    id: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let known: Option<String> = sqlx::query_scalar(
        "SELECT forge_id FROM watched_repositories
         WHERE forge = ? AND repository = ? AND forge_id IS NOT NULL",
    )
    .bind(forge)
    .bind(repository.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(known) = known.filter(|known| known != id) else { return Ok(false) };
    stop(tx, forge, repository, now).await?;
    let scope = |repository: &RepositoryName| Scope::Repository {
        forge: forge.to_owned(),
        repository: repository.clone(),
    };
    // No forge makes such a name; one that did would have another id.
    let aside = RepositoryName::parse(&format!("{repository}+{known}"))
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    named_values::move_all(tx, vault, &scope(repository), &scope(&aside), now).await?;
    sqlx::query(
        "INSERT OR IGNORE INTO watched_repositories (forge, repository, forge_id, swept_at,
             events_up_to, pulls_swept_at, pulls_up_to, due_at)
         SELECT forge, $3, forge_id, swept_at, events_up_to, pulls_swept_at, pulls_up_to, $4
         FROM watched_repositories WHERE forge = $1 AND repository = $2",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(aside.as_str())
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    for &sql in POSSESSIONS {
        sqlx::query(sql)
            .bind(forge)
            .bind(repository.as_str())
            .bind(aside.as_str())
            .execute(&mut *tx)
            .await?;
    }
    Ok(true)
}

/// Cancels what is under way: nobody knows any more whose it is.
async fn stop(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT id FROM runs WHERE forge = ? AND repository = ? AND state <> 'finished' ORDER BY id",
    )
    .bind(forge)
    .bind(repository.as_str())
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let why = "Cancelled: another repository has this name now";
        cancel::stop(tx, RunId(column(row, "id")?), Outcome::Cancelled, why, now).await?;
    }
    Ok(())
}
