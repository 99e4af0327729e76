//! All SQL of the bridge.
//!
//! One connection writes and a few read, so that no caller ever meets `SQLITE_BUSY`; every write
//! is a short transaction with no network call inside. WAL with `synchronous=FULL` means that a
//! committed transaction survives the loss of power.

pub(crate) mod asked;
pub(crate) mod cancel;
mod checkpoint;
mod deliveries;
mod desired;
mod groups;
mod holders;
mod holds;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod leases;
mod migrations;
pub(crate) mod named_values;
pub(crate) mod nodes;
pub(crate) mod pinning;
pub(crate) mod planning;
#[cfg(test)]
mod plans;
mod progress;
pub(crate) mod promotions;
pub(crate) mod pulls;
pub(crate) mod rebuilds;
pub(crate) mod record;
pub(crate) mod removals;
pub(crate) mod replies;
mod row;
mod runners;
mod said;
pub(crate) mod schedules;
pub(crate) mod statuses;
#[cfg(test)]
mod stories;
pub(crate) mod sweep;
mod time;
mod views;
pub(crate) mod watched;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};
use tokio::sync::Notify;

pub use deliveries::Standing;
pub(crate) use deliveries::{Decoded, Insertion, NewDelivery, Undecoded};
pub(crate) use time::{at, seconds};
pub(crate) use views::LogTarget;

/// Connections that read. More would only hold page caches.
const READERS: u32 = 3;
/// How long a caller waits for a connection before the store counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process, such as a backup, that holds the lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of one connection, in KiB; the operating system caches the file besides.
const CACHE_KIB: u32 = 1024;

/// The store does not answer, or holds what this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's own word.
    #[error("store: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("store: cannot migrate the schema: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A column holds what it must not.
    #[error("store: {0}")]
    Corrupt(String),
}

/// The bridge's database.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) reader: SqlitePool,
    writer: SqlitePool,
    /// See [`Store::checkpoints`].
    mover: SqlitePool,
    /// Notified at each write.
    written: Arc<Notify>,
}

impl Store {
    /// Opens or makes the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be opened or its schema is newer than this program.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("cache_size", format!("-{CACHE_KIB}"));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(
                options.clone().pragma("wal_autocheckpoint", checkpoint::MAX_LOG_PAGES.to_string()),
            )
            .await?;
        migrations::migrator().run(&writer).await?;
        let mover = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { reader, writer, mover, written: Arc::default() })
    }

    /// Begins a write. Writers queue up here; keep it short and free of other I/O.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.written.notify_one();
        Ok(transaction)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`] with SQLite's word when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.reader).await?;
        Ok(())
    }

    /// Finishes what runs and closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.mover.close().await;
        self.writer.close().await;
    }
}
