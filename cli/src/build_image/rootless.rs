//! Builds by people who are not root.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Where root keeps blobs and layers.
const ROOTS_STORE: &str = "/var/lib/strata/builder";

/// Where blobs and layers are kept when the caller does not say.
pub(crate) fn default_store() -> PathBuf {
    ROOTS_STORE.into()
}

/// Starts this program again as root of a user namespace of the caller's, when the caller is not
/// root. It returns only when that is not needed, or fails.
pub(crate) fn enter(store: Option<&Path>) -> Result<(), Failure> {
    if is_root() {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| Failure::Broken(error.into()))?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if store.is_none() {
        arguments.extend(["--store".into(), own_store()?.into()]);
    }
    let error = builder::in_user_namespace(&program, arguments).exec();
    let why = "cannot make a user namespace: install util-linux 2.38 or later and uidmap";
    Err(Failure::Broken(anyhow::Error::new(error).context(why)))
}

/// Whether this is root, of the machine or of a namespace.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn own_store() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = set("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    let none = || Failure::Usage("neither XDG_DATA_HOME nor HOME is set; give --store".to_owned());
    Ok(data.ok_or_else(none)?.join("strata/builder"))
}
