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

/// Takes an event that is given up out of all that tells whether something was told: the same words
/// are new when they come again, and a look at the repository that took its word compares once
/// more. Of a pull request it does so only when `is_unread`: one whose head nobody has would be
/// made up at each look.
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
    for sql in looks {
        sqlx::query(sql).bind(event.0).bind(is_unread).execute(&mut *tx).await?;
    }
    Ok(())
}
