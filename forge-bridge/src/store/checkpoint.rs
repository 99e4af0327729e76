//! Moves SQLite's log into the database on a connection beside the writer.
//!
//! SQLite would do it within the commit that makes the log too long, and every webhook of that
//! batch would wait for megabytes to be moved and flushed twice.

use super::Store;

/// Pages of log at which the writer moves them itself after all, because nobody else did:
/// 64 MiB, a bound for the file.
pub(super) const MAX_LOG_PAGES: u32 = 16 * 1024;

impl Store {
    /// Moves what was written, for as long as the future is polled; it can be dropped at any
    /// point.
    ///
    /// At once, and what is written meanwhile in the next turn: the more there is to move, the
    /// longer a flush of the log waits behind it.
    pub async fn checkpoints(self) {
        loop {
            self.written.notified().await;
            // Passive: moves what no reader needs any more and never makes the writer wait.
            let moved = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&self.mover).await;
            if let Err(error) = moved {
                tracing::warn!(%error, "the log stays longer than it should: {error}");
            }
        }
    }
}
