//! A mirror that lost its power while it was written: files are there, with zeros in them.

use std::fs::{self, Permissions};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use strata_git::{FileAt, GitError, Mirror};
use tempfile::TempDir;

use crate::origin::{Origin, mirror_path, soon};

/// Overwrites a part of a file of the only pack with zeros.
fn zero(mirror: &Path, extension: &str, part: Range<usize>) {
    let packs = fs::read_dir(mirror.join("repository.git/objects/pack")).unwrap();
    let mut paths = packs.map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|e| e == extension)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let end = part.end.min(bytes.len());
    bytes[part.start..end].fill(0);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, bytes).unwrap();
}

/// Text that no compression makes much smaller.
fn noise() -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + (state >> 33) as u8 % 90)
    };
    (0..200_000).map(|_| next()).collect()
}

/// A mirror whose file is damaged says so, once, and is whole again at the next opening.
#[track_caller]
fn check(extension: &str, part: Range<usize>) {
    let origin = Origin::new();
    let noise = noise();
    let commit = origin.push("rawhide", &[("Dockerfile", "FROM fedora\n"), ("noise", &noise)]);
    let scratch = TempDir::new().unwrap();
    let path = mirror_path(&scratch);
    let read = || -> Result<FileAt, GitError> {
        let mirror = Mirror::open(&path)?;
        mirror.fetch_commit(&origin.remote(), &commit, None, &soon())?;
        mirror.read_file(&commit, "noise", 1 << 20)
    };
    let whole = read().unwrap();

    zero(&path, extension, part.clone());
    let error = read().unwrap_err();
    assert!(matches!(error, GitError::Local(_)), "{part:?}: {error}");
    assert!(error.is_transient());
    assert_eq!(read().unwrap(), whole);
    assert!(!path.join("damaged").exists());
}

#[test]
fn a_mirror_with_a_damaged_pack_or_index_starts_anew() {
    check("pack", 0..usize::MAX);
    check("pack", 12..usize::MAX);
    // The file's own content alone.
    check("pack", 80_000..100_000);
    check("idx", 0..usize::MAX);
}

#[test]
fn a_mirror_whose_index_has_forgotten_its_commits_starts_anew() {
    // Behind 8 bytes of a head it tells how many ids begin with which byte, then the ids.
    const HEAD: usize = 8 + 256 * 4;
    const OBJECTS: usize = 4;
    check("idx", HEAD..HEAD + OBJECTS * 20);
}

#[test]
fn a_damaged_mirror_is_not_taken_away_from_the_one_who_uses_it() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[("Dockerfile", "FROM fedora\n")]);
    let scratch = TempDir::new().unwrap();
    let path = mirror_path(&scratch);
    let user = Mirror::open(&path).unwrap();
    user.fetch_commit(&origin.remote(), &commit, None, &soon()).unwrap();
    fs::write(path.join("damaged"), "").unwrap();
    drop(Mirror::open(&path).unwrap());
    assert!(user.has_commit(&commit, &soon()).unwrap());
    drop(user);
    let anew = Mirror::open(&path).unwrap();
    assert!(!anew.has_commit(&commit, &soon()).unwrap());
}
