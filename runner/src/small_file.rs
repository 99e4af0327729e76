//! Small files of a checkout, read whole.

use std::io::{self, Read as _};
use std::path::Path;

use crate::below::{Below, Links};
use crate::stop::Stop;

/// Reads one at the root of a checkout; `None` when there is none. An earlier step may have put
/// anything in its place, so no link is followed and nothing that could block is opened. Of a file
/// that is longer than `max_bytes` one byte more is read, so that its parser says that it is too
/// much.
pub(crate) fn read(checkout: &Path, name: &str, max_bytes: usize) -> Result<Option<String>, Stop> {
    bytes(checkout, name, max_bytes, Links::Never)?.map(|bytes| text(name, bytes)).transpose()
}

/// The same for a file anywhere below a directory; a link may lead to another place below it.
pub(crate) fn read_below(
    root: &Path,
    path: &str,
    max_bytes: usize,
) -> Result<Option<String>, Stop> {
    bytes(root, path, max_bytes, Links::Within)?.map(|bytes| text(path, bytes)).transpose()
}

/// As [`read_below`], for what need not be text, and has to be there.
pub(crate) fn bytes_below(root: &Path, path: &str, max_bytes: usize) -> Result<Vec<u8>, Stop> {
    bytes(root, path, max_bytes, Links::Within)?.ok_or_else(|| absent(path))
}

/// As [`read_below`], for what has to be there.
pub(crate) fn text_below(root: &Path, path: &str, max_bytes: usize) -> Result<String, Stop> {
    read_below(root, path, max_bytes)?.ok_or_else(|| absent(path))
}

fn bytes(root: &Path, path: &str, max_bytes: usize, links: Links) -> Result<Option<Vec<u8>>, Stop> {
    let below =
        Below::open(root).map_err(|error| Stop::sandbox(format!("{}: {error}", root.display())))?;
    let read = below.file(path, links).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn text(path: &str, bytes: Vec<u8>) -> Result<String, Stop> {
    String::from_utf8(bytes).map_err(|_| unreadable(path, &"it is no UTF-8"))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &str, why: &dyn std::fmt::Display) -> Stop {
    Stop::failure(format!("cannot read `{path}`: {why}"))
}

fn absent(path: &str) -> Stop {
    Stop::failure(format!("there is no `{path}`"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_is_a_file_of_bounded_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sources");
        let read = |max_bytes| read(dir.path(), "sources", max_bytes);
        assert_eq!(read(9), Ok(None));
        symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(read(9), Err(Stop::Failure(_))));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(read(9), Err(Stop::Failure(_))));
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, [b'x'; 20]).unwrap();
        assert_eq!(read(9).unwrap().unwrap().len(), 10);
    }

    #[test]
    fn a_link_may_not_lead_out_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::fs::write(dir.path().join("in/a"), "x").unwrap();
        std::fs::write(dir.path().join("out"), "x").unwrap();
        let root = dir.path().join("in");
        symlink("a", root.join("near")).unwrap();
        symlink("../out", root.join("far")).unwrap();
        let read = |path| read_below(&root, path, 9);
        assert_eq!(read("near").unwrap().as_deref(), Some("x"));
        assert_eq!((read("none"), read("a/b")), (Ok(None), Ok(None)));
        for bad in ["far", "../out", "/etc/passwd"] {
            assert!(matches!(read(bad), Err(Stop::Failure(_))), "{bad}");
        }
    }
}
