//! Copies a kept file into a checkout, and checks it on the way.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use workflows::lookaside::{Checksum, Source};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// As git writes a file that is not executable.
const MODE: u32 = 0o644;

/// Why a file was not put into the checkout.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// The repository or an earlier step has a file of that name.
    #[error("the repository has a file of that name; remove it or its entry")]
    Exists,
    /// It was kept for a release that allows more.
    #[error("{bytes} bytes are more than the {max_bytes} that are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// The kept file is not what it was.
    #[error("this runner's copy is spoilt")]
    Spoilt,
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Copies; what stands at `to` is never replaced, and what is wrong does not stay there.
///
/// A copy and not a link, because what runs in the checkout may write to it.
pub(super) fn place(
    from: File,
    source: &Source,
    to: &Path,
    max_bytes: u64,
) -> Result<u64, PlaceError> {
    let bytes = from.metadata()?.len();
    if bytes > max_bytes {
        return Err(PlaceError::TooLarge { bytes, max_bytes });
    }
    // This follows no link, not even one that leads nowhere.
    let created = File::options().write(true).create_new(true).mode(MODE).open(to);
    let created = created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => PlaceError::Exists,
        _ => PlaceError::Io(error),
    })?;
    let copied = copy(from, source, created);
    if copied.is_err() {
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn copy(mut from: File, source: &Source, mut to: File) -> Result<u64, PlaceError> {
    let Some(mut checksum) = Checksum::new(source.hash_type) else {
        return Err(PlaceError::Spoilt);
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        checksum.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        bytes += read as u64;
    }
    if checksum.is_of(source) { Ok(bytes) } else { Err(PlaceError::Spoilt) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use workflows::lookaside::HashType;

    use super::*;

    #[test]
    fn nothing_is_overwritten_and_nothing_wrong_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, to) = (dir.path().join("kept"), dir.path().join("to"));
        std::fs::write(&kept, "abc").unwrap();
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let source = Source::new("to", HashType::Sha256, sha).unwrap();
        let place_it = |max_bytes| place(File::open(&kept).unwrap(), &source, &to, max_bytes);

        assert!(matches!(place_it(2), Err(PlaceError::TooLarge { bytes: 3, max_bytes: 2 })));
        assert_eq!(place_it(3).unwrap(), 3);
        assert_eq!(std::fs::read(&to).unwrap(), b"abc");
        assert!(matches!(place_it(3), Err(PlaceError::Exists)));

        std::fs::remove_file(&to).unwrap();
        symlink(dir.path().join("elsewhere"), &to).unwrap();
        assert!(matches!(place_it(3), Err(PlaceError::Exists)));
        assert!(!dir.path().join("elsewhere").exists());

        std::fs::remove_file(&to).unwrap();
        std::fs::write(&kept, "abd").unwrap();
        assert!(matches!(place_it(3), Err(PlaceError::Spoilt)));
        assert!(!to.exists());
    }
}
