//! Places where the sandbox mounts something over the image and the image has nothing.
//!
//! They stand in a directory of their own below the one that collects the changes, so that they
//! never become part of a layer.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::owners::first_owner;
use crate::root::{Root, chown_at};

/// A place to mount on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stub {
    Directory,
    File,
}

/// Makes in `dir` what the image lacks of `places`; the answer is whether anything was missing.
pub(crate) fn make_stubs(root: &Root, dir: &Path, places: &[(&str, Stub)]) -> io::Result<bool> {
    fs::DirBuilder::new().mode(0o755).create(dir)?;
    copy_owner(root, Path::new(""), dir)?;
    let mut any = false;
    for (place, stub) in places {
        let found = root.find(Path::new(place))?;
        if found.stat.is_some() {
            continue;
        }
        any = true;
        let mut made = PathBuf::new();
        let parts: Vec<&OsStr> = found.path.iter().collect();
        for (at, part) in parts.iter().enumerate() {
            made.push(part);
            let path = dir.join(&made);
            let is_last = at + 1 == parts.len();
            if is_last && *stub == Stub::File {
                fs::write(&path, "")?;
                chown_at(rustix::fs::CWD, path.as_os_str(), first_owner(), first_owner())?;
            } else if !path.is_dir() {
                fs::DirBuilder::new().mode(0o755).create(&path)?;
                copy_owner(root, &made, &path)?;
            }
        }
    }
    Ok(any)
}

/// A directory that the image has keeps its owner and permissions: the upper one of two counts.
pub(super) fn copy_owner(root: &Root, of: &Path, to: &Path) -> io::Result<()> {
    let (uid, gid, mode) = match root.stat(of)? {
        Some(stat) => (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777),
        None => (first_owner(), first_owner(), 0o755),
    };
    chown_at(rustix::fs::CWD, to.as_os_str(), uid, gid)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
}
