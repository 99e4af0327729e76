//! Whether the state of a working tree can be asked to be built: what a person has in front of
//! them must be what the forge has, or the build is not of what they think.

#[cfg(test)]
mod tests;

use crate::names::{CommitId, RefName};

/// Most paths that a refusal names.
const SHOWN_PATHS: usize = 5;

/// A working tree of a dist-git repository, and the branch of the same name at its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingTree {
    /// The branch that is checked out; `None` for a detached head.
    pub branch: Option<RefName>,
    /// The commit that is checked out; `None` before the first one.
    pub head: Option<CommitId>,
    /// Files of the repository that differ from the commit.
    pub changed: Vec<String>,
    /// The branch as its origin has it.
    pub origin: Origin,
}

/// A branch at its origin, beside the one in the working tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The origin has no such branch.
    NoBranch,
    /// Both are at the same commit.
    Same,
    /// The origin has a commit that was never fetched.
    Unknown,
    /// Both have commits since they were the same.
    Apart {
        /// Commits that only the working tree has.
        ahead: u32,
        /// Commits that only the origin has.
        behind: u32,
    },
}

/// What can be asked to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The branch.
    pub ref_name: RefName,
    /// Its head, here and at the origin.
    pub commit: CommitId,
}

/// Why the state of a working tree cannot be asked to be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSubmittable {
    /// No branch, hence no release.
    #[error(
        "no branch is checked out, and the branch says for which release to build; \
         run `strata switch-branch BRANCH` first"
    )]
    Detached,
    /// There is nothing.
    #[error("the branch `{0}` has no commit yet; commit and push first")]
    Empty(String),
    /// The build would not have the changes.
    #[error(
        "changes are not committed, and a build would not have them: {}; commit and push them, \
         or put them away with `git stash`",
        named(.0)
    )]
    Dirty(Vec<String>),
    /// The forge has never seen the branch.
    #[error(
        "branch `{0}` is not at the origin, and a build takes what is there; \
         run `git push -u origin {0}` first"
    )]
    UnknownBranch(String),
    /// The forge does not have the commits.
    #[error(
        "{ahead} of branch `{branch}` not pushed, and a build takes what is at the origin; \
         run `git push` first",
        ahead = commits(*ahead)
    )]
    Unpushed {
        /// Its short name.
        branch: String,
        /// How many commits.
        ahead: u32,
    },
    /// The forge has newer commits.
    #[error(
        "branch `{0}` is newer at the origin than here, and a build takes its head there; \
         run `git pull` first"
    )]
    Behind(String),
    /// Both have commits that the other lacks.
    #[error(
        "branch `{branch}` and the origin went apart: {ahead} not pushed, {behind} not pulled; \
         run `git pull --rebase` and `git push` first",
        ahead = commits(*ahead),
        behind = commits(*behind)
    )]
    Diverged {
        /// Its short name.
        branch: String,
        /// Commits that only the working tree has.
        ahead: u32,
        /// Commits that only the origin has.
        behind: u32,
    },
}

/// What a build of this working tree would be a build of.
///
/// # Errors
/// [`NotSubmittable`] says why there is none and what to do.
pub fn submission(tree: &WorkingTree) -> Result<Submission, NotSubmittable> {
    let ref_name = tree.branch.clone().ok_or(NotSubmittable::Detached)?;
    let branch = ref_name.short().to_owned();
    let commit = tree.head.clone().ok_or_else(|| NotSubmittable::Empty(branch.clone()))?;
    if !tree.changed.is_empty() {
        return Err(NotSubmittable::Dirty(tree.changed.clone()));
    }
    match tree.origin {
        Origin::Same | Origin::Apart { ahead: 0, behind: 0 } => Ok(Submission { ref_name, commit }),
        Origin::NoBranch => Err(NotSubmittable::UnknownBranch(branch)),
        Origin::Unknown | Origin::Apart { ahead: 0, .. } => Err(NotSubmittable::Behind(branch)),
        Origin::Apart { ahead, behind: 0 } => Err(NotSubmittable::Unpushed { branch, ahead }),
        Origin::Apart { ahead, behind } => Err(NotSubmittable::Diverged { branch, ahead, behind }),
    }
}

fn commits(count: u32) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

/// The first paths, control characters escaped, and how many more there are.
fn named(paths: &[String]) -> String {
    let escaped = |path: &String| path.chars().flat_map(char::escape_debug).collect::<String>();
    let shown: Vec<String> = paths.iter().take(SHOWN_PATHS).map(escaped).collect();
    match paths.len().checked_sub(SHOWN_PATHS) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
