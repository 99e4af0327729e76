//! `strata run`: a workflow of the working tree, on this machine and without a bridge.
//!
//! What runs, in which order and with which conditions is decided by the same functions as at the
//! bridge, and each job is executed as a runner executes it.

mod actions;
mod asked;
mod calls;
mod facts;
mod jobs;
mod printing;
mod remote;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use runner::local::{Machine, Tree};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use workflows::file_commands;
use workflows::state::Outcome;
use workflows::workflow::{self, Workflow};

use crate::args::Shown;
use crate::called;
use crate::dist_git::{git, succeeded, text};
use crate::failure::Failure;
use crate::output::{self, Output};

use jobs::{Here, Run};
use remote::Remotes;

/// Longest file of secrets, in bytes.
const MAX_SECRETS_BYTES: u64 = 1 << 20;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The workflow's file, in a clone.
    file: PathBuf,
    /// The event that it is to see.
    #[arg(long, value_enum, default_value_t)]
    event: EventName,
    /// Only this job and those that it needs; may be given several times.
    #[arg(long, value_name = "KEY")]
    job: Vec<String>,
    /// Only the jobs of matrices that have this value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    matrix: Vec<(String, String)>,
    /// What `inputs` holds; may be given several times.
    #[arg(long, short = 'i', value_name = "NAME=VALUE", value_parser = pair)]
    input: Vec<(String, String)>,
    /// What `vars` holds; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    var: Vec<(String, String)>,
    /// A secret, taken from the environment variable of this name; may be given several times.
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,
    /// File with lines NAME=VALUE: secrets.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The image of jobs without `container` that run on this label; may be given several times.
    #[arg(long, value_name = "LABEL=IMAGE", value_parser = pair)]
    image: Vec<(String, String)>,
    /// Where actions of other repositories come from; by default the forge that the clone's
    /// `origin` is on.
    #[arg(long, value_name = "https://HOST/{repository}.git")]
    actions: Option<String>,
    /// Let steps reach the network.
    #[arg(long)]
    network: bool,
    /// Only say what would run.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
}

/// An event that a workflow may see here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum EventName {
    /// A push of the commit that is checked out.
    #[default]
    Push,
    /// A pull request of it.
    PullRequest,
    /// A schedule of the branch.
    Schedule,
    /// Somebody's wish.
    WorkflowDispatch,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "wants NAME=VALUE".to_owned())
}

pub(crate) async fn run(args: RunArgs) -> Result<(), Failure> {
    let output = Output::new(args.shown);
    let root = root_of(&args.file)?;
    let (path, workflow) = read(&root, &args.file)?;
    let facts = facts::facts(&root, &path, &workflow, &args)?;
    let mut run = Run::plan(&path, &workflow, facts, &args)?;
    if args.dry_run {
        return printing::plan(&run, &output);
    }
    let tree = Tree { files: files(&root)?, root };
    let secrets = secrets(&args)?;
    let machine = Machine::open().await?;
    let origin = text(&git(&tree.root, &["config", "--get", "remote.origin.url"])?);
    let remotes = Remotes::new(args.actions.as_deref(), &origin, machine.mirrors());
    let place = Here { machine: &machine, tree: &tree, remotes: &remotes, secrets: &secrets };
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    let listener = tokio::spawn(listen(stop.clone(), now.clone()));
    printing::begins(&run, &output)?;
    run.perform(&place, &output, (&stop, &now)).await?;
    listener.abort();
    printing::ends(&run, &output)?;
    match run.outcome() {
        Outcome::Success | Outcome::Skipped => Ok(()),
        _ => Err(Failure::No),
    }
}

/// The first Ctrl-C asks jobs to end, as a cancellation does; the second ends them. So do other
/// signals that ask a program to end.
async fn listen(stop: CancellationToken, now: CancellationToken) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let signals: Result<Vec<_>, _> = kinds.into_iter().map(signal).collect();
    let Ok(mut signals) = signals else { return };
    for token in [stop, now] {
        let any = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(any).await;
        output::complain("ending what runs; once more ends it at once");
        token.cancel();
    }
}

fn root_of(file: &Path) -> Result<PathBuf, Failure> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let top = git(directory.unwrap_or(Path::new(".")), &["rev-parse", "--show-toplevel"])?;
    let top = text(&succeeded("git rev-parse", top)?);
    Ok(PathBuf::from(top))
}

/// The workflow, and its path in the clone.
fn read(root: &Path, file: &Path) -> Result<(String, Workflow), Failure> {
    let whole = file.canonicalize().with_context(|| format!("cannot read {}", file.display()))?;
    let path = whole.strip_prefix(root).unwrap_or(&whole).to_string_lossy().into_owned();
    let text = std::fs::read_to_string(&whole)
        .with_context(|| format!("cannot read {}", whole.display()))?;
    match workflow::parse(&path, &text) {
        Ok(mut workflow) => {
            called::find(root, &mut workflow);
            Ok((path, workflow))
        }
        Err(found) => {
            found.iter().for_each(|one| output::complain(&one.to_string()));
            Err(Failure::No)
        }
    }
}

/// What git knows of the working tree, and what is new in it and not ignored.
fn files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    let listed = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let listed = succeeded("git ls-files", listed)?.stdout;
    let paths = listed.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path))).collect())
}

fn secrets(args: &RunArgs) -> Result<BTreeMap<String, SecretString>, Failure> {
    use std::io::Read as _;
    let mut secrets = BTreeMap::new();
    for name in &args.secret {
        let value = std::env::var(name).map_err(|_| {
            Failure::Usage(format!("there is no environment variable {name} to be a secret"))
        })?;
        secrets.insert(name.to_ascii_uppercase(), value.into());
    }
    if let Some(path) = &args.secret_file {
        let unreadable = || format!("cannot read {}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(unreadable)?;
        file.take(MAX_SECRETS_BYTES).read_to_string(&mut text).with_context(unreadable)?;
        let pairs = file_commands::pairs(&text)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        let pairs = pairs.into_iter();
        secrets.extend(pairs.map(|(name, value)| (name.to_ascii_uppercase(), value.into())));
    }
    Ok(secrets)
}
