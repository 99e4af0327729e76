use std::fs;
use std::time::Duration;

use strata_git::{Deadline, Entry, EntryKind, FileAt, GitError, Mirror, RefHead, Remote};
use tempfile::TempDir;

use crate::origin::{Origin, mirror_path, soon};

const DOCKERFILE: (&str, &str) = ("Dockerfile", "FROM fedora\n");

#[test]
fn one_commit_is_fetched_and_read_without_its_history() {
    let origin = Origin::new();
    let first = origin.push("rawhide", &[DOCKERFILE]);
    let second = origin.push("rawhide", &[DOCKERFILE, ("a/b/c.txt", "deep")]);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();

    mirror.fetch_commit(&origin.remote(), &second, None, &soon()).unwrap();

    let id = origin.git(&["rev-parse", &format!("{second}:Dockerfile")], b"");
    let bytes = b"FROM fedora\n".to_vec();
    assert_eq!(
        mirror.read_file(&second, "Dockerfile", 100).unwrap(),
        FileAt::Blob { id: id.clone(), bytes }
    );
    assert_eq!(strata_git::blob_id(b"FROM fedora\n"), id);
    assert_eq!(mirror.read_file(&second, "Dockerfile", 5).unwrap(), FileAt::TooLarge { bytes: 12 });
    assert_eq!(mirror.read_file(&second, "a/b", 100).unwrap(), FileAt::Directory);
    for missing in ["nothing", "a/b/c.txt/d", "a/x/c.txt"] {
        assert_eq!(mirror.read_file(&second, missing, 100).unwrap(), FileAt::Missing, "{missing}");
    }
    for hostile in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a"] {
        let error = mirror.read_file(&second, hostile, 100).unwrap_err();
        assert!(matches!(error, GitError::Invalid(_)), "{hostile}: {error}");
    }
    let file = Entry { name: "Dockerfile".to_owned(), kind: EntryKind::File, id };
    let root = mirror.list(&second, "").unwrap();
    assert_eq!(root.len(), 2);
    assert_eq!(root[0], file);
    assert_eq!(mirror.list(&second, "a/b").unwrap()[0].name, "c.txt");
    assert_eq!(mirror.list(&second, "Dockerfile").unwrap(), []);

    let facts = mirror.commit_facts(&second).unwrap();
    assert_eq!(facts.time, 1_700_000_000);
    assert_eq!(facts.author, "Ada <ada@example.org>");
    assert_eq!(facts.message, "Change things\n\nBecause.\n");
    assert!(matches!(mirror.commit_facts(&first), Err(GitError::NotFound(_))));
    assert_eq!(mirror.parents_of(&second).unwrap(), [first.as_str()], "told without being fetched");
    assert!(matches!(mirror.parents_of(&first), Err(GitError::NotFound(_))));
}

#[test]
fn a_commit_that_is_here_needs_no_network() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[DOCKERFILE]);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    mirror.fetch_commit(&origin.remote(), &commit, None, &soon()).unwrap();
    let nowhere = Remote::new("http://127.0.0.1:1/gone", None).unwrap();
    mirror.fetch_commit(&nowhere, &commit, None, &soon()).unwrap();
    drop(mirror);
    let reopened = Mirror::open(&mirror_path(&scratch)).unwrap();
    reopened.fetch_commit(&nowhere, &commit, None, &soon()).unwrap();
    let other = "1".repeat(40);
    let error = reopened.fetch_commit(&nowhere, &other, None, &soon()).unwrap_err();
    assert!(matches!(error, GitError::Unreachable(_)), "{error}");
    assert!(error.is_transient());
}

#[test]
fn changed_paths_compare_two_commits_without_history_between_them() {
    let origin = Origin::new();
    let before = origin.push("rawhide", &[DOCKERFILE, ("old", "1"), ("same", "s"), ("a/x", "1")]);
    origin.push("rawhide", &[DOCKERFILE]);
    let after = origin.push("rawhide", &[DOCKERFILE, ("new", "1"), ("same", "s"), ("a/x", "2")]);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    for commit in [&before, &after] {
        mirror.fetch_commit(&origin.remote(), commit, None, &soon()).unwrap();
    }
    assert_eq!(mirror.changed_paths(&before, &after, 10).unwrap(), ["a/x", "new", "old"]);
    assert_eq!(mirror.changed_paths(&after, &after, 10).unwrap(), [""; 0]);
    assert_eq!(mirror.changed_paths(&before, &after, 3).unwrap().len(), 3);
    assert!(matches!(mirror.changed_paths(&before, &after, 2), Err(GitError::TooLarge(_))));
}

#[test]
fn refs_are_listed_and_looked_up() {
    let origin = Origin::new();
    let rawhide = origin.push("rawhide", &[DOCKERFILE]);
    let f43 = origin.push("f43", &[DOCKERFILE, ("x", "")]);
    origin.git(&["tag", "-a", "v1", "-m", "One", &rawhide], b"");
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let remote = origin.remote();
    let head = |name: &str| mirror.head_of(&remote, name, &soon()).unwrap();

    assert_eq!(head("refs/heads/f43").as_deref(), Some(f43.as_str()));
    assert_eq!(head("refs/tags/v1").as_deref(), Some(rawhide.as_str()));
    assert_eq!(head("refs/heads/f4"), None);
    let branch =
        |name: &str, commit: &str| RefHead { name: name.to_owned(), commit: commit.to_owned() };
    assert_eq!(
        mirror.refs(&remote, "refs/heads/", &soon()).unwrap(),
        [branch("refs/heads/f43", &f43), branch("refs/heads/rawhide", &rawhide)]
    );
    assert_eq!(head("HEAD").as_deref(), Some(rawhide.as_str()));
    for hostile in ["rawhide", "head", "refs/heads/a b", "refs/heads/*", "refs/heads/x:refs/y"] {
        let error = mirror.head_of(&remote, hostile, &soon()).unwrap_err();
        assert!(matches!(error, GitError::Invalid(_)), "{hostile}: {error}");
    }
}

#[test]
fn an_empty_repository_has_no_refs() {
    let origin = Origin::new();
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let remote = origin.remote();
    assert_eq!(mirror.head_of(&remote, "refs/heads/rawhide", &soon()).unwrap(), None);
    assert_eq!(mirror.refs(&remote, "refs/heads/", &soon()).unwrap(), []);
}

#[test]
fn a_commit_that_the_server_has_not_got_is_gone() {
    let origin = Origin::new();
    origin.push("rawhide", &[DOCKERFILE]);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let unknown = "deadbeef".repeat(5);
    for ref_name in [None, Some("refs/heads/rawhide"), Some("refs/heads/deleted")] {
        let error = mirror.fetch_commit(&origin.remote(), &unknown, ref_name, &soon()).unwrap_err();
        assert!(matches!(error, GitError::CommitGone { .. }), "{ref_name:?}: {error}");
        assert!(!error.is_transient());
    }
    for bad in ["", "rawhide", &"0".repeat(40), &"a".repeat(64), "--upload-pack=x"] {
        let error = mirror.fetch_commit(&origin.remote(), bad, None, &soon()).unwrap_err();
        assert!(matches!(error, GitError::Invalid(_)), "{bad}: {error}");
    }
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let remote = Remote::new(&format!("{}/none.git", scratch.path().display()), None).unwrap();
    let error = mirror.fetch_commit(&remote, &"1".repeat(40), None, &soon()).unwrap_err();
    assert!(matches!(error, GitError::NotFound(_)), "{error}");
}

#[test]
fn what_a_killed_process_left_does_no_harm() {
    let origin = Origin::new();
    let first = origin.push("rawhide", &[DOCKERFILE]);
    let scratch = TempDir::new().unwrap();
    let path = mirror_path(&scratch);
    let repository = path.join("repository.git");
    let mirror = Mirror::open(&path).unwrap();
    mirror.fetch_commit(&origin.remote(), &first, None, &soon()).unwrap();
    fs::write(repository.join("shallow.lock"), "").unwrap();
    fs::write(repository.join("objects/pack/.tmpAbCdEf"), "half a pack").unwrap();
    fs::write(repository.join("objects/pack/pack-1234.pack"), "a pack without index").unwrap();

    let second = origin.push("rawhide", &[DOCKERFILE, ("x", "y")]);
    mirror.fetch_commit(&origin.remote(), &second, None, &soon()).unwrap();

    assert!(!repository.join("objects/pack/.tmpAbCdEf").exists());
    assert_eq!(mirror.changed_paths(&first, &second, 10).unwrap(), ["x"]);
}

#[test]
fn a_mirror_that_was_half_made_starts_anew() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[DOCKERFILE]);
    let scratch = TempDir::new().unwrap();
    let path = mirror_path(&scratch);
    fs::create_dir_all(path.join("repository.git/objects")).unwrap();
    let mirror = Mirror::open(&path).unwrap();
    mirror.fetch_commit(&origin.remote(), &commit, None, &soon()).unwrap();
    assert_eq!(mirror.list(&commit, "").unwrap().len(), 1);
}

#[test]
fn a_mirror_of_too_many_packs_starts_anew_once_nobody_uses_it() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[DOCKERFILE]);
    let scratch = TempDir::new().unwrap();
    let path = mirror_path(&scratch);
    let user = Mirror::open(&path).unwrap();
    let packs = path.join("repository.git/objects/pack");
    for n in 0..300 {
        fs::write(packs.join(format!("pack-{n}.idx")), "").unwrap();
    }
    let files = || fs::read_dir(&packs).unwrap().count();
    drop(Mirror::open(&path).unwrap());
    assert_eq!(files(), 300, "the user's objects were taken away");
    drop(user);
    let mirror = Mirror::open(&path).unwrap();
    assert_eq!(files(), 0);
    mirror.fetch_commit(&origin.remote(), &commit, None, &soon()).unwrap();
}

#[test]
fn a_commit_whose_pack_is_damaged_is_fetched_again() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[DOCKERFILE]);
    let scratch = TempDir::new().unwrap();
    let path = mirror_path(&scratch);
    let mirror = Mirror::open(&path).unwrap();
    mirror.fetch_commit(&origin.remote(), &commit, None, &soon()).unwrap();
    for entry in fs::read_dir(path.join("repository.git/objects/pack")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    mirror.fetch_commit(&origin.remote(), &commit, None, &soon()).unwrap();
    assert_eq!(mirror.list(&commit, "").unwrap().len(), 1);
}

#[test]
fn threads_that_fetch_at_once_all_get_their_commit() {
    let origin = Origin::new();
    let commits: Vec<String> =
        (0..4).map(|n| origin.push("rawhide", &[("n", &n.to_string())])).collect();
    let scratch = TempDir::new().unwrap();
    let path = mirror_path(&scratch);
    std::thread::scope(|scope| {
        for commit in &commits {
            scope.spawn(|| {
                let mirror = Mirror::open(&path).unwrap();
                mirror.fetch_commit(&origin.remote(), commit, None, &soon()).unwrap();
                assert_eq!(mirror.list(commit, "").unwrap().len(), 1);
            });
        }
    });
}

#[test]
fn a_passed_deadline_and_a_switch_end_the_work() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[DOCKERFILE]);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let switched = soon();
    switched.clone().interrupt();
    for deadline in [Deadline::after(Duration::ZERO), switched] {
        let error = mirror.fetch_commit(&origin.remote(), &commit, None, &deadline).unwrap_err();
        assert!(matches!(error, GitError::Interrupted), "{error}");
    }
}
