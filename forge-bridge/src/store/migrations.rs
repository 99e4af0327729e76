//! The schema, inside the binary, so that one file installs.

use std::borrow::Cow;

use sqlx::AssertSqlSafe;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, description and text of every change, oldest first; append only.
const CHANGES: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/0001_first.sql")),
    (3, "record", include_str!("../../migrations/0003_record.sql")),
    (4, "rebuilds", include_str!("../../migrations/0004_rebuilds.sql")),
    (6, "decoding", include_str!("../../migrations/0006_decoding.sql")),
];

pub(super) fn migrator() -> Migrator {
    let migrations = CHANGES.iter().map(|&(version, description, sql)| {
        Migration::new(
            version,
            Cow::Borrowed(description),
            MigrationType::Simple,
            AssertSqlSafe(sql).into_sql_str(),
            false,
        )
    });
    Migrator { migrations: migrations.collect(), ..Migrator::DEFAULT }
}
