//! What a stranger can put into a few kilobytes of a pack.

use std::fmt::Write as _;

use strata_git::{GitError, Mirror};
use tempfile::TempDir;

use crate::origin::{Origin, mirror_path, soon};

/// Puts a branch on a tree and fetches it.
fn fetched(origin: &Origin, mirror: &Mirror, tree: &str) -> String {
    let commit = origin.commit_of(tree, "Change");
    pushed(origin, mirror, &commit).unwrap();
    commit
}

fn pushed(origin: &Origin, mirror: &Mirror, commit: &str) -> Result<(), GitError> {
    origin.git(&["update-ref", "refs/heads/rawhide", commit], b"");
    mirror.fetch_commit(&origin.remote(), commit, None, &soon())
}

/// A tree with a directory of this name that holds another tree.
fn around(origin: &Origin, name: &str, tree: &str) -> String {
    origin.raw_tree(&[("40000", name, tree)])
}

#[track_caller]
fn too_large<T: std::fmt::Debug>(outcome: Result<T, GitError>, why: &str) {
    match outcome.unwrap_err() {
        GitError::TooLarge(told) => assert!(told.contains(why), "{told}"),
        other => panic!("{other}"),
    }
}

#[test]
fn changed_paths_are_bounded_in_bytes_though_their_directories_are_shared() {
    let origin = Origin::new();
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let blob = origin.blob(b"x");
    let nothing = fetched(&origin, &mirror, &origin.raw_tree(&[]));
    let names: Vec<String> = (0..2_000).map(|n| format!("{n:0200}")).collect();
    let files: Vec<(&str, &str, &str)> =
        names.iter().map(|name| ("100644", name.as_str(), blob.as_str())).collect();
    let mut tree = origin.raw_tree(&files);
    let flat = fetched(&origin, &mirror, &tree);
    for _ in 0..15 {
        tree = around(&origin, &"d".repeat(200), &tree);
    }
    let deep = fetched(&origin, &mirror, &tree);
    for _ in 0..10 {
        tree = around(&origin, &"d".repeat(200), &tree);
    }
    let deepest = fetched(&origin, &mirror, &tree);

    let changed = |commit: &str| mirror.changed_paths(&nothing, commit, 20_000);
    assert_eq!(changed(&flat).unwrap().len(), 2_000);
    too_large(changed(&deep), "the changed paths have more than 4194304 bytes");
    too_large(changed(&deepest), "a changed path has more than 4096 bytes");
}

#[test]
fn directories_without_a_file_are_bounded_too() {
    let origin = Origin::new();
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let nothing = fetched(&origin, &mirror, &origin.raw_tree(&[]));
    let names: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
    let mut tree = origin.raw_tree(&[("100644", "x", &origin.blob(b"x"))]);
    for _ in 0..4 {
        let below: Vec<(&str, &str, &str)> =
            names.iter().map(|name| ("40000", name.as_str(), tree.as_str())).collect();
        tree = origin.raw_tree(&below);
    }
    let wide = fetched(&origin, &mirror, &tree);
    too_large(mirror.changed_paths(&nothing, &wide, 20_000), "more than 100000 directories");
}

#[test]
fn a_commit_or_a_directory_is_asked_for_its_size_before_it_is_read() {
    let origin = Origin::new();
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let empty = origin.raw_tree(&[]);
    let commit = |message: String| {
        let who = "Ada <ada@example.org> 1700000000 +0100";
        let text = format!("tree {empty}\nauthor {who}\ncommitter {who}\n\n{message}\n");
        origin.git(&["hash-object", "-t", "commit", "-w", "--stdin"], text.as_bytes())
    };
    let long = commit("a".repeat(1_000_000));
    pushed(&origin, &mirror, &long).unwrap();
    assert_eq!(mirror.commit_facts(&long).unwrap().message.len(), 64 * 1024);
    let longer = commit("a".repeat(1_100_000));
    too_large(pushed(&origin, &mirror, &longer), "at most 1048576 are read");
    too_large(mirror.commit_facts(&longer), "at most 1048576 are read");
    too_large(mirror.parents_of(&longer), "at most 1048576 are read");

    let blob = origin.blob(b"x");
    let mut names = String::new();
    for n in 0..80_000 {
        writeln!(names, "{n:0200}").unwrap();
    }
    let entries: Vec<(&str, &str, &str)> =
        names.lines().map(|name| ("100644", name, blob.as_str())).collect();
    let wide = origin.commit_of(&around(&origin, "wide", &origin.raw_tree(&entries)), "Wide");
    too_large(pushed(&origin, &mirror, &wide), "at most 16777216 are read");
    too_large(mirror.list(&wide, "wide"), "at most 16777216 are read");
}

#[test]
fn a_fetch_unpacks_no_file_larger_than_a_forge_takes() {
    let origin = Origin::new();
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let zeros = origin.blob(&vec![0; 101 * 1024 * 1024]);
    let commit = origin.commit_of(&origin.raw_tree(&[("100644", "x", &zeros)]), "Zeros");
    let error = pushed(&origin, &mirror, &commit).unwrap_err();
    assert!(matches!(error, GitError::TooLarge(_)), "{error}");
}

#[test]
fn tags_of_tags_lead_to_a_commit_only_so_far() {
    let origin = Origin::new();
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let mut id = origin.commit_of(&origin.raw_tree(&[]), "Tagged");
    let mut kind = "commit";
    let mut ids = Vec::new();
    for n in 0..10 {
        let who = "Ada <ada@example.org> 1700000000 +0100";
        let text = format!("object {id}\ntype {kind}\ntag t{n}\ntagger {who}\n\nTag\n");
        id = origin.git(&["mktag"], text.as_bytes());
        origin.git(&["update-ref", &format!("refs/tags/t{n}"), &id], b"");
        ids.push(id.clone());
        kind = "tag";
    }
    let fetch = |id: &str| mirror.fetch_commit(&origin.remote(), id, None, &soon());
    fetch(&ids[7]).unwrap();
    assert_eq!(mirror.list(&ids[7], "").unwrap(), []);
    assert!(matches!(fetch(&ids[8]), Err(GitError::Invalid(_))));
}
