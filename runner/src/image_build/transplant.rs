//! Moves the entries of one archive into another.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::pipe::{PipeReader, PipeWriter};
use super::tarball::{Stamp, Tarball};

/// Extended attributes as archives hold them: file capabilities are among them.
const ATTRIBUTE_PREFIX: &str = "SCHILY.xattr.";

/// How entries of the other container's archive become entries of ours.
#[derive(Debug, Clone)]
pub(super) struct Move {
    /// Where the source's top goes: the contents of a directory below it, a file to it.
    pub(super) to: String,
    /// Whether the source is a directory.
    pub(super) is_directory: bool,
    /// Owner, mode and time.
    pub(super) stamp: Stamp,
    /// Whether `--chown` was given; otherwise owners stay.
    pub(super) owned: bool,
}

/// Copies an archive, every path and link moved from the source's top to the destination.
pub(super) fn transplant(
    reader: PipeReader,
    tarball: &mut Tarball<PipeWriter>,
    how: &Move,
) -> io::Result<()> {
    for entry in tar::Archive::new(reader).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let Some(to) = how.path(&path) else { continue };
        let kind = entry.header().entry_type();
        let link = match kind {
            EntryType::Link => {
                let target = entry.link_name()?.unwrap_or_default().to_string_lossy().into_owned();
                how.path(&target).map(|path| path.trim_start_matches('/').to_owned())
            }
            EntryType::Symlink => {
                Some(entry.link_name()?.unwrap_or_default().to_string_lossy().into_owned())
            }
            EntryType::Regular | EntryType::Directory | EntryType::Fifo => None,
            _ => {
                let message = format!("{path} is a device or of an unknown kind");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        };
        let header = how.header(entry.header(), entry.size())?;
        tarball.attributes(&attributes(&mut entry)?)?;
        tarball.transplant(header, &to, link.as_deref(), &mut entry)?;
    }
    Ok(())
}

fn attributes(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(Vec::new()) };
    let mut attributes = Vec::new();
    for extension in extensions {
        let extension = extension?;
        if let Ok(key) = extension.key()
            && key.starts_with(ATTRIBUTE_PREFIX)
        {
            attributes.push((key.to_owned(), extension.value_bytes().to_vec()));
        }
    }
    Ok(attributes)
}

impl Move {
    /// Where an entry goes; `None` for the top of a directory, which is there already.
    fn path(&self, path: &str) -> Option<String> {
        match (below_top(path), self.is_directory) {
            (Some(rest), true) => Some(format!("{}/{rest}", self.to)),
            (None, false) => Some(self.to.clone()),
            (None, true) | (Some(_), false) => None,
        }
    }

    fn header(&self, old: &Header, size: u64) -> io::Result<Header> {
        let mut header = Header::new_gnu();
        header.set_entry_type(old.entry_type());
        header.set_mode(self.stamp.mode.map_or_else(|| old.mode(), Ok)?);
        let (uid, gid) =
            if self.owned { (self.stamp.uid, self.stamp.gid) } else { (old.uid()?, old.gid()?) };
        header.set_uid(uid);
        header.set_gid(gid);
        // Nothing in the image is younger than its sources.
        header.set_mtime(old.mtime()?.min(self.stamp.mtime));
        header.set_size(size);
        Ok(header)
    }
}

/// The path below an archive's top directory; `None` for the top itself.
pub(super) fn below_top(path: &str) -> Option<&str> {
    let path = path.trim_start_matches('/').trim_end_matches('/');
    path.split_once('/').map(|(_, rest)| rest).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { uid: 5, gid: 6, mode: None, mtime: 100 };

    fn how(is_directory: bool, owned: bool) -> Move {
        Move { to: "/to".to_owned(), is_directory, stamp: STAMP, owned }
    }

    #[test]
    fn paths_move_from_the_sources_top() {
        assert_eq!(how(true, false).path("src/"), None);
        assert_eq!(how(true, false).path("src/a/b").as_deref(), Some("/to/a/b"));
        assert_eq!(how(false, false).path("file").as_deref(), Some("/to"));
    }

    #[test]
    fn owners_stay_unless_given_and_times_are_bounded() {
        let mut old = Header::new_gnu();
        old.set_mode(0o640);
        old.set_uid(1);
        old.set_gid(2);
        old.set_mtime(500);
        let kept = how(true, false).header(&old, 0).unwrap();
        assert_eq!((kept.uid().unwrap(), kept.gid().unwrap()), (1, 2));
        assert_eq!((kept.mode().unwrap(), kept.mtime().unwrap()), (0o640, 100));
        let given = how(true, true).header(&old, 0).unwrap();
        assert_eq!((given.uid().unwrap(), given.gid().unwrap()), (5, 6));
    }
}
