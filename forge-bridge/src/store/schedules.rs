//! When each branch's schedules come due.

mod sources;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::event::{Event, ScheduleDue};
use workflows::ids::{EventId, RunId};
use workflows::names::{RefName, RepositoryName};
use workflows::selection::Origin;

use super::planning::{Decision, Subject, record_plan};
use super::row::{column, parsed, readable, to_json};
use super::{Store, StoreError, at, seconds};

/// One `on: schedule` entry of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScheduleEntry {
    pub(crate) origin: Origin,
    pub(crate) path: String,
    pub(crate) cron: String,
    pub(crate) timezone: String,
    /// When it is due, seen from the moment of planning.
    pub(crate) next_at: DateTime<Utc>,
}

/// All that is scheduled on a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BranchSchedules {
    pub(crate) entries: Vec<ScheduleEntry>,
    /// A digest of what the operator said when they were read.
    pub(crate) rules: String,
}

/// A schedule whose time has come.
#[derive(Debug, Clone)]
pub(crate) struct DueSchedule {
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) ref_name: RefName,
    pub(crate) entry: ScheduleEntry,
    pub(crate) tries: u32,
}

/// What tells one schedule of a forge from all others: repository, branch, whose file, its path, the
/// five fields, the zone.
pub(crate) type ScheduleKey = [String; 6];

impl DueSchedule {
    pub(crate) fn key(&self) -> ScheduleKey {
        let ScheduleEntry { origin, path, cron, timezone, .. } = &self.entry;
        [self.repository.as_str(), self.ref_name.as_str(), origin.as_str(), path, cron, timezone]
            .map(str::to_owned)
    }
}

/// Whether a later event of the same branch has runs already, as when this one waited for its forge,
/// or came late itself.
pub(super) async fn is_older(
    tx: &mut SqliteConnection,
    event: EventId,
    subject: &Subject,
) -> Result<bool, StoreError> {
    let older = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM runs WHERE forge = $1 AND repository = $2 AND ref_name = $3 \
         AND pull_number IS NULL AND rank > $4) \
         OR (SELECT is_late FROM events WHERE id = $4)",
    )
    .bind(&subject.forge)
    .bind(subject.repository.as_str())
    .bind(subject.ref_name.as_str())
    .bind(event.0)
    .fetch_one(tx)
    .await?;
    Ok(older)
}

/// Makes the schedules of a branch what the commit of `subject` says, and remembers it.
pub(super) async fn set(
    tx: &mut SqliteConnection,
    subject: &Subject,
    schedules: &BranchSchedules,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Subject { forge, repository, ref_name, commit, .. } = subject;
    replace(tx, forge, repository, ref_name, &schedules.entries, now).await?;
    sources::remember(tx, forge, repository, ref_name, (commit, &schedules.rules)).await
}

/// A branch that is gone has none.
pub(super) async fn forget(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
    ref_name: &RefName,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    replace(tx, forge, repository, ref_name, &[], now).await?;
    sqlx::query(
        "DELETE FROM branch_schedules WHERE forge = $1 AND repository = $2 AND ref_name = $3",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(ref_name.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes the schedules of a branch what its head says. An entry that stays keeps its due time:
/// a push a minute before must not move it.
pub(super) async fn replace(
    tx: &mut SqliteConnection,
    forge: &str,
    repository: &RepositoryName,
    ref_name: &RefName,
    entries: &[ScheduleEntry],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let keep = entries
        .iter()
        .map(|e| [e.origin.as_str(), e.path.as_str(), e.cron.as_str(), e.timezone.as_str()])
        .collect::<Vec<_>>();
    sqlx::query(
        "DELETE FROM schedules WHERE forge = $1 AND repository = $2 AND ref_name = $3 \
         AND json_array(workflow_origin, workflow_path, cron, timezone) NOT IN \
         (SELECT json(value) FROM json_each($4))",
    )
    .bind(forge)
    .bind(repository.as_str())
    .bind(ref_name.as_str())
    .bind(to_json(&keep)?)
    .execute(&mut *tx)
    .await?;
    for entry in entries {
        sqlx::query(
            "INSERT INTO schedules (forge, repository, ref_name, workflow_origin, workflow_path, \
             cron, timezone, next_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT DO NOTHING",
        )
        .bind(forge)
        .bind(repository.as_str())
        .bind(ref_name.as_str())
        .bind(entry.origin.as_str())
        .bind(&entry.path)
        .bind(&entry.cron)
        .bind(&entry.timezone)
        .bind(seconds(entry.next_at.max(now)))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

impl Store {
    /// Schedules whose time has come and that no failed try holds back, but those of the forges
    /// `without`.
    pub(crate) async fn schedules_due(
        &self,
        now: DateTime<Utc>,
        limit: u32,
        without: &[String],
    ) -> Result<Vec<DueSchedule>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM schedules WHERE next_at <= $1 AND due_at <= $1 \
             AND forge NOT IN (SELECT value FROM json_each($3)) ORDER BY next_at LIMIT $2",
        )
        .bind(seconds(now))
        .bind(limit)
        .bind(to_json(&without)?)
        .fetch_all(&self.reader)
        .await?;
        Ok(readable("schedule", &rows, |row| {
            Ok(DueSchedule {
                forge: column(row, "forge")?,
                repository: parsed(row, "repository")?,
                ref_name: parsed(row, "ref_name")?,
                entry: ScheduleEntry {
                    origin: parsed(row, "workflow_origin")?,
                    path: column(row, "workflow_path")?,
                    cron: column(row, "cron")?,
                    timezone: column(row, "timezone")?,
                    next_at: at(column(row, "next_at")?),
                },
                tries: column(row, "tries")?,
            })
        }))
    }

    /// Writes the run of a due schedule and its next time in one transaction, so that neither a
    /// crash loses the run nor makes it twice. Entries of one workflow that differ by their time
    /// zone alone and fall on one moment are one run.
    pub(crate) async fn record_schedule(
        &self,
        due: &DueSchedule,
        event: &ScheduleDue,
        decision: &Decision,
        next_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Vec<RunId>, StoreError> {
        let mut tx = self.write().await?;
        if !advance(&mut tx, due, next_at, now).await? {
            return Ok(Vec::new());
        }
        let event = Event::Schedule(event.clone());
        let reason = match decision {
            Decision::Plan(plan) if !plan.runs.is_empty() => None,
            Decision::Skip(reason) => Some(reason.clone()),
            _ => Some("the workflow no longer asks for this time".to_owned()),
        };
        let row = sqlx::query(
            "INSERT INTO events (forge, kind, repository, identity, event, created_at, state, \
             reason) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(&due.forge)
        .bind(event.kind())
        .bind(due.repository.as_str())
        .bind(event.identity())
        .bind(to_json(&event)?)
        .bind(seconds(now))
        .bind(if reason.is_none() { "planned" } else { "skipped" })
        .bind(reason)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            tx.commit().await?;
            return Ok(Vec::new());
        };
        let id = EventId(column(&row, "id")?);
        let runs = match decision {
            Decision::Plan(plan) => record_plan(&mut tx, id, plan, now).await?,
            _ => Vec::new(),
        };
        tx.commit().await?;
        Ok(runs)
    }

    /// Puts a due schedule off because a forge does not answer; its time stays due.
    pub(crate) async fn defer_schedule(
        &self,
        due: &DueSchedule,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        keyed(
            "UPDATE schedules SET tries = tries + 1, due_at = $8 WHERE forge = $1 AND \
             repository = $2 AND ref_name = $3 AND workflow_origin = $4 AND workflow_path = $5 \
             AND cron = $6 AND timezone = $7",
            due,
        )
        .bind(seconds(until))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Forgets the schedules of a branch that is gone.
    pub(crate) async fn forget_schedules(
        &self,
        forge: &str,
        repository: &RepositoryName,
        ref_name: &RefName,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        forget(&mut tx, forge, repository, ref_name, now).await?;
        Ok(tx.commit().await?)
    }
}

/// Moves a schedule on; false when somebody else did already.
async fn advance(
    tx: &mut SqliteConnection,
    due: &DueSchedule,
    next_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = match next_at {
        Some(next_at) => {
            keyed(
                "UPDATE schedules SET next_at = $9, last_at = $10, tries = 0, due_at = 0 WHERE \
                 forge = $1 AND repository = $2 AND ref_name = $3 AND workflow_origin = $4 AND \
                 workflow_path = $5 AND cron = $6 AND timezone = $7 AND next_at = $8",
                due,
            )
            .bind(seconds(due.entry.next_at))
            .bind(seconds(next_at))
            .bind(seconds(now))
            .execute(&mut *tx)
            .await?
        }
        None => {
            keyed(
                "DELETE FROM schedules WHERE forge = $1 AND repository = $2 AND ref_name = $3 \
                 AND workflow_origin = $4 AND workflow_path = $5 AND cron = $6 AND timezone = $7 \
                 AND next_at = $8",
                due,
            )
            .bind(seconds(due.entry.next_at))
            .execute(&mut *tx)
            .await?
        }
    };
    Ok(changed.rows_affected() == 1)
}

/// A statement with the primary key of a schedule bound to $1 … $7.
fn keyed<'q>(
    sql: &'static str,
    due: &'q DueSchedule,
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(sql)
        .bind(due.forge.as_str())
        .bind(due.repository.as_str())
        .bind(due.ref_name.as_str())
        .bind(due.entry.origin.as_str())
        .bind(due.entry.path.as_str())
        .bind(due.entry.cron.as_str())
        .bind(due.entry.timezone.as_str())
}
