//! Times as the tables hold them: whole seconds since the epoch.

use chrono::{DateTime, Utc};

/// For a column.
pub(crate) fn seconds(time: DateTime<Utc>) -> i64 {
    time.timestamp()
}

/// From a column; a number outside chrono's range, which no code of ours writes, is the epoch.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}
