//! Webhook keys of projects, for a forge that makes a key for each.
//!
//! A directory holds them, one small file a project, so that an operator can put them there by
//! hand, and so that a key that changed counts from the next delivery on.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use workflows::names::RepositoryName;

use super::receive::MAX_SECRETS;
use crate::durable::keep_name;

/// Longest file of keys that is read, in bytes; Pagure's keys have 40 characters.
const MAX_KEY_FILE_BYTES: u64 = 1024;

/// The keys of all projects of a forge: `containers/httpd.key` holds those of that project, one a
/// line.
#[derive(Debug, Clone)]
pub(crate) struct ProjectKeys {
    directory: PathBuf,
}

impl ProjectKeys {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The project's keys; none when the project has no file. Blocks for a small file.
    pub(crate) fn of(&self, project: &RepositoryName) -> io::Result<Vec<SecretString>> {
        let file = match File::open(self.path(project)) {
            Ok(file) => file,
            // A stranger names the project, so it may well be none, or too long for a file.
            Err(error) if is_absence(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.take(MAX_SECRETS).map(SecretString::from).collect())
    }

    /// When the project's key was put there; `None` when it has none.
    pub(crate) fn put_at(&self, project: &RepositoryName) -> Option<SystemTime> {
        std::fs::metadata(self.path(project)).and_then(|found| found.modified()).ok()
    }

    /// Makes this the project's only key. Who reads meanwhile finds the old one or this one, and
    /// nobody but us may read.
    pub(crate) fn put(&self, project: &RepositoryName, key: &SecretString) -> io::Result<()> {
        let path = self.path(project);
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let new = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{}", key.expose_secret())?;
        file.sync_all()?;
        std::fs::rename(new, &path)?;
        keep_name(&path, &self.directory)
    }

    /// A project's path has no part that starts with a dot, so it stays below the directory.
    pub(crate) fn path(&self, project: &RepositoryName) -> PathBuf {
        self.directory.join(format!("{project}.key"))
    }
}

fn is_absence(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::NotFound,
        ErrorKind::NotADirectory,
        ErrorKind::IsADirectory,
        ErrorKind::InvalidFilename,
    ];
    kinds.contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn project(name: &str) -> RepositoryName {
        RepositoryName::parse(name).unwrap()
    }

    #[test]
    fn a_project_has_the_keys_of_its_own_file_only() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("containers")).unwrap();
        let file = directory.path().join("containers/httpd.key");
        std::fs::write(&file, "present\n\n next \nthird\n").unwrap();
        let keys = ProjectKeys::new(directory.path());
        let of = |name| -> Vec<String> {
            let keys = keys.of(&project(name)).unwrap();
            keys.iter().map(|key| key.expose_secret().to_owned()).collect()
        };
        assert_eq!(of("containers/httpd"), ["present", "next"]);
        for other in ["httpd", "containers", "containers/httpd.key/x", "containers/nginx"] {
            assert_eq!(of(other), [""; 0], "{other}");
        }
        assert_eq!(of(&"x".repeat(255)), [""; 0]);
    }

    #[test]
    fn a_key_that_is_put_counts_alone_and_is_nobody_elses_to_read() {
        let directory = tempfile::tempdir().unwrap();
        let keys = ProjectKeys::new(&directory.path().join("keys"));
        let httpd = project("forks/mina/containers/httpd");
        assert_eq!(keys.put_at(&httpd), None);
        for key in ["first", "second"] {
            keys.put(&httpd, &key.into()).unwrap();
            let found = keys.of(&httpd).unwrap();
            assert_eq!(found.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), [key]);
        }
        assert!(keys.put_at(&httpd).is_some());
        let mode = std::fs::metadata(keys.path(&httpd)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
