//! The packages of an image, read from the databases that its package managers keep in its files.
//!
//! Nothing of the image is executed: these are parsers of files that a stranger wrote, so every
//! length in them is compared with what is there, and every count has a bound.

mod bdb;
mod bytes;
mod dpkg;
mod ndb;
mod openpgp;
mod overlay;
mod rpm_header;

use std::collections::BTreeSet;

use crate::evidence::{MAX_PACKAGES, Package};

pub use bdb::headers as bdb_headers;
pub use dpkg::parse as parse_dpkg;
pub use ndb::headers as ndb_headers;
pub use overlay::{LayerChanges, MAX_CHANGES, normal, stacked};
pub use rpm_header::{MAX_HEADER_BYTES, parse as parse_rpm_header};

/// Longest text of one field of a package, in bytes; names and versions have some twenty, the
/// licences of a kernel some hundreds.
pub const MAX_FIELD_BYTES: usize = 4 * 1024;

/// Where RPM keeps its database: the old place and the new one, often a link to the other.
pub const RPM_DIRECTORIES: [&str; 2] = ["var/lib/rpm", "usr/lib/sysimage/rpm"];
/// Where dpkg keeps its database.
const DPKG_STATUS: &str = "var/lib/dpkg/status";
/// Where images without dpkg keep a file for each of its packages.
const DPKG_PARTS: &str = "var/lib/dpkg/status.d";
/// Every directory that holds files of databases.
pub const DATABASE_DIRECTORIES: [&str; 4] =
    ["var/lib/dpkg", DPKG_PARTS, RPM_DIRECTORIES[0], RPM_DIRECTORIES[1]];
/// What files beside those parts end in; they hold checksums.
const CHECKSUMS: &str = ".md5sums";

/// What the name of a whiteout begins with: an entry of a layer that is no file of the image.
const WHITEOUT: &str = ".wh.";

/// A file that is or belongs to a database of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Database {
    /// dpkg's, or one package of it.
    Dpkg,
    /// RPM's of today.
    RpmSqlite,
    /// What that one has not taken in yet.
    RpmSqliteLog,
    /// RPM's of SUSE.
    RpmNdb,
    /// RPM's of old, a Berkeley DB.
    RpmBdb,
}

impl Database {
    /// What a path holds, written without a slash in front.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        if path == DPKG_STATUS {
            return Some(Self::Dpkg);
        }
        let (directory, name) = path.rsplit_once('/')?;
        if directory == DPKG_PARTS {
            let is_package = !name.ends_with(CHECKSUMS) && !name.starts_with(WHITEOUT);
            return is_package.then_some(Self::Dpkg);
        }
        if !RPM_DIRECTORIES.contains(&directory) {
            return None;
        }
        match name {
            "rpmdb.sqlite" => Some(Self::RpmSqlite),
            "rpmdb.sqlite-wal" => Some(Self::RpmSqliteLog),
            "Packages.db" => Some(Self::RpmNdb),
            "Packages" => Some(Self::RpmBdb),
            _ => None,
        }
    }
}

/// What is wrong with a database of packages, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(String);

impl DatabaseError {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Packages as they are found: each once, in order of kind and name.
#[derive(Debug, Default)]
pub struct Packages(BTreeSet<Package>);

impl Packages {
    /// Adds one.
    ///
    /// # Errors
    /// When there are more than [`MAX_PACKAGES`].
    pub fn add(&mut self, package: Package) -> Result<(), DatabaseError> {
        self.0.insert(package);
        if self.0.len() > MAX_PACKAGES {
            return Err(DatabaseError::new(format!("more than {MAX_PACKAGES} packages")));
        }
        Ok(())
    }

    /// Begins with a database of RPM; `bytes` is the size of its files.
    pub fn rpm_database(&mut self, bytes: u64) -> RpmDatabase<'_> {
        RpmDatabase { packages: self, left_bytes: bytes, left_headers: MAX_PACKAGES }
    }

    /// All of them.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Package> {
        self.0.into_iter().collect()
    }
}

/// One database of RPM while it is read, header by header.
#[derive(Debug)]
pub struct RpmDatabase<'a> {
    packages: &'a mut Packages,
    left_bytes: u64,
    left_headers: usize,
}

impl RpmDatabase<'_> {
    /// Adds the package of a header.
    ///
    /// # Errors
    /// When it is no header, when there are too many, or when all together are longer than the
    /// database's files: then entries share their bytes, which could go on for ever.
    pub fn add(&mut self, header: &[u8]) -> Result<(), DatabaseError> {
        let left = self.left_bytes.checked_sub(header.len() as u64);
        let (Some(left_bytes), Some(left_headers)) = (left, self.left_headers.checked_sub(1))
        else {
            let why = "more or longer headers than the database has place for";
            return Err(DatabaseError::new(why));
        };
        (self.left_bytes, self.left_headers) = (left_bytes, left_headers);
        parse_rpm_header(header)?.map_or(Ok(()), |package| self.packages.add(package))
    }

    /// Adds the packages of all headers that a reader of such databases finds.
    ///
    /// # Errors
    /// As of [`Self::add`], and those of the reader.
    pub fn add_all<H: AsRef<[u8]>>(
        &mut self,
        headers: impl IntoIterator<Item = Result<H, DatabaseError>>,
    ) -> Result<(), DatabaseError> {
        headers.into_iter().try_for_each(|header| self.add(header?.as_ref()))
    }
}

#[cfg(test)]
mod tests;
