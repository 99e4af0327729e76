//! The files beside the context that a build reads.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use workflows::dockerfile::ignore::MAX_IGNORE_BYTES;

use crate::error::{BuildError, Doing};

/// The text of the ignore file that belongs to a Dockerfile: `<Dockerfile>.dockerignore` beside
/// it, else `.dockerignore` in the context, else none.
///
/// # Errors
/// [`BuildError::Io`] when it is there and cannot be read.
pub fn read_ignore(context: &Path, dockerfile: &Path) -> Result<String, BuildError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
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
