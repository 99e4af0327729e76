//! Which files ADD unpacks.

use std::io::{self, Read as _, Seek as _};
use std::ops::Range;
use std::path::Path;

use super::context::Found;
use crate::below::open_plain;

/// Where a tar header has its name, and how much must be read to see it.
const TAR_MAGIC: Range<usize> = 257..262;

/// Whether ADD unpacks the file: told by its first bytes, as the engine does it. It reads.
pub(super) fn is_archive(found: &Found) -> bool {
    !found.is_directory && archive_head(&found.path).unwrap_or(false)
}

fn archive_head(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    let mut file = open_plain(path)?;
    (&mut file).take(TAR_MAGIC.end as u64).read_to_end(&mut head)?;
    let is_tar = |head: &[u8]| head.get(TAR_MAGIC) == Some(b"ustar");
    if head.starts_with(&[0x1f, 0x8b]) {
        // A file that is compressed and no archive is copied as it is.
        let mut inner = Vec::new();
        file.rewind()?;
        let unpacked = flate2::read::GzDecoder::new(file);
        unpacked.take(TAR_MAGIC.end as u64).read_to_end(&mut inner)?;
        return Ok(is_tar(&inner));
    }
    // Of these only the name tells what is inside.
    let named = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let compressed = head.starts_with(b"BZh") || head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z']);
    let is_named_tar = [".tar.", ".tbz", ".txz"].iter().any(|end| named.contains(end));
    Ok(is_tar(&head) || (compressed && is_named_tar))
}

#[cfg(test)]
mod tests {
    use super::super::tarball::{Stamp, Tarball};
    use super::*;
    use crate::below::tests::pipe;

    #[test]
    fn archives_are_told_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = Stamp { uid: 0, gid: 0, mode: None, mtime: 0 };
        let mut tarball = Tarball::new(Vec::new(), stamp);
        tarball.file("x", 0o644, 1, &b"x"[..]).unwrap();
        let tar = tarball.finish().unwrap();
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut encoder, bytes).unwrap();
            encoder.finish().unwrap()
        };
        for (content, expected) in [
            (tar.clone(), true),
            (gzip(&tar), true),
            (gzip(b"just text"), false),
            (b"text".to_vec(), false),
            (Vec::new(), false),
        ] {
            let path = dir.path().join("f");
            std::fs::write(&path, content).unwrap();
            assert_eq!(archive_head(&path).unwrap(), expected);
        }
        let path = dir.path().join("pipe");
        pipe(&path);
        assert!(!is_archive(&Found { relative: String::new(), path, is_directory: false }));
    }
}
