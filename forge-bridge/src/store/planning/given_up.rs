//! Events that count as never told, and those that came late.

use sqlx::SqliteConnection;
use workflows::ids::EventId;
use workflows::names::CommitId;

use crate::store::row::parsed_option;
use crate::store::{Store, StoreError};

impl Store {
    /// Where the events before this one left its branch: the newest of those that count. The inner
    /// `None` is for a branch that was removed, the outer one for a branch that nobody spoke of.
    pub(crate) async fn left_before(
        &self,
        event: EventId,
    ) -> Result<Option<Option<CommitId>>, StoreError> {
        let row = sqlx::query(
            "SELECT b.moved_to AS moved_to FROM events AS e
             JOIN events AS b ON b.forge = e.forge AND b.repository = e.repository
                 AND b.moved_ref = e.moved_ref AND b.id < e.id AND b.moved_ref IS NOT NULL
                 AND b.state <> 'duplicate' AND (b.repeats IS NULL OR b.state = 'planned')
             WHERE e.id = ? ORDER BY b.id DESC LIMIT 1",
        )
        .bind(event.0)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(|row| parsed_option(row, "moved_to")).transpose()
    }

    /// Takes note that an event came after what came of it: what it told of its branch is over, and
    /// what is built of it is older than all that is there.
    pub(crate) async fn note_late(&self, event: EventId) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE events SET is_late = 1, moved_ref = NULL, moved_to = NULL WHERE id = ?",
        )
        .bind(event.0)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

/// How often the head of a pull request is made up that nobody can read. A forge makes its ref in a
/// queue, which may take hours; one that never comes is told of for the better part of a day.
const MAX_LOST_HEADS: i64 = 12;
/// Events of a repository's pull requests among which those of one head are counted, the newest.
const MAX_COUNTED: i64 = 1000;

/// Takes an event that is given up out of all that tells whether something was told: the same words
/// are new when they come again, and a look at the repository that took its word compares once
/// more. Of a pull request it does so only when `is_unread`, and not for ever: one whose head nobody
/// has would be made up at each look.
pub(super) async fn forget(
    tx: &mut SqliteConnection,
    event: EventId,
    is_unread: bool,
) -> Result<(), StoreError> {
    let looks = [
        "INSERT INTO watched_branches (forge, repository, ref_name, head)
         SELECT forge, repository, moved_ref, event ->> 'before' FROM events
         WHERE id = $1 AND kind IN ('push', 'branch_created') AND moved_ref IS NOT NULL
         ON CONFLICT DO UPDATE SET head = excluded.head, missed = NULL
         WHERE head = (SELECT moved_to FROM events WHERE id = $1)",
        "UPDATE watched_repositories SET pulls_etag = NULL FROM events AS e
         WHERE e.id = $1 AND $2 AND e.kind IN ('pull_request', 'pull_request_closed')
           AND watched_repositories.forge = e.forge
           AND watched_repositories.repository = e.repository",
        "DELETE FROM watched_pulls WHERE $2 AND (forge, repository, number) IN
             (SELECT forge, repository, event ->> 'number' FROM events
              WHERE id = $1 AND kind = 'pull_request')
         AND head = (SELECT moved_to FROM events WHERE id = $1)",
        "UPDATE events SET identity = NULL, moved_ref = NULL, moved_to = NULL, repeats = NULL
         WHERE id = $1",
    ];
    let may_come = is_unread && lost_heads(tx, event).await? < MAX_LOST_HEADS;
    for sql in looks {
        sqlx::query(sql).bind(event.0).bind(may_come).execute(&mut *tx).await?;
    }
    Ok(())
}

/// How many events of the same head of the same pull request were given up, with this one; none for
/// one of a branch.
async fn lost_heads(tx: &mut SqliteConnection, event: EventId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT g.state, g.event ->> 'number' AS number, g.event ->> 'head' AS head,
                    e.event AS this
             FROM events AS e JOIN events AS g ON g.forge = e.forge AND g.repository = e.repository
             WHERE e.id = $1 AND e.kind = 'pull_request' AND g.kind = e.kind
             ORDER BY g.id DESC LIMIT $2)
         WHERE state = 'given_up' AND number = this ->> 'number' AND head = this ->> 'head'",
    )
    .bind(event.0)
    .bind(MAX_COUNTED)
    .fetch_one(tx)
    .await?)
}
