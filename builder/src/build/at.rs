//! Where in the Dockerfile something went wrong.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use super::tail::Tail;
use crate::error::{BuildError, is_full, place};
use crate::owners::is_too_high;
use crate::stage::Fault;

/// A place of the Dockerfile.
pub(super) struct At<'a> {
    pub(super) file: &'a str,
    /// Where all is kept that a build writes.
    pub(super) store: &'a Path,
    /// From 1; 0 for what stands on no line.
    pub(super) line: usize,
    /// What the last step has printed.
    pub(super) tail: &'a RefCell<Tail>,
    /// What to say beside a registry's refusal.
    pub(super) hint: Option<String>,
}

impl At<'_> {
    /// What went wrong, told with the place.
    pub(super) fn told(self, fault: Fault) -> BuildError {
        let (file, line) = (self.file.to_owned(), self.line);
        match fault {
            Fault::User(message) => BuildError::Refused { file, line, message },
            Fault::Command(why) => {
                BuildError::Failed { file, line, why, output: self.tail.borrow_mut().take() }
            }
            Fault::Machine(error) => {
                BuildError::io(format!("{}{}", place(&file, line), self.room(&error)), error)
            }
            Fault::Told(BuildError::Io { doing, error }) if is_too_high(&error) => {
                BuildError::Refused { file, line, message: format!("{doing}: {error}") }
            }
            Fault::Told(BuildError::Io { doing, error }) => {
                let doing = format!("{}: {doing}{}", place(&file, line), self.room(&error));
                BuildError::Io { doing, error }
            }
            Fault::Before { line, error } => Self { line, ..self }.told(Fault::Told(error)),
            Fault::Told(BuildError::Registry(error)) => {
                let hint = self.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                BuildError::Image { file, line, error: Box::new(error), hint }
            }
            Fault::Told(error) => error,
        }
    }

    /// Where there is no room, when that is what the error says.
    fn room(&self, error: &io::Error) -> String {
        match is_full(error) {
            true => format!(", for want of room in the store {}", self.store.display()),
            false => String::new(),
        }
    }
}
