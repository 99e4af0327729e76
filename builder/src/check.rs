//! Whether this machine can build.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::confine::{Overlay, Runtime, make_empty, private_mounts};
use crate::error::{BuildError, Doing};
use crate::store::Store;

/// What this machine builds with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// The OCI runtime that starts commands.
    pub runtime: PathBuf,
}

/// Tries what every build needs, without a build: rights, the OCI runtime, a view of the mounts of
/// its own, an overlay of layers in the store's directory, and that the users of images can reach
/// that directory.
///
/// # Errors
/// [`BuildError`] says what is missing and what to do.
pub fn check(store: &Store, runtime: Option<&Path>) -> Result<Ability, BuildError> {
    let missing = |why: &str| BuildError::Sandbox(why.to_owned());
    crate::confine::check_user().map_err(BuildError::Sandbox)?;
    if crate::owners::is_rootless() {
        return Err(missing("limits of memory and processors need root of the machine itself"));
    }
    let found = Runtime::find(runtime);
    let runtime = found.ok_or_else(|| missing(&Runtime::missing(runtime)))?;
    reachable(store.path())?;
    let tried = std::thread::scope(|scope| scope.spawn(|| try_overlay(store)).join());
    tried.unwrap_or_else(|_| Err(missing("the trial of an overlay broke")))?;
    Ok(Ability { runtime: runtime.program().to_owned() })
}

/// Users of images are nobody on the machine and pass through every directory above.
fn reachable(path: &Path) -> Result<(), BuildError> {
    /// The right of others to pass through.
    const PASS: u32 = 0o001;
    for above in path.ancestors() {
        let found = std::fs::metadata(above);
        let found = found.doing(|| format!("cannot look at {}", above.display()))?;
        if found.permissions().mode() & PASS == 0 {
            let above = above.display();
            return Err(BuildError::Sandbox(format!(
                "the users of images cannot pass through {above}: `chmod o+x {above}`, or keep \
                 the builder's files elsewhere"
            )));
        }
    }
    Ok(())
}

fn try_overlay(store: &Store) -> Result<(), BuildError> {
    private_mounts().doing(|| "cannot make a view of the mounts".to_owned())?;
    let work = store.new_work().doing(|| "cannot make a directory".to_owned())?;
    let what = || format!("cannot stack layers in {}", store.path().display());
    let (one, empty) = (work.path().join("one"), work.path().join("empty"));
    for dir in [&one, &empty] {
        make_empty(dir).doing(what)?;
    }
    Overlay::writable(&[one], &empty, work.path()).map(drop).doing(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_nobody_reaches_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let store = Store::open(&closed.join("store")).unwrap();
        let why = reachable(store.path()).unwrap_err().to_string();
        assert!(why.contains("closed") || why.contains(dir.path().to_str().unwrap()), "{why}");
        assert!(why.contains("chmod o+x"), "{why}");
    }
}
