//! Who may not write, for a moment: a stranger can say a hundred things, and the forge is asked about
//! them once.
//!
//! Nothing is kept of who may write, whose right may be taken away, and nothing for long of who may
//! not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use workflows::command::Permission;
use workflows::names::RepositoryName;

/// How long it is believed that somebody may not write.
const BELIEVED: Duration = Duration::from_secs(60);
/// Most people and repositories that are remembered.
const MAX_STRANGERS: usize = 4096;

type Known = HashMap<(RepositoryName, String), (Permission, Instant)>;

/// People who may not write. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Known>>);

impl Strangers {
    fn known(&self) -> MutexGuard<'_, Known> {
        // A map of words is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn permission(
        &self,
        repository: &RepositoryName,
        user: &str,
        now: Instant,
    ) -> Option<Permission> {
        let known = self.known();
        let (permission, until) = known.get(&(repository.clone(), user.to_owned()))?;
        (now < *until).then_some(*permission)
    }

    pub(super) fn note(
        &self,
        repository: &RepositoryName,
        user: &str,
        permission: Permission,
        now: Instant,
    ) {
        if permission >= Permission::Write {
            return;
        }
        let mut known = self.known();
        if known.len() >= MAX_STRANGERS {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() < MAX_STRANGERS {
            known.insert((repository.clone(), user.to_owned()), (permission, now + BELIEVED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_known_for_a_moment_and_a_writer_never() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        strangers.note(&httpd, "eve", Permission::Read, now);
        strangers.note(&httpd, "bob", Permission::Write, now);
        assert_eq!(strangers.permission(&httpd, "eve", now), Some(Permission::Read));
        assert_eq!(strangers.permission(&httpd, "bob", now), None);
        assert_eq!(strangers.permission(&httpd, "eve", now + BELIEVED), None);
        for number in 0..2 * MAX_STRANGERS {
            strangers.note(&httpd, &number.to_string(), Permission::None, now);
        }
        assert_eq!(strangers.known().len(), MAX_STRANGERS);
        strangers.note(&httpd, "new", Permission::None, now + BELIEVED);
        assert_eq!(strangers.known().len(), 1);
    }
}
