//! How a command can end other than well, and what the shell and the person hear of it.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use crate::output;

/// The answer is no.
const NEGATIVE: u8 = 1;
/// The command makes no sense; clap exits with the same.
const USAGE: u8 = 2;
/// Nobody answered.
const UNREACHABLE: u8 = 3;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The answer is no, and has been printed.
    No,
    /// The answer is no, for this reason.
    Negative(String),
    /// The command makes no sense as written; the text says what would.
    Usage(String),
    /// The bridge did not answer; the text says where it was looked for.
    Unreachable(String),
    /// A role or the machine failed.
    Broken(anyhow::Error),
    /// Whoever read our output went away, which is their good right.
    Closed,
}

impl Failure {
    /// Tells the person on standard error, and the shell by the code.
    pub(crate) fn tell(self) -> ExitCode {
        let code = match self {
            Self::No | Self::Negative(_) | Self::Broken(_) => NEGATIVE,
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::Closed => return ExitCode::SUCCESS,
        };
        if let Some(text) = self.text() {
            output::complain(&text);
        }
        ExitCode::from(code)
    }

    /// What the person is told; `None` for what was told already, or to nobody.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Negative(text) | Self::Usage(text) | Self::Unreachable(text) => {
                Some(text.clone())
            }
            Self::Broken(error) => Some(format!("{error:#}")),
            Self::No | Self::Closed => None,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// Of writing our output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Broken(anyhow::Error::new(error).context("cannot write the output")),
        }
    }
}
