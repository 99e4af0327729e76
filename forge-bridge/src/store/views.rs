//! Queries for people: lists and details, read only.
//!
//! Lists are paged by key, newest first, so that a page costs the same however long the history.
//! A detail is read in one transaction, so that its parts agree.

mod branches;
mod deliveries;
mod images;
mod overview;
mod run;
mod runs;
mod statuses;

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{StoreError, at};

pub(crate) use run::LogTarget;

fn time(row: &SqliteRow, column: &str) -> Result<DateTime<Utc>, StoreError> {
    Ok(at(row.try_get(column)?))
}

fn time_option(row: &SqliteRow, column: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(at))
}

/// A count or size, which the schema holds as a signed number.
fn unsigned<T: TryFrom<i64>>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let number: i64 = row.try_get(column)?;
    T::try_from(number)
        .map_err(|_| StoreError::Corrupt(format!("column `{column}` holds {number}")))
}

/// Cuts a list that was read with one row too many, and says where the next page begins.
fn cut_page<T>(rows: &mut Vec<T>, wanted: u32, id: impl Fn(&T) -> i64) -> Option<i64> {
    let wanted = wanted as usize;
    if rows.len() <= wanted {
        return None;
    }
    rows.truncate(wanted);
    rows.last().map(id)
}
