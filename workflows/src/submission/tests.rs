//! Working trees that can be built, and those that cannot.

use super::*;

fn tree(origin: Origin) -> WorkingTree {
    WorkingTree {
        branch: Some(RefName::branch("f43").unwrap()),
        head: Some(CommitId::parse(&"a".repeat(40)).unwrap()),
        changed: Vec::new(),
        origin,
    }
}

#[test]
fn what_is_pushed_can_be_built() {
    for origin in [Origin::Same, Origin::Apart { ahead: 0, behind: 0 }] {
        let found = submission(&tree(origin)).unwrap();
        assert_eq!((found.ref_name.short(), found.commit.short()), ("f43", "aaaaaaaaaaaa"));
    }
}

#[test]
fn every_other_state_is_refused_and_says_what_to_do() {
    let many: Vec<String> = (0..7).map(|number| format!("file{number}")).collect();
    let dirty =
        |changed: &[String]| WorkingTree { changed: changed.to_vec(), ..tree(Origin::Same) };
    for (tree, sentence) in [
        (WorkingTree { branch: None, ..tree(Origin::Same) }, "strata switch-branch BRANCH"),
        (WorkingTree { head: None, ..tree(Origin::Same) }, "`f43` has no commit yet"),
        (dirty(&["Dockerfile".to_owned()]), "not have them: Dockerfile; commit and push"),
        (dirty(&many), "file4 and 2 more; commit"),
        (dirty(&["a\nb".to_owned()]), "a\\nb"),
        (tree(Origin::NoBranch), "run `git push -u origin f43` first"),
        (tree(Origin::Unknown), "run `git pull` first"),
        (tree(Origin::Apart { ahead: 0, behind: 2 }), "run `git pull` first"),
        (tree(Origin::Apart { ahead: 1, behind: 0 }), "1 commit of branch `f43` not pushed"),
        (tree(Origin::Apart { ahead: 2, behind: 0 }), "2 commits of branch `f43` not pushed"),
        (tree(Origin::Apart { ahead: 2, behind: 1 }), "2 commits not pushed, 1 commit not pulled"),
    ] {
        let told = submission(&tree).unwrap_err().to_string();
        assert!(told.contains(sentence), "{sentence}\n--- is not in\n{told}");
    }
}
