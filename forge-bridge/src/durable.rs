//! Names of new files that survive a loss of power, as their bytes do once they are flushed.

use std::fs::File;
use std::io;
use std::path::Path;

/// Flushes the directories of a file up to `root`: those in which its name stands and, where they
/// were made for it, theirs.
///
/// # Errors
/// When a directory cannot be opened, or the disk fails.
pub(crate) fn keep_name(path: &Path, root: &Path) -> io::Result<()> {
    directories(path, root).try_for_each(|directory| File::open(directory)?.sync_all())
}

fn directories<'p>(path: &'p Path, root: &'p Path) -> impl Iterator<Item = &'p Path> {
    path.ancestors().skip(1).take_while(move |directory| directory.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_between_a_file_and_its_root_is_flushed() {
        let (path, root) = (Path::new("/srv/depot/a/b/file"), Path::new("/srv/depot"));
        let found: Vec<&Path> = directories(path, root).collect();
        assert_eq!(found, ["/srv/depot/a/b", "/srv/depot/a", "/srv/depot"].map(Path::new));
        assert_eq!(directories(root, root).count(), 0);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("made/file");
        assert!(keep_name(&file, directory.path()).is_err(), "what is not there is not kept");
        std::fs::create_dir(directory.path().join("made")).unwrap();
        keep_name(&file, directory.path()).unwrap();
    }
}
