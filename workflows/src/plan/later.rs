//! What of a job is left for its runner.

use std::collections::BTreeMap;

use super::Drafting;
use crate::template::Template;

/// How a variable that is evaluated later is called among what is.
const LATER_ENV: &str = "an expression in `env`.";

impl Drafting<'_> {
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
