//! Variables: those that are known, and what of them is left for the runner.

use std::collections::BTreeMap;

use super::Drafting;
use crate::diagnostic::quoted;
use crate::template::Template;
use crate::workflow::Table;

/// Longest name of an environment variable, in bytes.
const MAX_VARIABLE_BYTES: usize = 255;
/// How a variable that is evaluated later is called among what is.
const LATER_ENV: &str = "an expression in `env`.";

impl Drafting<'_> {
    pub(super) fn env(&mut self, table: &Table) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for (key, value) in self.table(table, "`env`") {
            if is_variable(&key.value) && !value.contains('\0') {
                env.insert(key.value.clone(), value);
                continue;
            }
            let name = quoted(&key.value);
            let message = format!(
                "{name} in `env` must be a name of letters, digits, `_`, `-` and `.`, of at most \
                 {MAX_VARIABLE_BYTES} characters, and its value must have no null character"
            );
            self.report.error(key.at, message);
        }
        env
    }

    /// Takes out of what is evaluated later the variables that only wait for secrets: the runner
    /// evaluates those. What is nearer to the step comes last and counts.
    pub(super) fn secret_env(&mut self) -> BTreeMap<String, Template> {
        let mut found = BTreeMap::new();
        self.later.retain(|later| {
            let name = later.key.strip_prefix(LATER_ENV);
            match name {
                Some(name) if later.step.is_none() && later.waits_for.starts_with("secrets") => {
                    found.insert(name.to_owned(), later.template.clone());
                    false
                }
                _ => true,
            }
        });
        found
    }
}

/// A name that neither the kernel's `NAME=value` nor a container engine mistakes.
fn is_variable(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    name.len() <= MAX_VARIABLE_BYTES
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(letter)
}
