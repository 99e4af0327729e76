//! From the files of package databases to a list of packages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use workflows::evidence::{MAX_PACKAGES, Package};
use workflows::packages::{
    Database, MAX_HEADER_BYTES, Packages, RPM_DIRECTORIES, bdb_headers, ndb_headers, parse_dpkg,
};

use super::collect::Unreadable;

/// Longest time to read a database of SQLite; a whole distribution takes a second.
const SQLITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Tells whether `Packages` is a table with bytes in it. A view, a virtual table or a computed
/// column would have us evaluate what the image's author wrote.
const IS_PLAIN_TABLE: &str = "SELECT count(*) FROM sqlite_schema AS s, pragma_table_xinfo(s.name) AS c \
     WHERE s.type = 'table' AND s.name = 'Packages' AND s.rootpage > 0 AND c.name = 'blob' AND \
     c.hidden = 0";
/// The length of a value is known without reading it; what is too long is never read.
const HEADERS: &str =
    "SELECT CASE WHEN length(blob) <= $1 THEN CAST(blob AS BLOB) END FROM Packages LIMIT $2";

/// Reads every package of an image; `files` are those that are to be seen in it, by their paths.
/// What a package manager left of an older database of its own does not count.
pub(super) async fn read(files: BTreeMap<String, PathBuf>) -> Result<Vec<Package>, Unreadable> {
    let mut packages = Packages::default();
    for (path, kept) in &files {
        if Database::at(path) == Some(Database::Dpkg) {
            let content = tokio::fs::read(kept).await?;
            parse_dpkg(&content, &mut packages).map_err(|error| about(path, error))?;
        }
    }
    for directory in RPM_DIRECTORIES {
        let found = |name: &str| {
            let path = format!("{directory}/{name}");
            let kept = files.get(&path)?.clone();
            Some((path, kept))
        };
        if let Some((path, kept)) = found("rpmdb.sqlite") {
            let log = found("rpmdb.sqlite-wal").map(|(_, log)| log);
            let read = tokio::time::timeout(SQLITE_TIMEOUT, sqlite(&kept, log, &mut packages));
            let late = |_| Unreadable::Image("it takes too long to read".to_owned());
            read.await.map_err(late).flatten().map_err(|error| about(&path, error))?;
        } else if let Some((path, kept)) = found("Packages.db") {
            let file = tokio::fs::read(kept).await?;
            let mut database = packages.rpm_database(file.len() as u64);
            let read = ndb_headers(&file).and_then(|headers| database.add_all(headers));
            read.map_err(|error| about(&path, error))?;
        } else if let Some((path, kept)) = found("Packages") {
            let file = tokio::fs::read(kept).await?;
            let mut database = packages.rpm_database(file.len() as u64);
            let read = bdb_headers(&file).and_then(|headers| database.add_all(headers));
            read.map_err(|error| about(&path, error))?;
        }
    }
    Ok(packages.into_sorted())
}

fn about(path: &str, error: impl Into<Unreadable>) -> Unreadable {
    match error.into() {
        Unreadable::Image(why) => {
            Unreadable::Image(format!("the list of packages at {path} cannot be read: {why}"))
        }
        Unreadable::Io(error) => Unreadable::Io(error),
    }
}

/// Reads RPM's database of today. With a log beside it the file alone is not up to date; SQLite
/// finds the log by its name.
async fn sqlite(
    file: &Path,
    log: Option<PathBuf>,
    packages: &mut Packages,
) -> Result<(), Unreadable> {
    let mut bytes = std::fs::metadata(file)?.len();
    let mut options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    if let Some(log) = log {
        let log_bytes = std::fs::metadata(&log)?.len();
        if log_bytes > 0 {
            let mut beside = file.as_os_str().to_owned();
            beside.push("-wal");
            std::fs::rename(&log, beside)?;
            bytes += log_bytes;
            options = options.immutable(false);
        }
    }
    // What a stranger's file may make SQLite do, and what it is to look at twice.
    let options = options.pragma("trusted_schema", "OFF").pragma("cell_size_check", "ON");
    let mut connection = options.disable_statement_logging().connect().await?;
    let read = headers(&mut connection, bytes, packages).await;
    connection.close().await?;
    read
}

async fn headers(
    connection: &mut SqliteConnection,
    bytes: u64,
    packages: &mut Packages,
) -> Result<(), Unreadable> {
    let tables: i64 = sqlx::query_scalar(IS_PLAIN_TABLE).fetch_one(&mut *connection).await?;
    if tables != 1 {
        return Err(Unreadable::Image("it has no table of packages".to_owned()));
    }
    let mut database = packages.rpm_database(bytes);
    let query = sqlx::query_scalar(HEADERS)
        .bind(i64::try_from(MAX_HEADER_BYTES).unwrap_or(i64::MAX))
        .bind(i64::try_from(MAX_PACKAGES).unwrap_or(i64::MAX).saturating_add(1));
    let mut rows = query.fetch(connection);
    while let Some(header) = rows.try_next().await? {
        let header: Option<Vec<u8>> = header;
        let header = header.ok_or_else(|| {
            Unreadable::Image(format!("a package of more than {MAX_HEADER_BYTES} bytes"))
        })?;
        database.add(&header)?;
    }
    Ok(())
}

impl From<sqlx::Error> for Unreadable {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(error) => Self::Io(error),
            error => Self::Image(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
