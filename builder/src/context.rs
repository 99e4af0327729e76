//! The files beside the context that a build reads.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use workflows::dockerfile::ignore::MAX_IGNORE_BYTES;

use crate::error::{BuildError, Doing};
use crate::layer::{MAX_LAYER_BYTES, unpack_archive};

/// Largest archive that is taken as a context, in bytes, compressed as it comes.
const MAX_CONTEXT_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// Where the ignore file of a Dockerfile may be: `<Dockerfile>.dockerignore` beside it, when it is
/// a file, else `.dockerignore` in the context.
pub fn ignore_files(context: &Path, dockerfile: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let own = dockerfile.map(|dockerfile| {
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        PathBuf::from(own)
    });
    own.into_iter().chain([context.join(".dockerignore")])
}

/// The text of the ignore file that belongs to a Dockerfile, the first of [`ignore_files`] that is
/// there; nothing where none is.
///
/// # Errors
/// [`BuildError::Io`] when it is there and cannot be read.
pub fn read_ignore(context: &Path, dockerfile: Option<&Path>) -> Result<String, BuildError> {
    for path in ignore_files(context, dockerfile) {
        let what = || format!("cannot read {}", path.display());
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.doing(what)?,
        };
        let mut text = String::new();
        // One byte more than is allowed, so that the reader of patterns sees that it is too long.
        file.take(MAX_IGNORE_BYTES as u64 + 1).read_to_string(&mut text).doing(what)?;
        return Ok(text);
    }
    Ok(String::new())
}

/// Unpacks a tar archive, compressed in a way that ADD knows or not, as the context `to`, which
/// must not be there yet. No name in it leads out of `to`; devices are left out.
///
/// # Errors
/// [`BuildError::Io`] when it is no archive, is larger than 16 GiB, names what lies outside, or
/// cannot be written.
pub fn unpack_context(archive: impl Read, to: &Path) -> Result<(), BuildError> {
    let what = || "cannot unpack the context".to_owned();
    let mut held = tempfile::tempfile().doing(what)?;
    let mut bounded = archive.take(MAX_CONTEXT_BYTES + 1);
    if std::io::copy(&mut bounded, &mut held).doing(what)? > MAX_CONTEXT_BYTES {
        return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge)).doing(what);
    }
    held.rewind().doing(what)?;
    std::fs::create_dir(to).doing(what)?;
    unpack_archive(held, to, MAX_LAYER_BYTES).map(drop).doing(what)
}
