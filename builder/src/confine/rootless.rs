//! Builds by people who are not root: the same sandbox, in a user namespace of theirs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// A command that runs `program` as root of a new user namespace, which has the caller's own user
/// and those that `/etc/subuid` and `/etc/subgid` give to the caller. Builds need it whenever the
/// caller is not root; [`crate::build`] says so.
///
/// It needs `unshare` of util-linux 2.38 or later, and `newuidmap` and `newgidmap` (Debian's
/// `uidmap`). Without them, or without such users, the command fails and says why.
#[must_use]
pub fn in_user_namespace(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--map-auto", "--"]).arg(program).args(arguments);
    command
}

/// What a machine must have for the user who builds; the error is a sentence.
pub(crate) fn check() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("builds run as root, or as root of a user namespace".to_owned());
    }
    if crate::owners::owners_count() < MIN_OWNERS {
        let why = format!(
            "this user namespace has {} users besides its root, an image needs {MIN_OWNERS}: \
             give the user a range in /etc/subuid and /etc/subgid",
            crate::owners::owners_count()
        );
        return Err(why);
    }
    Ok(())
}

/// Users that images count on: the distributions give out this many, and `nobody` is the last.
const MIN_OWNERS: u32 = 65_535;
