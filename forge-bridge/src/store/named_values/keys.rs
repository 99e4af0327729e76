//! Which keys seal how many secrets, and the change from one key to the next.

use std::collections::BTreeMap;

use secrecy::SecretString;
use workflows::named_value::Scope;

use super::scope;
use crate::secrets::place;
use crate::store::row::column;
use crate::store::{Store, StoreError};
use crate::vault::{Sealed, Vault, VaultError};

/// Secrets that are sealed anew in one transaction.
const BATCH: i64 = 500;

/// What became of the secrets of earlier keys.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resealed {
    /// Sealed under the key of now.
    pub(crate) done: u64,
    /// Left as they are: they do not open.
    pub(crate) broken: u64,
}

/// A secret of an earlier key.
struct Old {
    id: i64,
    name: String,
    scope: Scope,
    sealed: Sealed,
}

impl Store {
    /// How many secrets each key has sealed, by the key's name.
    pub(crate) async fn secrets_by_key(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = sqlx::query(
            "SELECT key_id, count(*) AS count FROM named_values WHERE kind = 'secret' \
             GROUP BY key_id",
        )
        .fetch_all(&self.reader)
        .await?;
        let count = |row| Ok((column(row, "key_id")?, column::<i64>(row, "count")?.unsigned_abs()));
        rows.iter().map(count).collect()
    }

    /// Seals under the key of now whatever another key sealed that the vault has. Who set a secret
    /// and when stays as it was.
    pub(crate) async fn reseal(&self, vault: &Vault) -> Result<Resealed, StoreError> {
        let mut resealed = Resealed::default();
        for key in vault.keys().skip(1) {
            let mut after = 0;
            while let Some(last) = self.reseal_batch(vault, &key.id, after, &mut resealed).await? {
                after = last;
            }
        }
        Ok(resealed)
    }

    /// The row that it came to; `None` when nothing is left.
    async fn reseal_batch(
        &self,
        vault: &Vault,
        key_id: &str,
        after: i64,
        resealed: &mut Resealed,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.write().await?;
        let rows = sqlx::query(
            "SELECT * FROM named_values WHERE kind = 'secret' AND key_id = $1 AND id > $2 \
             ORDER BY id LIMIT $3",
        )
        .bind(key_id)
        .bind(after)
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
        let old = rows.iter().map(|row| {
            Ok(Old {
                id: column(row, "id")?,
                name: column(row, "name")?,
                scope: scope(row)?,
                sealed: Sealed { key_id: key_id.to_owned(), bytes: column(row, "sealed")? },
            })
        });
        let mut last = None;
        for old in old.collect::<Result<Vec<Old>, StoreError>>()? {
            last = Some(old.id);
            let anew = match old.sealed_anew(vault) {
                Ok(anew) => anew,
                Err(error) => {
                    let Old { name, scope, .. } = &old;
                    tracing::error!(%error, "secret {name} of {scope} {error}");
                    resealed.broken += 1;
                    continue;
                }
            };
            sqlx::query("UPDATE named_values SET sealed = $2, key_id = $3 WHERE id = $1")
                .bind(old.id)
                .bind(anew.bytes.as_slice())
                .bind(&anew.key_id)
                .execute(&mut *tx)
                .await?;
            resealed.done += 1;
        }
        tx.commit().await?;
        Ok(last)
    }
}

impl Old {
    fn sealed_anew(&self, vault: &Vault) -> Result<Sealed, VaultError> {
        let place = place(&self.scope, &self.name);
        let secret: SecretString = vault.unseal(&place, &self.sealed)?;
        vault.seal(&place, &secret)
    }
}
