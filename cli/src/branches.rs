//! `strata clone` and `strata switch-branch`.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use workflows::names::{RefName, RepositoryName};

use crate::dist_git::{CloneArgs, git, succeeded, text};
use crate::failure::Failure;
use crate::settings;

/// Most branches that a refusal names.
const SHOWN_BRANCHES: usize = 20;

/// Which repository to clone.
#[derive(Debug, Args)]
pub(crate) struct CloneRepositoryArgs {
    /// Its path on the forge, such as containers/httpd.
    repository: RepositoryName,
    /// The directory to make; the repository's last part by default.
    directory: Option<PathBuf>,
    /// Check this branch out.
    #[arg(long, short, value_name = "NAME")]
    branch: Option<String>,
    /// URL with {repository} in it; dist_git of ~/.config/strata/config.toml by default.
    #[arg(long, value_name = "URL", env = "STRATA_DIST_GIT")]
    dist_git: Option<String>,
}

/// Which branch to switch to.
#[derive(Debug, Args)]
pub(crate) struct SwitchBranchArgs {
    /// Its short name, such as f43.
    branch: String,
    /// Ask the origin first which branches it has.
    #[arg(long)]
    fetch: bool,
    #[command(flatten)]
    clone: CloneArgs,
}

pub(crate) fn clone(args: &CloneRepositoryArgs) -> Result<(), Failure> {
    let template = match &args.dist_git {
        Some(template) => Some(template.clone()),
        None => settings::get()?.dist_git.clone(),
    };
    let url = template
        .filter(|template| template.contains("{repository}"))
        .map(|template| template.replace("{repository}", args.repository.as_str()))
        .ok_or_else(|| {
            Failure::Usage(
                "where is dist-git? Say it with --dist-git, STRATA_DIST_GIT, or dist_git in \
                 ~/.config/strata/config.toml, as a URL with {repository} in it"
                    .to_owned(),
            )
        })?;
    let directory =
        args.directory.clone().unwrap_or_else(|| PathBuf::from(args.repository.package()));
    let mut command = Command::new("git");
    command.arg("clone");
    if let Some(branch) = &args.branch {
        short_name(branch)?;
        command.args(["--branch", branch]);
    }
    // What git tells of its progress is for the person; `--` keeps a name from being an option.
    let status = command.arg("--").arg(&url).arg(&directory).status();
    let status =
        status.map_err(|error| Failure::Usage(format!("cannot run git: {error}; install it")))?;
    if status.success() { Ok(()) } else { Err(Failure::No) }
}

pub(crate) fn switch(args: &SwitchBranchArgs) -> Result<(), Failure> {
    let root = args.clone.open()?.root;
    let branch = short_name(&args.branch)?;
    if args.fetch {
        succeeded("git fetch", git(&root, &["fetch", "-q", "origin"])?)?;
    }
    let known = |ref_name: String| -> Result<bool, Failure> {
        Ok(git(&root, &["show-ref", "-q", "--verify", &ref_name])?.status.success())
    };
    let switched = if known(format!("refs/heads/{branch}"))? {
        git(&root, &["switch", &branch])?
    } else if known(format!("refs/remotes/origin/{branch}"))? {
        git(&root, &["switch", "--track", "-c", &branch, &format!("origin/{branch}")])?
    } else {
        return Err(Failure::Negative(format!(
            "there is no branch `{branch}`; the origin has {}; --fetch asks it once more",
            branches_of_origin(&root)?
        )));
    };
    succeeded("git switch", switched).map(|_| ())
}

/// A name that cannot be mistaken for an option.
fn short_name(branch: &str) -> Result<String, Failure> {
    let checked = RefName::branch(branch).map_err(|error| Failure::Usage(error.to_string()))?;
    if branch.starts_with('-') {
        return Err(Failure::Usage(format!("`{branch}` cannot be a branch")));
    }
    Ok(checked.short().to_owned())
}

fn branches_of_origin(root: &Path) -> Result<String, Failure> {
    let format = "--format=%(refname:lstrip=3)";
    let listed = git(root, &["for-each-ref", format, "refs/remotes/origin"])?;
    let listed = text(&succeeded("git for-each-ref", listed)?);
    let names: Vec<&str> =
        listed.lines().filter(|name| *name != "HEAD").take(SHOWN_BRANCHES).collect();
    Ok(if names.is_empty() { "none that was fetched".to_owned() } else { names.join(", ") })
}
