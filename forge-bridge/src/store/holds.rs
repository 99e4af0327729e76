//! What operators said of the rebuilds of one image, of a release, or of all.

use sqlx::SqliteConnection;
use workflows::rebuild::{Holds, Word};

use super::nodes::{Branch, of_branch};
use super::row::column;
use super::{Store, StoreError};

/// The release that stands for all.
const ALL: &str = "";

impl Store {
    /// Stops the rebuilds of these branches for a reason, or lets them run again, whatever was said
    /// of their releases before.
    pub(crate) async fn hold(
        &self,
        branches: &[Branch],
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let word = next_word(&mut tx).await?;
        for branch in branches {
            of_branch(
                "INSERT INTO rebuild_controls (forge, repository, ref_name, held, word) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (forge, repository, ref_name) \
                 DO UPDATE SET held = excluded.held, word = excluded.word",
                branch,
            )
            .bind(reason)
            .bind(word)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Stops the rebuilds of all images of a release, or of all, for a reason, or lets them run
    /// again; those included that nobody knows yet.
    pub(crate) async fn hold_all(
        &self,
        release: Option<&str>,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let word = next_word(&mut tx).await?;
        sqlx::query(
            "INSERT INTO rebuild_holds (release, held, word) VALUES ($1, $2, $3) \
             ON CONFLICT (release) DO UPDATE SET held = excluded.held, word = excluded.word",
        )
        .bind(release.unwrap_or(ALL))
        .bind(reason)
        .bind(word)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// What was said of releases, and of all.
    pub(crate) async fn holds(&self) -> Result<Holds, StoreError> {
        let rows = sqlx::query("SELECT * FROM rebuild_holds").fetch_all(&self.reader).await?;
        let mut holds = Holds::default();
        for row in &rows {
            let word = Word { number: column(row, "word")?, held: column(row, "held")? };
            match column::<String>(row, "release")? {
                all if all == ALL => holds.all = Some(word),
                release => drop(holds.releases.insert(release, word)),
            }
        }
        Ok(holds)
    }
}

/// A number above those of all words before.
async fn next_word(tx: &mut SqliteConnection) -> Result<i64, StoreError> {
    let number = sqlx::query_scalar(
        "SELECT 1 + max((SELECT coalesce(max(word), 0) FROM rebuild_controls), \
         (SELECT coalesce(max(word), 0) FROM rebuild_holds))",
    );
    Ok(number.fetch_one(tx).await?)
}
