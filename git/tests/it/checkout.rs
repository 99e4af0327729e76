use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use strata_git::{CheckoutBounds, GitError, checkout};
use tempfile::TempDir;

use crate::origin::{Origin, soon};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn check_out(origin: &Origin, commit: &str, into: &Path) -> Result<(), GitError> {
    checkout(&origin.remote(), commit, None, into, CheckoutBounds::default(), &soon()).map(drop)
}

#[test]
fn exactly_the_commit_is_written() {
    let origin = Origin::new();
    let file = origin.blob(b"crlf\r\n$Id$\n");
    let script = origin.blob(b"#!/bin/sh\n");
    let attributes = origin.blob(b"* text eol=lf ident filter=evil\n");
    let link = origin.blob(b"/etc/passwd");
    let inner = origin.raw_tree(&[("100664", "file", &file)]);
    let tree = origin.raw_tree(&[
        ("100644", ".gitattributes", &attributes),
        ("120000", "link", &link),
        ("100755", "run", &script),
        ("40000", "sub", &inner),
        ("160000", "vendored", &"1".repeat(40)),
    ]);
    let commit = origin.commit_of(&tree, "All kinds");
    let scratch = TempDir::new().unwrap();
    let into = scratch.path().join("source");

    let done = checkout(&origin.remote(), &commit, None, &into, CheckoutBounds::default(), &soon())
        .unwrap();

    assert_eq!((done.entries, done.bytes), (6, 32 + 10 + 11));
    assert_eq!(fs::read(into.join("sub/file")).unwrap(), b"crlf\r\n$Id$\n");
    assert_eq!(mode(&into.join("sub/file")), 0o644);
    assert_eq!(mode(&into.join("run")), 0o755);
    assert_eq!(fs::read_link(into.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(fs::read_dir(into.join("vendored")).unwrap().count(), 0);
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the temporary mirror stayed: {left:?}");
}

#[test]
fn hostile_trees_write_nothing_outside() {
    let origin = Origin::new();
    let file = origin.blob(b"owned");
    let outside = TempDir::new().unwrap();
    let target = outside.path().display().to_string();
    let link = origin.blob(target.as_bytes());
    let payload = origin.raw_tree(&[("100644", "owned", &file)]);
    let trees = [
        ("parent", origin.raw_tree(&[("100644", "..", &file)])),
        ("itself", origin.raw_tree(&[("40000", ".", &payload)])),
        ("slash", origin.raw_tree(&[("100644", "../owned", &file)])),
        ("absolute", origin.raw_tree(&[("100644", "/tmp/owned", &file)])),
        ("git", origin.raw_tree(&[("40000", ".git", &payload)])),
        ("git in capitals", origin.raw_tree(&[("40000", ".GIT", &payload)])),
        ("git for NTFS", origin.raw_tree(&[("40000", "git~1", &payload)])),
        ("git for HFS", origin.raw_tree(&[("40000", ".g\u{200c}it", &payload)])),
        (
            "link, then directory",
            origin.raw_tree(&[("120000", "x", &link), ("40000", "x", &payload)]),
        ),
        ("link, then file", origin.raw_tree(&[("120000", "x", &link), ("100644", "x", &file)])),
    ];
    for (what, tree) in trees {
        let commit = origin.commit_of(&tree, what);
        let scratch = TempDir::new().unwrap();
        let error = check_out(&origin, &commit, &scratch.path().join("source")).expect_err(what);
        assert!(matches!(error, GitError::Invalid(_)), "{what}: {error}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{what}");
        assert!(!scratch.path().join("owned").exists(), "{what}");
    }
}

#[test]
fn bounds_hold() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[("a", "12345"), ("b", "12345"), ("c/d", "12345")]);
    let check_out = |max_entries, max_bytes| {
        let scratch = TempDir::new().unwrap();
        let into = scratch.path().join("source");
        let bounds = CheckoutBounds { max_entries, max_bytes };
        checkout(&origin.remote(), &commit, Some("refs/heads/rawhide"), &into, bounds, &soon())
    };
    assert!(check_out(4, 15).is_ok());
    assert!(matches!(check_out(3, 15), Err(GitError::TooLarge(_))));
    assert!(matches!(check_out(4, 14), Err(GitError::TooLarge(_))));
}

#[test]
fn endless_depth_is_refused() {
    let origin = Origin::new();
    let file = origin.blob(b"");
    let mut tree = origin.raw_tree(&[("100644", "leaf", &file)]);
    for _ in 0..70 {
        tree = origin.raw_tree(&[("40000", "d", &tree)]);
    }
    let commit = origin.commit_of(&tree, "Deep");
    let scratch = TempDir::new().unwrap();
    let error = check_out(&origin, &commit, &scratch.path().join("source")).unwrap_err();
    assert!(matches!(error, GitError::TooLarge(_)), "{error}");
}

#[test]
fn a_directory_with_something_in_it_is_refused() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[("a", "")]);
    let scratch = TempDir::new().unwrap();
    let into = scratch.path().join("source");
    fs::create_dir(&into).unwrap();
    fs::write(into.join("mine"), "").unwrap();
    assert!(matches!(check_out(&origin, &commit, &into), Err(GitError::Invalid(_))));
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
}
