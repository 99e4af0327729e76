//! The files by which a step tells the next ones something: `$GITHUB_ENV` and its like.
//!
//! They lie in a directory that the job's container writes to, so that whatever is found there is
//! a stranger's: each is made under a name that nobody could guess, and read without following a
//! link, without waiting for a pipe and to a bound.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use workflows::file_commands::MAX_FILE_BYTES;

use crate::stop::Stop;

/// Where containers see the directory.
pub(crate) const DIRECTORY: &str = "/strata-files";
/// Whoever the container's user is, it may write.
const WRITABLE: u32 = 0o666;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Variables of later steps.
    Env,
    /// Outputs of the step.
    Output,
    /// Places of programs for later steps.
    Path,
    /// What the step tells its own end.
    State,
    /// Markdown for people.
    Summary,
}

impl FileKind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Env, Self::Output, Self::Path, Self::State, Self::Summary];

    /// The variable that names the file, without `GITHUB_` or `FORGEJO_`.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Env => "ENV",
            Self::Output => "OUTPUT",
            Self::Path => "PATH",
            Self::State => "STATE",
            Self::Summary => "STEP_SUMMARY",
        }
    }
}

/// The directory of the files, held open, so that nothing that is put in its place is met.
pub(crate) struct FilesDirectory {
    directory: OwnedFd,
}

impl FilesDirectory {
    /// Opens a directory that was just made.
    pub(crate) fn open(path: &Path) -> Result<Self, Stop> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| {
            Stop::sandbox(format!("cannot open {}: {}", path.display(), io::Error::from(error)))
        })?;
        Ok(Self { directory })
    }

    /// Makes the files of one step, empty.
    pub(crate) fn files(&self) -> Result<CommandFiles<'_>, Stop> {
        let files = CommandFiles { directory: self, key: uuid::Uuid::new_v4().to_string() };
        for kind in FileKind::ALL {
            let name = files.name(kind);
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(&self.directory, &*name, flags, Mode::from(WRITABLE))
                // The process's umask may have taken something away.
                .and_then(|file| rustix::fs::fchmod(&file, Mode::from(WRITABLE)));
            made.map_err(|error| {
                Stop::sandbox(format!("cannot make {name}: {}", io::Error::from(error)))
            })?;
        }
        Ok(files)
    }
}

/// The files of one step.
pub(crate) struct CommandFiles<'a> {
    directory: &'a FilesDirectory,
    key: String,
}

impl CommandFiles<'_> {
    /// Where the step finds one of them.
    pub(crate) fn place(&self, kind: FileKind) -> String {
        format!("{DIRECTORY}/{}", self.name(kind))
    }

    /// Where the step's first process leaves its number.
    pub(crate) fn process_file(&self) -> String {
        format!("{DIRECTORY}/{}-process", self.key)
    }

    /// What the step wrote. The error says what is wrong with it, in words for the packager.
    pub(crate) fn read(&self, kind: FileKind) -> Result<String, String> {
        let name = self.name(kind);
        let refuse = |why: String| Err(format!("the file of GITHUB_{}: {why}", kind.variable()));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.directory.directory, &*name, flags, Mode::empty());
        let file = match opened {
            Ok(file) => std::fs::File::from(file),
            // A step may remove what it does not need.
            Err(rustix::io::Errno::NOENT) => return Ok(String::new()),
            Err(rustix::io::Errno::LOOP) => return refuse("it was replaced by a link".to_owned()),
            Err(error) => return refuse(io::Error::from(error).to_string()),
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return refuse("it was replaced by something that is no file".to_owned());
        }
        let mut bytes = Vec::new();
        if let Err(error) = file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes) {
            return refuse(error.to_string());
        }
        if bytes.len() > MAX_FILE_BYTES {
            return refuse(format!("it has more than {MAX_FILE_BYTES} bytes"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => refuse("it is not UTF-8".to_owned()),
        }
    }

    fn name(&self, kind: FileKind) -> String {
        format!("{}-{}", self.key, kind.variable().to_ascii_lowercase())
    }
}

impl Drop for CommandFiles<'_> {
    fn drop(&mut self) {
        let names = FileKind::ALL.map(|kind| self.name(kind));
        for name in names.iter().chain([&format!("{}-process", self.key)]) {
            // Something else in its place stays until the whole workspace goes.
            let _ = rustix::fs::unlinkat(&self.directory.directory, &**name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// Where the file of one kind is on this side.
    fn on_host(dir: &Path, files: &CommandFiles<'_>, kind: FileKind) -> PathBuf {
        dir.join(files.name(kind))
    }

    #[test]
    fn what_a_step_wrote_is_read_once_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let directory = FilesDirectory::open(dir.path()).unwrap();
        let files = directory.files().unwrap();
        assert_eq!(files.read(FileKind::Env), Ok(String::new()));
        fs::write(on_host(dir.path(), &files, FileKind::Output), "a=b\n").unwrap();
        assert_eq!(files.read(FileKind::Output), Ok("a=b\n".to_owned()));
        fs::remove_file(on_host(dir.path(), &files, FileKind::Path)).unwrap();
        assert_eq!(files.read(FileKind::Path), Ok(String::new()));
        drop(files);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_that_was_put_in_its_place_is_followed_or_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let directory = FilesDirectory::open(dir.path()).unwrap();
        let files = directory.files().unwrap();
        let place = |kind| {
            let path = on_host(dir.path(), &files, kind);
            fs::remove_file(&path).unwrap();
            path
        };
        symlink("/etc/passwd", place(FileKind::Env)).unwrap();
        let why = files.read(FileKind::Env).unwrap_err();
        assert_eq!(why, "the file of GITHUB_ENV: it was replaced by a link");
        let pipe = place(FileKind::Output);
        let (kind, mode) = (rustix::fs::FileType::Fifo, Mode::from(WRITABLE));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        assert!(files.read(FileKind::Output).unwrap_err().contains("no file"));
        fs::create_dir(place(FileKind::Path)).unwrap();
        assert!(files.read(FileKind::Path).unwrap_err().contains("no file"));
        fs::write(place(FileKind::State), vec![b'x'; MAX_FILE_BYTES + 1]).unwrap();
        assert!(files.read(FileKind::State).unwrap_err().contains("more than 1048576 bytes"));
        fs::write(place(FileKind::Summary), [0xff]).unwrap();
        assert!(files.read(FileKind::Summary).unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn a_directory_that_is_moved_away_is_still_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, elsewhere) = (dir.path().join("files"), dir.path().join("elsewhere"));
        fs::create_dir(&inside).unwrap();
        let directory = FilesDirectory::open(&inside).unwrap();
        fs::rename(&inside, &elsewhere).unwrap();
        symlink("/etc", &inside).unwrap();
        let files = directory.files().unwrap();
        fs::write(on_host(&elsewhere, &files, FileKind::Env), "A=b").unwrap();
        assert_eq!(files.read(FileKind::Env), Ok("A=b".to_owned()));
    }
}
