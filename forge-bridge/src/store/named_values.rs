//! Secrets and variables, and who changed them. Secrets pass through here sealed.

mod keys;
mod moved;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::named_value::{MAX_OF_SCOPE, MAX_VARIABLES_BYTES, Scope, Scoped};
use workflows::names::RepositoryName;

use super::row::{column, json, parsed, to_json};
use super::{Store, StoreError, at, seconds};
use crate::vault::Sealed;
use crate::views::{NamedValue, NamedValueChange};

pub(in crate::store) use moved::move_all;

/// Most rows of a list; a bridge of a large distribution has some hundred.
const MAX_LISTED: u32 = 5_000;
/// Most changes that are told, the newest of them.
const MAX_CHANGES: u32 = 500;

/// What stands at some places, a JSON list of `[scope, forge, path]`. Each is looked up: all that
/// a large instance has is too much to walk through whenever a job is leased.
pub(super) const AT_PLACES: &str = "SELECT * FROM named_values WHERE kind = $1 \
     AND (scope, forge, path) IN \
     (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($2))";

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sealed, and told to trusted jobs alone.
    Secret,
    /// Plain.
    Variable,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Variable => "variable",
        }
    }
}

/// What is stored under a name.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Secret(&'a Sealed),
    Variable(&'a str),
}

/// Whether a value was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It is set.
    Enough,
    /// Its scope has as many as there may be.
    TooMany,
    /// Together they would be too long.
    TooLarge,
}

/// Which value, and who changes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) name: &'a str,
    pub(crate) branches: &'a [String],
    pub(crate) by: &'a str,
}

impl Store {
    /// Sets a value, over the one that was there, while its scope has room for it.
    pub(crate) async fn set_named_value(
        &self,
        change: &Change<'_>,
        value: &Value<'_>,
        now: DateTime<Utc>,
    ) -> Result<Room, StoreError> {
        let (kind, plain, sealed) = match value {
            Value::Secret(sealed) => (Kind::Secret, None, Some(*sealed)),
            Value::Variable(text) => (Kind::Variable, Some(*text), None),
        };
        let mut tx = self.write().await?;
        let others = sqlx::query(
            "SELECT count(*) AS count, COALESCE(sum(length(CAST(value AS BLOB))), 0) AS bytes \
             FROM named_values WHERE kind = $1 AND forge = $2 AND path = $3 AND scope = $4 \
             AND name <> $5",
        )
        .bind(kind.as_str())
        .bind(change.scope.forge())
        .bind(change.scope.path())
        .bind(change.scope.kind())
        .bind(change.name)
        .fetch_one(&mut *tx)
        .await?;
        if column::<u32>(&others, "count")? >= MAX_OF_SCOPE {
            return Ok(Room::TooMany);
        }
        let bytes = column::<i64>(&others, "bytes")?.unsigned_abs();
        if bytes + plain.map_or(0, str::len) as u64 > MAX_VARIABLES_BYTES as u64 {
            return Ok(Room::TooLarge);
        }
        sqlx::query(
            "INSERT INTO named_values (kind, forge, path, scope, name, branches, value, sealed, \
             key_id, set_by, set_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) \
             ON CONFLICT (kind, forge, path, scope, name) DO UPDATE SET \
             branches = excluded.branches, value = excluded.value, sealed = excluded.sealed, \
             key_id = excluded.key_id, set_by = excluded.set_by, set_at = excluded.set_at",
        )
        .bind(kind.as_str())
        .bind(change.scope.forge())
        .bind(change.scope.path())
        .bind(change.scope.kind())
        .bind(change.name)
        .bind(to_json(&change.branches)?)
        .bind(plain)
        .bind(sealed.map(|sealed| sealed.bytes.as_slice()))
        .bind(sealed.map(|sealed| sealed.key_id.as_str()))
        .bind(change.by)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        note(&mut tx, "set", kind, change, now).await?;
        tx.commit().await?;
        Ok(Room::Enough)
    }

    /// Removes a value; whether there was one.
    pub(crate) async fn remove_named_value(
        &self,
        kind: Kind,
        change: &Change<'_>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let removed = sqlx::query(
            "DELETE FROM named_values WHERE kind = $1 AND forge = $2 AND path = $3 \
             AND scope = $4 AND name = $5",
        )
        .bind(kind.as_str())
        .bind(change.scope.forge())
        .bind(change.scope.path())
        .bind(change.scope.kind())
        .bind(change.name)
        .execute(&mut *tx)
        .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, "removed", kind, change, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// All of a kind, by scope and name; a variable with its value.
    pub(crate) async fn named_values(&self, kind: Kind) -> Result<Vec<NamedValue>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM named_values WHERE kind = $1 ORDER BY forge, path, scope, name LIMIT $2",
        )
        .bind(kind.as_str())
        .bind(MAX_LISTED)
        .fetch_all(&self.reader)
        .await?;
        let listed = |row: &SqliteRow| {
            Ok(NamedValue {
                name: column(row, "name")?,
                scope: (&scope(row)?).into(),
                branches: json(row, "branches")?,
                value: column(row, "value")?,
                set_by: column(row, "set_by")?,
                set_at: at(column(row, "set_at")?),
            })
        };
        rows.iter().map(listed).collect()
    }

    /// Who changed what of a kind, newest first.
    pub(crate) async fn named_value_changes(
        &self,
        kind: Kind,
    ) -> Result<Vec<NamedValueChange>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM named_value_changes WHERE kind = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(kind.as_str())
        .bind(MAX_CHANGES)
        .fetch_all(&self.reader)
        .await?;
        let told = |row: &SqliteRow| {
            Ok(NamedValueChange {
                change: column(row, "change")?,
                name: column(row, "name")?,
                scope: (&scope(row)?).into(),
                branches: json(row, "branches")?,
                by: column(row, "by")?,
                at: at(column(row, "at")?),
            })
        };
        rows.iter().map(told).collect()
    }

    /// The variables that may count in a repository.
    pub(crate) async fn variables_of(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<Vec<Scoped<String>>, StoreError> {
        let rows = self.reaching(Kind::Variable, forge, repository).await?;
        rows.iter().map(|row| scoped(row, column(row, "value")?)).collect()
    }

    /// The secrets that may count in a repository, sealed.
    pub(crate) async fn secrets_of(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<Vec<Scoped<Sealed>>, StoreError> {
        let rows = self.reaching(Kind::Secret, forge, repository).await?;
        let sealed = |row: &SqliteRow| {
            scoped(row, Sealed { key_id: column(row, "key_id")?, bytes: column(row, "sealed")? })
        };
        rows.iter().map(sealed).collect()
    }

    async fn reaching(
        &self,
        kind: Kind,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let path = repository.as_str();
        let namespaces = path.match_indices('/').map(|(at, _)| ["namespace", forge, &path[..at]]);
        // Whose the name is has to be said by the forge first.
        let is_doubtful: Option<bool> = sqlx::query_scalar(
            "SELECT is_doubtful FROM watched_repositories WHERE forge = ? AND repository = ?",
        )
        .bind(forge)
        .bind(path)
        .fetch_optional(&self.reader)
        .await?;
        let own = (is_doubtful != Some(true)).then_some(["repository", forge, path]);
        let places: Vec<[&str; 3]> = namespaces.chain([["instance", "", ""]]).chain(own).collect();
        let rows = sqlx::query(AT_PLACES)
            .bind(kind.as_str())
            .bind(to_json(&places)?)
            .fetch_all(&self.reader)
            .await?;
        Ok(rows)
    }
}

async fn note(
    tx: &mut SqliteConnection,
    what: &str,
    kind: Kind,
    change: &Change<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO named_value_changes (change, kind, scope, forge, path, name, branches, by, at) \
         VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
    )
    .bind(what)
    .bind(kind.as_str())
    .bind(change.scope.kind())
    .bind(change.scope.forge())
    .bind(change.scope.path())
    .bind(change.name)
    .bind(to_json(&change.branches)?)
    .bind(change.by)
    .bind(seconds(now))
    .execute(tx)
    .await?;
    Ok(())
}

fn scoped<T>(row: &SqliteRow, value: T) -> Result<Scoped<T>, StoreError> {
    Ok(Scoped {
        name: column(row, "name")?,
        scope: scope(row)?,
        branches: json(row, "branches")?,
        value,
    })
}

fn scope(row: &SqliteRow) -> Result<Scope, StoreError> {
    let kind: &str = column(row, "scope")?;
    let forge: String = column(row, "forge")?;
    match kind {
        "instance" => Ok(Scope::Instance),
        "namespace" => Ok(Scope::Namespace { forge, namespace: parsed(row, "path")? }),
        "repository" => Ok(Scope::Repository { forge, repository: parsed(row, "path")? }),
        other => Err(StoreError::Corrupt(format!("column scope: `{other}` is no scope"))),
    }
}
