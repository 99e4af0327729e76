//! Why a build ended without an image, told by whose fault it is.

use std::io;

use crate::cancel::is_wish;
use crate::registry::RegistryError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile or the context asks for what cannot be built: the author's fault.
    #[error("{}: {message}", place(file, *line))]
    Refused {
        /// The Dockerfile as it was named.
        file: String,
        /// The line, from 1; 0 when it is about the whole file.
        line: usize,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A command of the Dockerfile failed: the author's fault.
    #[error("{file}:{line}: {why}")]
    Failed {
        /// The Dockerfile as it was named.
        file: String,
        /// The line of the RUN.
        line: usize,
        /// How it ended.
        why: String,
        /// The last of what it printed, at most 64 KiB and 100 lines.
        output: Vec<u8>,
    },
    /// The one who asked for it wanted it no more.
    #[error("cancelled")]
    Cancelled,
    /// A registry did not give or take what it should.
    #[error(transparent)]
    Registry(RegistryError),
    /// The same of an image that a line of the Dockerfile needs.
    #[error("{}: {error}{hint}", place(file, *line))]
    Image {
        /// The Dockerfile as it was named.
        file: String,
        /// The line, from 1; 0 for what stands on none.
        line: usize,
        /// What the registry said.
        error: Box<RegistryError>,
        /// What the author may have meant, behind a semicolon; mostly empty.
        hint: String,
    },
    /// This machine cannot carry out the build.
    #[error("the sandbox: {0}")]
    Sandbox(String),
    /// This machine failed at something.
    #[error("{doing}: {error}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system said. It is part of the text, and therefore no source: whoever tells an
        /// error with its causes would tell it twice.
        error: io::Error,
    },
}

impl BuildError {
    /// What the system said to what was tried. Work that broke off because somebody wanted it no
    /// more has not failed.
    pub(crate) fn io(doing: String, error: io::Error) -> Self {
        if is_wish(&error) { Self::Cancelled } else { Self::Io { doing, error } }
    }
}

impl From<RegistryError> for BuildError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Local { doing, error } => Self::Io { doing, error },
            other => Self::Registry(other),
        }
    }
}

/// Whether the system says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What stands on no line is about the whole file.
pub(crate) fn place(file: &str, line: usize) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

/// Says what was tried when the system refuses it.
pub(crate) trait Doing<T> {
    /// Puts the sentence before the system's error.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, BuildError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, BuildError> {
        self.map_err(|error| BuildError::io(what(), error.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn what_the_system_said_is_told_once() {
        let failed: Result<(), io::Error> = Err(io::ErrorKind::NotFound.into());
        let error = failed.doing(|| "cannot open x".to_owned()).unwrap_err();
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            told = format!("{told}: {error}");
            cause = error.source();
        }
        assert_eq!(told, "cannot open x: entity not found");
    }
}
