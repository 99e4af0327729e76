//! Takes the databases of packages out of layers as they stream by.

use std::io::{self, Read};
use std::path::PathBuf;

use workflows::packages::{Database, DatabaseError, LayerChanges, normal};

use crate::stop::Stop;

/// Largest file of a database that is read, in bytes; that of a whole distribution, with tens of
/// thousands of packages, has some 200 MiB.
const MAX_DATABASE_BYTES: u64 = 256 << 20;
/// Most bytes of such files in all layers of an image together: each layer that installs
/// something has the whole database again.
const MAX_TOTAL_BYTES: u64 = 2 << 30;

/// Why the layers of an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The stream or our disk.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something in the image, in words.
    #[error("{0}")]
    Image(String),
}

impl Unreadable {
    /// Whose fault it is that an image cannot be read.
    pub(super) fn stop(self, image: &str) -> Stop {
        match self {
            Self::Io(error) => Stop::sandbox(format!("cannot read the layers of {image}: {error}")),
            Self::Image(why) => Stop::failure(why),
        }
    }
}

impl From<DatabaseError> for Unreadable {
    fn from(error: DatabaseError) -> Self {
        Self::Image(error.to_string())
    }
}

/// A database that is a link or no file at all. Whoever followed it would read something else, and
/// whoever stepped over it would find no packages in an image that is full of them.
pub(super) fn unread(path: &str) -> Unreadable {
    Unreadable::Image(format!("{path} is a link or no file at all: its packages cannot be read"))
}

/// Where the files go. All layers of an image have one.
pub(super) struct Collector {
    directory: PathBuf,
    files: u32,
    left_bytes: u64,
}

impl Collector {
    /// Files will be put into a directory that is there and empty.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, files: 0, left_bytes: MAX_TOTAL_BYTES }
    }

    /// Reads a layer's archive.
    pub(super) fn layer(&mut self, layer: impl Read) -> Result<LayerChanges<PathBuf>, Unreadable> {
        let mut changes = LayerChanges::default();
        for entry in tar::Archive::new(layer).entries()? {
            let mut entry = entry?;
            let kind = entry.header().entry_type();
            let Some(path) = normal(&String::from_utf8_lossy(&entry.path_bytes())) else {
                continue;
            };
            changes.note(&path, kind.is_dir())?;
            if Database::at(&path).is_none() {
                continue;
            }
            if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let file = self.keep(&path, &mut entry)?;
                changes.put(&path, file);
            } else if kind.is_hard_link() {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = normal(&String::from_utf8_lossy(&target)).unwrap_or_default();
                let linked = changes.file(&target).cloned();
                let file = linked.ok_or_else(|| {
                    Unreadable::Image(format!("{path} is a link to {target}, which is not read"))
                })?;
                changes.put(&path, file);
            } else if !kind.is_dir() {
                return Err(unread(&path));
            }
        }
        Ok(changes)
    }

    /// Keeps the content of one file of a database.
    pub(super) fn keep(
        &mut self,
        path: &str,
        content: &mut impl Read,
    ) -> Result<PathBuf, Unreadable> {
        self.files += 1;
        let kept = self.directory.join(self.files.to_string());
        let limit = MAX_DATABASE_BYTES.min(self.left_bytes);
        let mut file = std::fs::File::create_new(&kept)?;
        // One byte more, so that too much is told from just enough.
        let bytes = io::copy(&mut content.take(limit + 1), &mut file)?;
        if bytes > limit {
            let why = format!(
                "{path} has more than {MAX_DATABASE_BYTES} bytes, or all its versions in the \
                 layers more than {MAX_TOTAL_BYTES}"
            );
            return Err(Unreadable::Image(why));
        }
        self.left_bytes -= bytes;
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use workflows::packages::stacked;

    use super::*;

    fn archive(write: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        write(&mut archive);
        archive.into_inner().unwrap()
    }

    fn file(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }

    fn link(archive: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        archive.append_link(&mut header, path, target).unwrap();
    }

    const STATUS: &str = "var/lib/dpkg/status";
    const PART: &str = "var/lib/dpkg/status.d/x";

    #[test]
    fn the_last_version_of_a_file_is_what_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(dir.path().to_owned());
        let lower = archive(|to| {
            file(to, "etc/passwd", "root");
            file(to, STATUS, "old");
            file(to, PART, "gone");
        });
        let upper = archive(|to| {
            file(to, STATUS, "new");
            file(to, "var/lib/dpkg/status.d/.wh.x", "");
        });
        let layers = [lower, upper].map(|layer| collector.layer(&layer[..]).unwrap());
        let seen = stacked(layers);
        let read: Vec<_> = seen
            .iter()
            .map(|(path, kept)| (path.as_str(), std::fs::read_to_string(kept).unwrap()))
            .collect();
        assert_eq!(read, [(STATUS, "new".to_owned())]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "and nothing else is kept");
    }

    #[test]
    fn a_hard_link_is_followed_within_its_layer_and_a_symbolic_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(dir.path().to_owned());
        let linked = archive(|to| {
            file(to, STATUS, "1");
            link(to, tar::EntryType::Link, PART, STATUS);
        });
        let seen = stacked([collector.layer(&linked[..]).unwrap()]);
        assert_eq!(seen[STATUS], seen[PART]);
        let outside = archive(|to| link(to, tar::EntryType::Symlink, STATUS, "/etc/passwd"));
        let error = collector.layer(&outside[..]).unwrap_err();
        let Unreadable::Image(why) = error else { panic!("{error}") };
        assert!(why.starts_with("var/lib/dpkg/status is a link"), "{why}");
        let elsewhere = archive(|to| link(to, tar::EntryType::Link, STATUS, "etc/passwd"));
        let error = collector.layer(&elsewhere[..]).unwrap_err();
        assert!(matches!(error, Unreadable::Image(why) if why.contains("link to etc/passwd")));
    }

    #[test]
    fn a_database_beyond_the_bound_is_the_images_fault() {
        let dir = tempfile::tempdir().unwrap();
        let mut collector = Collector { left_bytes: 3, ..Collector::new(dir.path().to_owned()) };
        assert!(collector.layer(&archive(|to| file(to, STATUS, "abc"))[..]).is_ok());
        let error = collector.layer(&archive(|to| file(to, STATUS, "a"))[..]).unwrap_err();
        assert!(matches!(error, Unreadable::Image(why) if why.contains("more than")));
    }
}
