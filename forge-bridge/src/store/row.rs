//! Reading columns into types; a column that does not fit names itself.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row, Sqlite, Type};

use super::StoreError;

/// The rows that can be read. One that cannot is told in the log, and holds up none of the others.
pub(crate) fn readable<T>(
    what: &'static str,
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Vec<T> {
    let readable = |row| match read(row) {
        Ok(value) => Some(value),
        Err(error) => {
            let id = column::<i64>(row, "id").unwrap_or_default();
            tracing::error!(row.id = id, %error, "a {what} cannot be read, number {id}: {error}");
            None
        }
    };
    rows.iter().filter_map(readable).collect()
}

/// A column as SQLite stores it.
pub(crate) fn column<'r, T>(row: &'r SqliteRow, name: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
    &'static str: ColumnIndex<SqliteRow>,
{
    Ok(row.try_get(name)?)
}

/// A column that holds a word or a name of ours.
pub(crate) fn parsed<T>(row: &SqliteRow, name: &'static str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text: &str = row.try_get(name)?;
    text.parse().map_err(|error| StoreError::Corrupt(format!("column {name}: {error}")))
}

/// A column that may be null and else holds a word or a name of ours.
pub(crate) fn parsed_option<T>(row: &SqliteRow, name: &'static str) -> Result<Option<T>, StoreError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text: Option<&str> = row.try_get(name)?;
    text.map(|text| {
        text.parse().map_err(|error| StoreError::Corrupt(format!("column {name}: {error}")))
    })
    .transpose()
}

/// A column that holds JSON of ours.
pub(crate) fn json<T: DeserializeOwned>(
    row: &SqliteRow,
    name: &'static str,
) -> Result<T, StoreError> {
    let text: &str = row.try_get(name)?;
    serde_json::from_str(text).map_err(|e| StoreError::Corrupt(format!("column {name}: {e}")))
}

/// A column that may be null and else holds JSON of ours.
pub(crate) fn json_option<T: DeserializeOwned>(
    row: &SqliteRow,
    name: &'static str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(name)?;
    text.map(|_| json(row, name)).transpose()
}

/// A value of ours for a JSON column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}
