//! Small text files at the root of a checkout.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::stop::Stop;

/// Reads one; `None` when there is none. An earlier step may have put anything in its place, so
/// no link is followed and nothing that could block is opened. Of a file that is longer than
/// `max_bytes` one byte more is read, so that its parser says that it is too much.
pub(crate) fn read(checkout: &Path, name: &str, max_bytes: usize) -> Result<Option<String>, Stop> {
    let refuse = |why: String| Err(Stop::failure(format!("cannot read `{name}`: {why}")));
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(checkout.join(name));
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return refuse(error.to_string()),
    };
    text_of(file, name, max_bytes).map(Some)
}

/// The same for a file anywhere below a directory; a link may lead to another place below it.
pub(crate) fn read_below(
    root: &Path,
    path: &str,
    max_bytes: usize,
) -> Result<Option<String>, Stop> {
    let refuse = |error: Errno| {
        Err(Stop::failure(format!("cannot read `{path}`: {}", io::Error::from(error))))
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).map_err(|error| {
        Stop::sandbox(format!("{}: {}", root.display(), io::Error::from(error)))
    })?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&root, path, flags, Mode::empty(), within) {
        Ok(file) => text_of(File::from(file), path, max_bytes).map(Some),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::XDEV) => {
            Err(Stop::failure(format!("cannot read `{path}`: a link leads out of the directory")))
        }
        Err(error) => refuse(error),
    }
}

fn text_of(file: File, name: &str, max_bytes: usize) -> Result<String, Stop> {
    let refuse = |why: String| Err(Stop::failure(format!("cannot read `{name}`: {why}")));
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return refuse("it is no file".to_owned());
    }
    let mut text = String::new();
    match file.take(max_bytes as u64 + 1).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => refuse(error.to_string()),
    }
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
