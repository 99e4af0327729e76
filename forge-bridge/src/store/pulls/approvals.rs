//! Who let a head run. An approval ends with the head, and the base branch, that it was given to.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::event::PullRequest;
use workflows::ids::{EventId, JobId, RunId};
use workflows::names::CommitId;

use super::{PullKey, of_pull};
use crate::store::row::{column, json};
use crate::store::{Store, StoreError, progress, seconds};

/// By which way an approval came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Comment,
    Command,
}

impl Way {
    fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Command => "command",
        }
    }
}

impl Store {
    /// Lets exactly this head of a pull request run; the answer counts the jobs that waited for
    /// it. To approve twice changes nothing.
    pub(crate) async fn approve(
        &self,
        key: &PullKey,
        head: &CommitId,
        approver: &str,
        way: Way,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let mut tx = self.write().await?;
        of_pull(
            "INSERT INTO approvals (forge, repository, number, head, approver, way, approved_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO UPDATE SET void_at = NULL, \
             approver = excluded.approver, way = excluded.way, \
             approved_at = excluded.approved_at WHERE void_at IS NOT NULL",
            key,
        )
        .bind(head.as_str())
        .bind(approver)
        .bind(way.as_str())
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        let held = of_pull(
            "SELECT jobs.id, run_id, draft FROM jobs JOIN runs ON runs.id = run_id \
             WHERE jobs.state = 'held' AND forge = $1 AND repository = $2 AND pull_number = $3 \
             AND head_commit = $4 ORDER BY jobs.id",
            key,
        )
        .bind(head.as_str())
        .fetch_all(&mut *tx)
        .await?;
        let mut runs = BTreeSet::new();
        for row in &held {
            runs.insert(column::<i64>(row, "run_id")?);
            let draft = json(row, "draft")?;
            progress::release(&mut tx, JobId(column(row, "id")?), &draft, now).await?;
        }
        for run in runs {
            progress::settle(&mut tx, RunId(run), now).await?;
        }
        tx.commit().await?;
        Ok(held.len())
    }
}

/// Ends the approvals of a pull request where an event tells of another head, or of another branch
/// that it goes into, than what is known. A head that comes back has to be approved again.
pub(super) async fn void(
    tx: &mut SqliteConnection,
    key: &PullKey,
    pull: &PullRequest,
    event: EventId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    of_pull(
        "UPDATE approvals SET void_at = $4 WHERE forge = $1 AND repository = $2 \
         AND number = $3 AND void_at IS NULL AND EXISTS (SELECT 1 FROM pull_requests p \
         WHERE p.forge = $1 AND p.repository = $2 AND p.number = $3 AND p.head_event <= $5 \
         AND (p.head <> $6 OR p.pull ->> 'base_ref' <> $7))",
        key,
    )
    .bind(seconds(now))
    .bind(event.0)
    .bind(pull.head.as_str())
    .bind(pull.base_ref.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether somebody approved exactly this head.
pub(in crate::store) async fn is_approved(
    tx: &mut SqliteConnection,
    key: &PullKey,
    head: &CommitId,
) -> Result<bool, StoreError> {
    let row = of_pull(
        "SELECT 1 FROM approvals \
         WHERE forge = $1 AND repository = $2 AND number = $3 AND head = $4 \
         AND void_at IS NULL",
        key,
    )
    .bind(head.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    Ok(row.is_some())
}
