//! What a repository has of its own goes with it when it gets another name.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::named_value::Scope;

use super::{Change, Kind, note};
use crate::secrets::place;
use crate::store::row::{column, json};
use crate::store::{StoreError, seconds};
use crate::vault::{Sealed, Vault};

/// Who changed what nobody asked for.
const BY: &str = "a rename";

/// Moves the secrets and variables of a repository to its new name, except where that has one of
/// its own. None stays behind: whoever takes the old name is somebody else.
pub(in crate::store) async fn move_all(
    tx: &mut SqliteConnection,
    vault: &Vault,
    old: &Scope,
    new: &Scope,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT one.*, EXISTS (SELECT 1 FROM named_values AS own WHERE own.kind = one.kind \
         AND own.forge = one.forge AND own.path = $3 AND own.scope = one.scope \
         AND own.name = one.name) AS is_there FROM named_values AS one \
         WHERE one.kind IN ('secret', 'variable') AND one.forge = $1 AND one.path = $2 \
         AND one.scope = 'repository'",
    )
    .bind(old.forge())
    .bind(old.path())
    .bind(new.path())
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let id: i64 = column(row, "id")?;
        let name: String = column(row, "name")?;
        let branches: Vec<String> = json(row, "branches")?;
        let change = |scope| Change { scope, name: &name, branches: &branches, by: BY };
        let sealed = match column::<Option<Vec<u8>>>(row, "sealed")? {
            Some(bytes) => {
                let sealed = Sealed { key_id: column(row, "key_id")?, bytes };
                Some(sealed_anew(vault, old, new, &name, sealed))
            }
            None => None,
        };
        let kind = if sealed.is_some() { Kind::Secret } else { Kind::Variable };
        note(tx, "removed", kind, &change(old), now).await?;
        if column::<bool>(row, "is_there")? {
            sqlx::query("DELETE FROM named_values WHERE id = $1")
                .bind(id)
                .execute(&mut *tx)
                .await?;
            continue;
        }
        sqlx::query(
            "UPDATE named_values SET path = $2, sealed = $3, key_id = $4, set_by = $5, \
             set_at = $6 WHERE id = $1",
        )
        .bind(id)
        .bind(new.path())
        .bind(sealed.as_ref().map(|sealed| sealed.bytes.as_slice()))
        .bind(sealed.as_ref().map(|sealed| sealed.key_id.as_str()))
        .bind(BY)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        note(tx, "set", kind, &change(new), now).await?;
    }
    Ok(())
}

/// A secret opens at its own place alone. One that does not open there stays as it is, so that
/// the jobs that name it say why.
fn sealed_anew(vault: &Vault, old: &Scope, new: &Scope, name: &str, sealed: Sealed) -> Sealed {
    let opened = vault.unseal(&place(old, name), &sealed);
    match opened.and_then(|secret| vault.seal(&place(new, name), &secret)) {
        Ok(anew) => anew,
        Err(error) => {
            tracing::error!(%error, "secret {name} of {old} cannot be moved: {error}");
            sealed
        }
    }
}
