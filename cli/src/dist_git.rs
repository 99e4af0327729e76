//! A clone of a dist-git repository on this machine: what git says about it, and its files.

mod files;
mod rules;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Args;
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::submission::{Origin, Submission, WorkingTree, submission};

use crate::failure::Failure;
use crate::lookaside::repository_of;
pub(crate) use files::{asked, content, files, workflow_files};
pub(crate) use rules::{Inspected, Rules};

/// The remote that builds are taken from.
const REMOTE: &str = "origin";
/// Most bytes of git's own words that are repeated.
const MAX_TOLD_BYTES: usize = 2000;

/// Which clone.
#[derive(Debug, Clone, Args)]
pub(crate) struct CloneArgs {
    /// Working tree of the dist-git repository.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// The repository's path on the forge; by default the last two parts of the URL of `origin`.
    #[arg(long, value_name = "NAME")]
    repository: Option<RepositoryName>,
}

/// A clone that is there.
#[derive(Debug)]
pub(crate) struct Clone {
    /// Its top directory.
    pub(crate) root: PathBuf,
    repository: Option<RepositoryName>,
}

impl CloneArgs {
    /// Finds the top of the working tree.
    pub(crate) fn open(&self) -> Result<Clone, Failure> {
        let top = git(&self.path, &["rev-parse", "--show-toplevel"])?;
        let root = text(&top);
        if !top.status.success() || root.is_empty() {
            return Err(Failure::Usage(format!(
                "{} is no clone of a dist-git repository; go into one, or make one with \
                 `strata clone NAME`",
                self.path.display()
            )));
        }
        Ok(Clone { root: PathBuf::from(root), repository: self.repository.clone() })
    }
}

impl Clone {
    /// A repository with or without a working tree; what needs its files cannot be asked for there.
    pub(crate) fn at(root: &Path, repository: Option<RepositoryName>) -> Self {
        Self { root: root.to_owned(), repository }
    }

    /// What would be built; the origin is asked what it has.
    pub(crate) fn submission(&self) -> Result<Submission, Failure> {
        let branch = self.branch()?;
        let head = self.head()?;
        let changed = self.changed()?;
        // Nobody should wait for a server to hear of what is wrong here.
        let origin = match (&branch, &head) {
            (Some(branch), Some(head)) if changed.is_empty() => self.origin(branch, head)?,
            _ => Origin::NoBranch,
        };
        let tree = WorkingTree { branch, head, changed, origin };
        submission(&tree).map_err(|error| Failure::Negative(error.to_string()))
    }

    /// The repository's path on the forge.
    pub(crate) fn repository(&self) -> Result<RepositoryName, Failure> {
        if let Some(name) = &self.repository {
            return Ok(name.clone());
        }
        let unknown = || {
            Failure::Usage(
                "`origin` does not name the repository; say it with --repository".to_owned(),
            )
        };
        let url = git(&self.root, &["config", "--get", "remote.origin.url"])?;
        repository_of(&text(&url)).ok_or_else(unknown)
    }

    /// The branch that is checked out.
    pub(crate) fn branch(&self) -> Result<Option<RefName>, Failure> {
        let head = git(&self.root, &["symbolic-ref", "-q", "HEAD"])?;
        if !head.status.success() {
            return Ok(None);
        }
        let name = RefName::parse(&text(&head));
        name.map(Some).map_err(|error| Failure::Negative(error.to_string()))
    }

    /// The commit that is checked out.
    pub(crate) fn head(&self) -> Result<Option<CommitId>, Failure> {
        self.commit("HEAD")
    }

    /// The commit that git knows by a name.
    pub(crate) fn commit(&self, name: &str) -> Result<Option<CommitId>, Failure> {
        let wanted = format!("{name}^{{commit}}");
        let found = git(&self.root, &["rev-parse", "-q", "--verify", "--end-of-options", &wanted])?;
        Ok(CommitId::parse(&text(&found)).ok())
    }

    fn changed(&self) -> Result<Vec<String>, Failure> {
        let status = git(&self.root, &["status", "--porcelain", "-z", "--untracked-files=no"])?;
        let status = succeeded("git status", status)?;
        Ok(changed_paths(&String::from_utf8_lossy(&status.stdout)))
    }

    fn origin(&self, branch: &RefName, head: &CommitId) -> Result<Origin, Failure> {
        let listed = git(&self.root, &["ls-remote", REMOTE, branch.to_string().as_str()])?;
        let listed = text(&succeeded("git ls-remote origin", listed)?);
        let there = listed.split_whitespace().next().and_then(|id| CommitId::parse(id).ok());
        let Some(there) = there else { return Ok(Origin::NoBranch) };
        if there == *head {
            return Ok(Origin::Same);
        }
        let object = format!("{there}^{{commit}}");
        if !git(&self.root, &["cat-file", "-e", &object])?.status.success() {
            return Ok(Origin::Unknown);
        }
        let range = format!("{head}...{there}");
        let count = git(&self.root, &["rev-list", "--left-right", "--count", &range])?;
        let count = text(&succeeded("git rev-list", count)?);
        let mut numbers = count.split_whitespace().map(|number| number.parse().unwrap_or(u32::MAX));
        let mut next = || numbers.next().unwrap_or(0);
        Ok(Origin::Apart { ahead: next(), behind: next() })
    }
}

/// Runs git in a directory and takes its output.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> Result<Output, Failure> {
    Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .map_err(|error| Failure::Usage(format!("cannot run git: {error}; install it")))
}

/// An output of a git that did what it was asked, else its own words.
pub(crate) fn succeeded(what: &str, output: Output) -> Result<Output, Failure> {
    if output.status.success() {
        return Ok(output);
    }
    let said = &output.stderr[..output.stderr.len().min(MAX_TOLD_BYTES)];
    let said = String::from_utf8_lossy(said);
    Err(Failure::Negative(format!("{what} failed: {}", said.trim())))
}

/// Standard output without the line's end.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// The paths of `git status --porcelain -z`; a rename's old one stands in a field of its own.
fn changed_paths(status: &str) -> Vec<String> {
    let mut fields = status.split('\0').filter(|field| !field.is_empty());
    let mut paths = Vec::new();
    while let Some(field) = fields.next() {
        let (state, path) = field.split_at_checked(3).unwrap_or(("", field));
        if state.contains(['R', 'C']) {
            fields.next();
        }
        paths.push(path.to_owned());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_a_status_are_read() {
        let status = " M Dockerfile\0R  new name\0old\0A  a\0";
        assert_eq!(changed_paths(status), ["Dockerfile", "new name", "a"]);
        assert_eq!(changed_paths(""), Vec::<String>::new());
    }
}
