//! Files that commands find and no layer holds, such as package repositories of a release.
//!
//! They stand in the directory of stubs, below the one that collects the changes. A command may
//! change or remove them; what it did is taken out of the changes before these become a layer.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, OFlags};

use super::stubs::copy_owner;
use crate::build::TextFile;
use crate::owners::first_owner;
use crate::root::{Root, chown_at};

/// Where the files of one command stand, links on their way followed.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    files: BTreeSet<PathBuf>,
    /// Directories that the image has not; made for the files.
    directories: BTreeSet<PathBuf>,
}

/// Puts the files into the directory of stubs; `root` is the image. A file in the way of a
/// directory is the error.
pub(crate) fn place(root: &Root, stubs: &Path, files: &[TextFile]) -> io::Result<Placed> {
    let mut placed = Placed::default();
    for file in files {
        let found = root.find(Path::new(file.path.trim_start_matches('/')))?;
        let parent = found.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut made = PathBuf::new();
        for part in &parent {
            made.push(part);
            let at = stubs.join(&made);
            let in_image = root.stat(&made)?;
            if in_image.is_none() {
                placed.directories.insert(made.clone());
            }
            if !at.is_dir() {
                fs::DirBuilder::new().mode(0o755).create(&at)?;
                copy_owner(root, &made, &at)?;
            }
        }
        let at = stubs.join(&found.path);
        fs::write(&at, &file.content)?;
        chown_at(rustix::fs::CWD, at.as_os_str(), first_owner(), first_owner())?;
        placed.files.insert(found.path);
    }
    Ok(placed)
}

impl Placed {
    /// Takes what a command did to the files out of its changes: what nobody below has seen need
    /// not be taken away, and directories that hold nothing else were never made.
    pub(crate) fn take_out(&self, upper: &Root) -> io::Result<()> {
        for file in &self.files {
            // A directory that a command put in the place of the file is the command's own.
            match upper.kind_without_links(file)? {
                None | Some(FileType::Directory) => {}
                Some(_) => unlink(upper, file, AtFlags::empty())?,
            }
        }
        // The innermost comes first.
        for directory in self.directories.iter().rev() {
            match upper.kind_without_links(directory)? {
                Some(FileType::Directory) => match unlink(upper, directory, AtFlags::REMOVEDIR) {
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                    removed => removed?,
                },
                // The mark of its removal.
                Some(FileType::CharacterDevice) => unlink(upper, directory, AtFlags::empty())?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Removes what [`Root::kind_without_links`] found.
fn unlink(root: &Root, path: &Path, flags: AtFlags) -> io::Result<()> {
    let above = path.parent().unwrap_or(Path::new(""));
    let dir = root.open_at(above, OFlags::PATH | OFlags::NOFOLLOW)?;
    Ok(rustix::fs::unlinkat(dir, path.file_name().unwrap_or_default(), flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> TextFile {
        TextFile { path: path.to_owned(), content: "ours".to_owned() }
    }

    #[test]
    fn changes_to_the_files_are_no_changes_of_the_image() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (image, stubs, upper) =
            (dir.path().join("image"), dir.path().join("stubs"), dir.path().join("upper"));
        for path in [image.join("real/yum"), stubs.clone(), upper.join("etc/apt/own.d")] {
            fs::create_dir_all(path).unwrap();
        }
        std::os::unix::fs::symlink("real", image.join("link")).unwrap();
        let root = Root::open(&image).unwrap();
        let files = [file("/link/yum/a"), file("/etc/apt/b"), file("/etc/pki/c")];

        let placed = place(&root, &stubs, &files).unwrap();

        assert_eq!(fs::read_to_string(stubs.join("real/yum/a")).unwrap(), "ours");
        assert!(stubs.join("etc/pki/c").is_file());
        fs::create_dir_all(upper.join("real/yum")).unwrap();
        fs::write(upper.join("real/yum/a"), "changed").unwrap();
        fs::write(upper.join("real/yum/own"), "own").unwrap();
        fs::create_dir_all(upper.join("etc/pki")).unwrap();
        fs::write(upper.join("etc/pki/c"), "changed").unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("b"), "of the machine").unwrap();
        let changes = Root::open(&upper).unwrap();
        placed.take_out(&changes).unwrap();
        assert!(!upper.join("real/yum/a").exists() && upper.join("real/yum/own").exists());
        assert!(!upper.join("etc/pki").exists(), "it was made for the file alone");
        assert!(upper.join("etc/apt/own.d").is_dir(), "a directory with something in it stays");

        fs::remove_dir_all(upper.join("etc/apt")).unwrap();
        std::os::unix::fs::symlink(&outside, upper.join("etc/apt")).unwrap();
        placed.take_out(&changes).unwrap();
        assert!(outside.join("b").exists(), "no link is followed");
    }
}
