//! Which actions the steps of a job stand on: those that they use, those that these use, and on.

use std::collections::BTreeSet;

use super::{Action, MAX_ACTIONS, MAX_DEPTH};
use crate::job::ActionSource;

/// Goes through them, each once; who walks looks at what each of them is.
#[derive(Debug)]
pub struct Walk {
    open: Vec<(ActionSource, usize)>,
    seen: BTreeSet<ActionSource>,
    /// How deep the one is that was given last.
    depth: usize,
}

/// More than anybody looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the job's actions use more than {MAX_ACTIONS} others, or each other more than {MAX_DEPTH} deep"
)]
pub struct TooMany;

impl Walk {
    /// Begins at the actions of a job's steps.
    #[must_use]
    pub fn new(used: impl Iterator<Item = ActionSource>) -> Self {
        let open = used.map(|source| (source, 1)).collect();
        Self { open, seen: BTreeSet::new(), depth: 0 }
    }

    /// The next one that was not looked at yet; `None` at the end.
    ///
    /// # Errors
    /// [`TooMany`] beyond [`MAX_ACTIONS`] of them, or [`MAX_DEPTH`] levels.
    pub fn next_action(&mut self) -> Result<Option<ActionSource>, TooMany> {
        while let Some((source, depth)) = self.open.pop() {
            if !self.seen.insert(source.clone()) {
                continue;
            }
            if self.seen.len() > MAX_ACTIONS || depth > MAX_DEPTH {
                return Err(TooMany);
            }
            self.depth = depth;
            return Ok(Some(source));
        }
        Ok(None)
    }

    /// The action that was given last is this one: what it uses is looked at too.
    pub fn found(&mut self, action: &Action) {
        self.open.extend(action.uses().map(|inner| (inner.clone(), self.depth + 1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(name: usize) -> ActionSource {
        ActionSource::Local { path: name.to_string() }
    }

    /// A composite action that uses those.
    fn using(names: &[usize]) -> Action {
        let steps: String = names.iter().map(|name| format!("  - uses: ./{name}\n")).collect();
        let text = format!("runs:\n  using: composite\n  steps:\n{steps}");
        crate::action::read("action.yml", &text).unwrap()
    }

    #[test]
    fn each_is_given_once_also_in_a_circle() {
        let mut walk = Walk::new([local(0), local(1), local(0)].into_iter());
        let mut given = Vec::new();
        while let Some(source) = walk.next_action().unwrap() {
            walk.found(&using(&[0, 1, 2]));
            given.push(source);
        }
        given.sort();
        assert_eq!(given, [local(0), local(1), local(2)]);
    }

    #[test]
    fn so_many_and_so_deep_and_no_more() {
        let mut deep = Walk::new([local(0)].into_iter());
        for below in 1..=MAX_DEPTH {
            assert!(deep.next_action().unwrap().is_some());
            deep.found(&using(&[below]));
        }
        assert_eq!(deep.next_action(), Err(TooMany));

        let mut many = Walk::new((0..=MAX_ACTIONS).map(local));
        for _ in 0..MAX_ACTIONS {
            assert!(many.next_action().unwrap().is_some());
        }
        assert_eq!(many.next_action(), Err(TooMany));
    }
}
