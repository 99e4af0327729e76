//! Where in the Dockerfile something went wrong.

use std::cell::RefCell;

use super::tail::Tail;
use crate::error::BuildError;
use crate::owners::is_too_high;
use crate::stage::Fault;

/// A place of the Dockerfile.
pub(super) struct At<'a> {
    pub(super) file: &'a str,
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
            Fault::Machine(error) => BuildError::io(format!("{file}:{line}"), error),
            Fault::Told(BuildError::Io { doing, error }) if is_too_high(&error) => {
                BuildError::Refused { file, line, message: format!("{doing}: {error}") }
            }
            Fault::Told(BuildError::Registry(error)) => {
                let hint = self.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                BuildError::Image { file, line, error: Box::new(error), hint }
            }
            Fault::Told(error) => error,
        }
    }
}
