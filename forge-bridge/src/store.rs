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
pub(crate) mod runners;
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
use std::time::{Duration, Instant};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection, Sqlite, Transaction};
use tokio::sync::{Mutex, Notify};

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
/// How long a write proves that writes are taken.
const PROOF_LASTS: Duration = Duration::from_secs(1);
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
    /// Notified when a write begins: who looks at once may find it with the next one only.
    written: Arc<Notify>,
    /// When [`Store::ping`] last found that it writes.
    proved: Arc<Mutex<Option<Instant>>>,
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
            .after_release(|connection, _| Box::pin(is_out_of_transactions(connection)))
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
        Ok(Self { reader, writer, mover, written: Arc::default(), proved: Arc::default() })
    }

    /// Begins a write. Writers queue up here; keep it short and free of other I/O.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.written.notify_one();
        Ok(transaction)
    }

    /// Whether the database answers and takes writes; asked often, it tries one a second.
    ///
    /// # Errors
    /// [`StoreError`] with SQLite's word when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.reader).await?;
        let mut proved = self.proved.lock().await;
        if proved.is_none_or(|at| at.elapsed() > PROOF_LASTS) {
            *proved = None;
            let mut transaction = self.write().await?;
            // A number in the file's header that nobody else uses: the smallest write there is.
            sqlx::query("PRAGMA user_version = 1").execute(&mut *transaction).await?;
            transaction.commit().await?;
            *proved = Some(Instant::now());
        }
        Ok(())
    }

    /// Finishes what runs and closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.mover.close().await;
        self.writer.close().await;
    }
}

/// Whether a connection that comes back can be given out again. SQLite ends a transaction itself
/// when the disk is full or broken, which sqlx does not notice: it would refuse every later one.
async fn is_out_of_transactions(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A transaction that was dropped is rolled back before that is answered.
    connection.ping().await?;
    let is_out = !connection.is_in_transaction();
    if !is_out {
        tracing::warn!("store: a write failed in the middle: the connection is made anew");
    }
    Ok(is_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_sqlite_ends_itself_keeps_nobody_from_writing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("bridge.db")).await.unwrap();
        let mut transaction = store.write().await.unwrap();
        // As SQLite does when the disk is full or broken.
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        assert!(transaction.commit().await.is_err(), "there is nothing to commit");
        store.write().await.unwrap().commit().await.unwrap();
        store.ping().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_takes_no_writes_does_not_answer() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("bridge.db")).await.unwrap();
        sqlx::query("PRAGMA query_only = ON").execute(&store.writer).await.unwrap();
        let told = store.ping().await.unwrap_err().to_string();
        assert!(told.contains("readonly"), "{told}");
    }
}
