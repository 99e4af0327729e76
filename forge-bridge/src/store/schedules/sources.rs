//! What the schedules of branches were read from: by it a look at the branches finds those that have
//! changed though nobody pushed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use workflows::names::{CommitId, RefName, RepositoryName};

use super::{BranchSchedules, replace};
use crate::store::row::{column, parsed};
use crate::store::sweep::WatchedRepository;
use crate::store::{Store, StoreError};

/// What the schedules of a branch were read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScheduleSource {
    pub(crate) head: CommitId,
    pub(crate) rules: String,
}

/// Remembers it.
pub(super) async fn remember(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
    ref_name: &RefName,
    (head, rules): (&CommitId, &str),
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT OR REPLACE INTO branch_schedules (forge, repository, ref_name, head, rules) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(ref_name.as_str())
    .bind(head.as_str())
    .bind(rules)
    .execute(tx)
    .await?;
    Ok(())
}

async fn source_of(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
    ref_name: &RefName,
) -> Result<Option<ScheduleSource>, StoreError> {
    let row = sqlx::query(
        "SELECT head, rules FROM branch_schedules \
         WHERE forge = $1 AND repository = $2 AND ref_name = $3",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(ref_name.as_str())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(source).transpose()
}

fn source(row: &SqliteRow) -> Result<ScheduleSource, StoreError> {
    Ok(ScheduleSource { head: parsed(row, "head")?, rules: column(row, "rules")? })
}

impl Store {
    /// What the schedules of a repository's branches were read from.
    pub(crate) async fn schedule_sources(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<BTreeMap<RefName, ScheduleSource>, StoreError> {
        let rows = sqlx::query(
            "SELECT ref_name, head, rules FROM branch_schedules \
             WHERE forge = $1 AND repository = $2",
        )
        .bind(forge)
        .bind(repository.as_str())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok((parsed(row, "ref_name")?, source(row)?))).collect()
    }

    /// Makes the schedules of a branch what was read at `head`, unless a push set them meanwhile.
    pub(crate) async fn reset_schedules(
        &self,
        swept: &WatchedRepository,
        ref_name: &RefName,
        (source, head): (Option<&ScheduleSource>, &CommitId),
        schedules: &BranchSchedules,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (forge, repository) = (&swept.forge, &swept.repository);
        let mut tx = self.write().await?;
        if source_of(&mut tx, forge, repository, ref_name).await?.as_ref() != source {
            return Ok(());
        }
        replace(&mut tx, forge, repository, ref_name, &schedules.entries, now).await?;
        remember(&mut tx, forge, repository, ref_name, (head, &schedules.rules)).await?;
        Ok(tx.commit().await?)
    }
}
