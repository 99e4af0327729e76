//! What COPY and ADD take from: a directory, a commit, or an archive on standard input.

use std::path::{Path, PathBuf};

use builder::GitSource;
use tempfile::TempDir;

use super::failure;
use crate::failure::Failure;

/// The name of standard input.
const STANDARD_INPUT: &str = "-";
/// The Dockerfile of a context when none is named.
const DOCKERFILE: &str = "Dockerfile";

/// A context on this machine.
pub(super) struct Context {
    directory: PathBuf,
    /// Holds what was fetched or unpacked.
    fetched: Option<TempDir>,
}

impl Context {
    /// Fetches or unpacks it where it is not a directory. It blocks.
    pub(super) fn open(written: &str) -> Result<Self, Failure> {
        if written == STANDARD_INPUT {
            let held = temporary()?;
            let directory = held.path().join("context");
            builder::unpack_context(std::io::stdin().lock(), &directory).map_err(failure)?;
            return Ok(Self { directory, fetched: Some(held) });
        }
        let Some(git) = GitSource::parse(written).map_err(Failure::Usage)? else {
            return Ok(Self { directory: written.into(), fetched: None });
        };
        let held = temporary()?;
        let checkout = held.path().join("context");
        git.checkout(None, &checkout).map_err(Failure::Negative)?;
        let directory = git.directory_in(&checkout);
        let directory = directory.map_err(|error| Failure::Negative(error.to_string()))?;
        Ok(Self { directory, fetched: Some(held) })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The Dockerfile: beside the caller for a directory, as with `docker build`, else in what was
    /// fetched, where no link of a stranger's leads out.
    pub(super) fn dockerfile(&self, named: Option<&Path>) -> Result<PathBuf, Failure> {
        let path = match (named, &self.fetched) {
            (Some(named), None) => return Ok(named.to_owned()),
            (Some(named), Some(_)) => self.directory.join(named),
            (None, _) => self.directory.join(DOCKERFILE),
        };
        if self.fetched.is_some() {
            self.stays_inside(&path)?;
            let ignore = self.directory.join(".dockerignore");
            if ignore.symlink_metadata().is_ok() {
                self.stays_inside(&ignore)?;
            }
        }
        Ok(path)
    }

    fn stays_inside(&self, path: &Path) -> Result<(), Failure> {
        let unreadable = |e| Failure::Negative(format!("cannot read {}: {e}", path.display()));
        let real = path.canonicalize().map_err(unreadable)?;
        let top = self.directory.canonicalize().map_err(unreadable)?;
        if real.starts_with(top) {
            return Ok(());
        }
        Err(Failure::Negative(format!("{} leads out of the context", path.display())))
    }
}

fn temporary() -> Result<TempDir, Failure> {
    tempfile::tempdir().map_err(|error| {
        Failure::Broken(
            anyhow::Error::new(error).context("cannot make a directory for the context"),
        )
    })
}
