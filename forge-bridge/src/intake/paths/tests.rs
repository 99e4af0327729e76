//! With a real repository on this machine.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use workflows::event::{Event, Push};
use workflows::names::CommitId;

use super::*;
use crate::config::Config;
use crate::forge::tests::git;
use crate::intake::DefaultWorkflows;
use crate::intake::apart::{MAX_READERS, READERS};
use crate::intake::target;
use crate::sources::Sources;

/// A commit with this file on a branch, without a parent.
fn commit(bare: &Path, branch: &str, name: &str) -> CommitId {
    std::fs::create_dir_all(bare).unwrap();
    git(bare, &["init", "-q", "--bare", "."]);
    let blob = git(bare, &["hash-object", "-t", "blob", "-w", "/dev/null"]);
    git(bare, &["read-tree", "--empty"]);
    git(bare, &["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{name}")]);
    let tree = git(bare, &["write-tree"]);
    let commit = git(bare, &["commit-tree", &tree, "-m", "A file"]);
    git(bare, &["update-ref", &format!("refs/heads/{branch}"), &commit]);
    commit.parse().unwrap()
}

async fn changed(planner: &Planner, before: &CommitId, after: &CommitId) -> ChangedPaths {
    let push = Event::Push(Push {
        repository: "containers/httpd".parse().unwrap(),
        ref_name: "refs/heads/f43".parse().unwrap(),
        before: Some(before.clone()),
        after: after.clone(),
        forced: false,
        actor: None,
    });
    let (target, _) = target(&push, &planner.config.releases).unwrap();
    planner.paths("git", &target, true).await.unwrap()
}

/// A bridge with one forge, whose repositories are below the directory.
fn planner(directory: &Path) -> Planner {
    let dir = directory.display();
    let text = format!(
        "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
         [[forge]]\nname = \"git\"\nkind = \"git\"\nwebhook_secret_file = \"/unused\"\n\
         clone_url = \"{dir}/git/{{repository}}.git\"\n\
         [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\nregistry = \"r.example\"\n\
         namespace = \"f43\"\ndist_tag = \"fc43\"\n"
    );
    let config: Arc<Config> = Arc::new(toml::from_str(&text).unwrap());
    let sources = Arc::new(Sources::new(Arc::clone(&config), Arc::default()));
    Planner { config, sources, variables: None }
}

#[tokio::test]
async fn an_old_head_that_is_gone_makes_every_path_count_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let bare = directory.path().join("git/containers/httpd.git");
    let planner = planner(directory.path());
    let (old, head) = (commit(&bare, "old", "one"), commit(&bare, "f43", "two"));
    match changed(&planner, &old, &head).await {
        ChangedPaths::Known(paths) => assert_eq!(paths, ["one", "two"]),
        other @ ChangedPaths::Everything { .. } => panic!("{other:?}"),
    }
    // As after a forced push, once the forge has tidied up.
    let gone: CommitId = "4".repeat(40).parse().unwrap();
    match changed(&planner, &gone, &head).await {
        ChangedPaths::Everything { reason } => {
            assert_eq!(reason, "the old head cannot be reached: every path counts as changed");
        }
        other @ ChangedPaths::Known(_) => panic!("{other:?}"),
    }
}

/// All threads for strangers' files are taken: what does without them would not wait.
#[tokio::test]
async fn files_are_read_and_decided_about_on_threads_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let bare = directory.path().join("git/containers/httpd.git");
    let head = commit(&bare, "f43", ".strata/workflows/build.yml");
    let planner = planner(directory.path());
    let (repository, ref_name) =
        ("containers/httpd".parse().unwrap(), "refs/heads/f43".parse().unwrap());
    let push = Push {
        repository: "containers/httpd".parse().unwrap(),
        ref_name: "refs/heads/f43".parse().unwrap(),
        before: None,
        after: head,
        forced: false,
        actor: None,
    };
    let event = Event::Push(push.clone());
    let defaults = DefaultWorkflows { files: Vec::new(), rules: String::new() };

    let taken = READERS.acquire_many(MAX_READERS).await.unwrap();
    let decided = planner.decide("git", &event, Utc::now());
    let offered = planner.offer("git", &repository, &ref_name);
    let scheduled = planner.schedules_after("git", push, &defaults, Utc::now());
    tokio::pin!(decided, offered, scheduled);
    let a_while = std::time::Duration::from_millis(500);
    tokio::select! {
        _ = &mut decided => panic!("decided without a thread"),
        _ = &mut offered => panic!("offered without a thread"),
        _ = &mut scheduled => panic!("scheduled without a thread"),
        () = tokio::time::sleep(a_while) => {}
    }
    drop(taken);
    decided.await.unwrap();
    offered.await.unwrap().unwrap();
    scheduled.await.unwrap().unwrap();
}
