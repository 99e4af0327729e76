//! Files that tell programs of the image. Whether they can be written is known before the build,
//! and not when the image is in its registry already.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file that will be written when all went well. One that was not there before is taken away
/// when it was not written.
#[derive(Debug)]
pub(super) struct ResultFile {
    path: PathBuf,
    /// `None` for a pipe or device, which is opened when there is something to say.
    file: Option<File>,
    is_new: bool,
}

impl ResultFile {
    /// Opens it, and changes nothing of what it holds.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        Self::try_open(path).map_err(|error| unwritable(path, &error))
    }

    fn try_open(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let kind = match fs::metadata(&path) {
            Ok(found) => Some(found.file_type()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let is_new = kind.is_none();
        if kind.is_some_and(|kind| !kind.is_file() && !kind.is_dir()) {
            return Ok(Self { path, file: None, is_new });
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        Ok(Self { path, file: Some(file), is_new })
    }

    /// Replaces what it holds.
    pub(super) fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = match &mut self.file {
            None => fs::write(&self.path, text),
            Some(file) => file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(text.as_bytes())),
        };
        self.is_new = false;
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        if self.is_new {
            // An empty file more is no reason for another error.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_known_before_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ResultFile::open(dir.path()).is_err(), "a directory");
        assert!(ResultFile::open(&dir.path().join("absent/id")).is_err());
        let path = dir.path().join("id");
        drop(ResultFile::open(&path).unwrap());
        assert!(!path.exists(), "a build that fails leaves no file");
        fs::write(&path, "an old one that is longer").unwrap();
        drop(ResultFile::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "an old one that is longer");
        ResultFile::open(&path).unwrap().write("new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        ResultFile::open(Path::new("/dev/null")).unwrap().write("x").unwrap();
    }
}
