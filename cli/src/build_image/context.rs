//! What COPY and ADD take from, a directory, a commit, or an archive on standard input, and the
//! Dockerfile.

use std::path::{Path, PathBuf};

use builder::{BuildError, GitSource};
use tempfile::TempDir;
use workflows::dockerfile::MAX_DOCKERFILE_BYTES;

use super::{failure, read_as, read_from};
use crate::failure::Failure;

/// The name of standard input.
const STANDARD_INPUT: &str = "-";
/// What a Dockerfile from there is called in messages.
const FROM_STANDARD_INPUT: &str = "standard input";
/// The Dockerfile of a context when none is named.
const DOCKERFILE: &str = "Dockerfile";

/// A context on this machine.
pub(super) struct Context {
    directory: PathBuf,
    /// Holds what was fetched or unpacked.
    fetched: Option<TempDir>,
}

/// A Dockerfile that was read.
#[derive(Debug)]
pub(super) struct Recipe {
    /// In messages.
    pub(super) name: String,
    pub(super) text: String,
    /// The text of the ignore file that belongs to it.
    pub(super) ignore: String,
}

impl Context {
    /// Fetches or unpacks it where it is not a directory. It blocks. `named` is the Dockerfile.
    pub(super) fn open(written: &str, named: Option<&Path>) -> Result<Self, Failure> {
        if written == STANDARD_INPUT {
            if named.is_some_and(is_standard_input) {
                let why = "standard input is the context or the Dockerfile, not both";
                return Err(Failure::Usage(why.to_owned()));
            }
            let held = temporary()?;
            let directory = held.path().join("context");
            unpack(std::io::stdin().lock(), &directory)?;
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

    /// Reads the Dockerfile with its ignore file. It blocks.
    pub(super) fn recipe(&self, named: Option<&Path>) -> Result<Recipe, Failure> {
        let max = MAX_DOCKERFILE_BYTES as u64;
        let (path, name, text) = match named.filter(|named| is_standard_input(named)) {
            Some(_) => {
                let name = FROM_STANDARD_INPUT.to_owned();
                let text = read_from(std::io::stdin().lock(), &name, max)?;
                (None, name, text)
            }
            None => {
                let path = self.dockerfile(named)?;
                let name = self.shown(&path);
                let text = read_as(&path, &name, max)?;
                (Some(path), name, text)
            }
        };
        for ignore in builder::ignore_files(&self.directory, path.as_deref()) {
            if self.fetched.is_some() && ignore.symlink_metadata().is_ok() {
                self.stays_inside(&ignore)?;
            }
        }
        let ignore = builder::read_ignore(&self.directory, path.as_deref()).map_err(failure)?;
        Ok(Recipe { name, text, ignore })
    }

    /// The Dockerfile: beside the caller for a directory, as with `docker build`, else in what was
    /// fetched, where no link of a stranger's leads out.
    fn dockerfile(&self, named: Option<&Path>) -> Result<PathBuf, Failure> {
        let path = match (named, &self.fetched) {
            (Some(named), None) => return Ok(named.to_owned()),
            (Some(named), Some(_)) => self.directory.join(named),
            (None, _) => self.directory.join(DOCKERFILE),
        };
        if self.fetched.is_some() {
            self.stays_inside(&path)?;
        }
        Ok(path)
    }

    fn stays_inside(&self, path: &Path) -> Result<(), Failure> {
        let unreadable = |e| Failure::Negative(format!("cannot read {}: {e}", self.shown(path)));
        let real = path.canonicalize().map_err(unreadable)?;
        let top = self.directory.canonicalize().map_err(unreadable)?;
        if real.starts_with(top) {
            return Ok(());
        }
        Err(Failure::Negative(format!("{} leads out of the context", self.shown(path))))
    }

    /// A path as its author knows it: where something was unpacked to is nobody's business.
    fn shown(&self, path: &Path) -> String {
        let below = self.fetched.as_ref().and_then(|_| path.strip_prefix(&self.directory).ok());
        match below {
            Some(below) => format!("{} of the context", below.display()),
            None => path.display().to_string(),
        }
    }
}

/// Unpacks what somebody gives as a context.
fn unpack(archive: impl std::io::Read, directory: &Path) -> Result<(), Failure> {
    builder::unpack_context(archive, directory).map_err(|error| match error {
        // What the system did not say, the archive did.
        BuildError::Io { doing, error } if error.raw_os_error().is_none() => {
            Failure::Negative(format!(
                "{doing}: {error}; the context `-` is a tar archive, and a Dockerfile alone is \
                 `--file -` beside a directory"
            ))
        }
        other => failure(other),
    })
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

fn temporary() -> Result<TempDir, Failure> {
    tempfile::tempdir().map_err(|error| {
        Failure::Broken(
            anyhow::Error::new(error).context("cannot make a directory for the context"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_one_thing() {
        let both = Context::open("-", Some(Path::new("-")));
        assert!(matches!(both.err(), Some(Failure::Usage(why)) if why.contains("not both")));
    }

    #[test]
    fn what_is_missing_is_named_as_its_author_knows_it() {
        let held = temporary().unwrap();
        let directory = held.path().join("context");
        std::fs::create_dir(&directory).unwrap();
        let context = Context { directory, fetched: Some(held) };
        let why = context.recipe(Some(Path::new("df/none"))).unwrap_err();
        let expected = "cannot read df/none of the context: No such file";
        assert!(matches!(&why, Failure::Negative(why) if why.starts_with(expected)), "{why:?}");
    }

    #[test]
    fn a_dockerfile_that_is_given_as_a_context_is_explained() {
        let held = temporary().unwrap();
        for (number, text) in
            ["FROM scratch\n".to_owned(), "RUN true\n".repeat(1000)].iter().enumerate()
        {
            let why = unpack(text.as_bytes(), &held.path().join(number.to_string())).unwrap_err();
            assert!(matches!(&why, Failure::Negative(why) if why.contains("--file -")), "{why:?}");
        }
    }

    #[test]
    fn no_ignore_file_of_a_fetched_context_leads_out() {
        let held = temporary().unwrap();
        let directory = held.path().join("context");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(DOCKERFILE), "FROM scratch\n").unwrap();
        let context = Context { directory, fetched: Some(held) };
        assert_eq!(context.recipe(None).unwrap().ignore, "");
        for name in ["Dockerfile.dockerignore", ".dockerignore"] {
            let link = context.directory.join(name);
            std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
            let why = context.recipe(None).unwrap_err();
            assert!(matches!(why, Failure::Negative(why) if why.contains("leads out")), "{name}");
            std::fs::remove_file(link).unwrap();
        }
    }
}
