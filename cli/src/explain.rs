//! `strata explain`: which workflows an event would run, and why the others not.

use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, ValueEnum};
use forge_bridge::config::Config;
use forge_bridge::explain::{ExplainedJob, Explanation, Fires};
use workflows::event::{
    Event, PullRequest, PullRequestAction, Push, RefCreated, RefDeleted, ScheduleDue,
};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::selection::Origin;

use crate::args::Shown;
use crate::dist_git::Clone;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// An event that has not happened, on a repository of this machine.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The bridge's configuration.
    #[arg(long, value_name = "FILE", default_value = "strata.toml")]
    pub(crate) config: PathBuf,
    /// The forge's name in it; may be left out when there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) forge: Option<String>,
    /// The repository's path on the forge; by default the last two parts of the URL of `origin`.
    #[arg(long)]
    pub(crate) repository: Option<RepositoryName>,
    /// The local clone or bare repository that has the commit.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) git_dir: PathBuf,
    /// The ref that is pushed or deleted, whose schedule is due, or that the pull request would go
    /// into: a branch by its name, or refs/tags/NAME; by default the branch that is checked out.
    #[arg(long = "ref", value_name = "REF", value_parser = full_ref)]
    pub(crate) ref_name: Option<RefName>,
    /// The commit that is pushed, the head of the branch, or the pull request's head, as git knows
    /// it; by default the ref's.
    #[arg(long, value_name = "COMMIT", conflicts_with = "deleted")]
    pub(crate) commit: Option<String>,
    /// The ref is deleted.
    #[arg(long, conflicts_with = "event")]
    pub(crate) deleted: bool,
    /// Where the ref stood before; without it, the branch is new.
    #[arg(long, value_name = "SHA")]
    pub(crate) before: Option<CommitId>,
    /// What happens.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) event: EventKind,
    /// The pull request comes from a fork, whose author may not write to the repository.
    #[arg(long)]
    pub(crate) fork: bool,
    /// The workflow file whose schedule is due: a path in the repository, or the name of a default
    /// workflow.
    #[arg(long, value_name = "FILE", requires = "cron")]
    pub(crate) workflow: Option<String>,
    /// The five fields of that schedule, as they are written.
    #[arg(long, value_name = "FIELDS", requires = "workflow")]
    pub(crate) cron: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

/// Events that can be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum EventKind {
    /// A push to a branch.
    #[default]
    Push,
    /// A pull request, of a branch of the same repository or with --fork of another.
    #[value(name = "pull_request")]
    PullRequest,
    /// The time of --cron in --workflow has come.
    Schedule,
}

/// Prints a decision; the answer is no when nothing would run.
pub(crate) fn print(explanation: &Explanation, shown: Shown) -> Result<(), Failure> {
    let output = Output::new(shown);
    if output.is_json() {
        output.json(explanation)?;
    } else {
        tell(explanation, &output)?;
    }
    if explanation.fires.is_empty() { Err(Failure::No) } else { Ok(()) }
}

fn tell(explanation: &Explanation, output: &Output) -> Result<(), Failure> {
    if let Some(release) = &explanation.release {
        output.line(&format!("Release {release}"))?;
    }
    if let Some(reason) = &explanation.reason {
        output.line(&format!("Nothing runs: {reason}"))?;
    }
    let rows: Vec<_> = explanation.fires.iter().flat_map(rows).collect();
    if !rows.is_empty() {
        output.table(&["RUNS", "JOB", "NEEDS", "RUNS ON", "IMAGE", "STEPS"], &rows)?;
    }
    for fires in &explanation.fires {
        if let Some(name) = &fires.run_name {
            output.line(&format!("{} is called {name}", fires.path))?;
        }
    }
    for diagnostic in explanation.fires.iter().flat_map(|fires| &fires.diagnostics) {
        output.text(&format!("{diagnostic}\n"))?;
    }
    if !explanation.skipped.is_empty() {
        let skipped = explanation.skipped.iter();
        let rows: Vec<_> =
            skipped.map(|not| vec![Cell::plain(&not.path), Cell::plain(&not.reason)]).collect();
        output.table(&["DOES NOT RUN", "WHY"], &rows)?;
    }
    Ok(())
}

fn rows(fires: &Fires) -> Vec<Vec<Cell>> {
    let row = |job: &ExplainedJob| {
        vec![
            Cell::plain(&fires.path),
            Cell::plain(&job.name),
            Cell::plain(job.needs.join(", ")),
            Cell::plain(job.runs_on.join(", ")),
            Cell::plain(image(job)),
            Cell::plain(job.steps.join(", ")),
        ]
    };
    fires.jobs.iter().map(row).collect()
}

/// The image of a job, and where it comes from when the workflow does not name it.
fn image(job: &ExplainedJob) -> String {
    match (&job.image, &job.image_label) {
        (Some(image), Some(label)) => format!("{image} (for {label})"),
        (image, _) => image.clone().unwrap_or_default(),
    }
}

pub(crate) async fn run(args: ExplainArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(|error| Failure::Usage(error.to_string()))?;
    let forge = match (&args.forge, config.forges.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.name.clone(),
        (None, _) => return Err(Failure::Usage("say which forge with --forge".to_owned())),
    };
    let event = event(&args, &subject(&args)?, &config)?;
    let explained =
        forge_bridge::explain::explain(config, &forge, &args.git_dir, &event, Utc::now()).await;
    print(&explained.map_err(|error| Failure::Usage(error.to_string()))?, args.shown)
}

/// A branch may be told by its name.
fn full_ref(text: &str) -> Result<RefName, String> {
    let full =
        if text.starts_with("refs/") { text.to_owned() } else { format!("refs/heads/{text}") };
    RefName::parse(&full).map_err(|error| error.to_string())
}

/// What the event is about.
struct Subject {
    repository: RepositoryName,
    ref_name: RefName,
    /// Of all but a deletion.
    commit: Option<CommitId>,
}

/// What was told, and the rest as git knows it.
fn subject(args: &ExplainArgs) -> Result<Subject, Failure> {
    let clone = Clone::at(&args.git_dir, args.repository.clone());
    let missing = |what: &str| {
        let place = args.git_dir.display();
        Failure::Usage(format!("the repository at {place} does not tell {what}"))
    };
    let repository = clone.repository()?;
    let ref_name = match &args.ref_name {
        Some(ref_name) => ref_name.clone(),
        None => {
            clone.branch()?.ok_or_else(|| missing("which branch is meant; say it with --ref"))?
        }
    };
    if args.deleted {
        return Ok(Subject { repository, ref_name, commit: None });
    }
    let wanted = args.commit.clone().unwrap_or_else(|| ref_name.to_string());
    let commit = clone.commit(&wanted)?;
    let commit = commit
        .ok_or_else(|| missing(&format!("of a commit `{wanted}`; say which with --commit")))?;
    Ok(Subject { repository, ref_name, commit: Some(commit) })
}

/// The event that is to be explained.
fn event(args: &ExplainArgs, subject: &Subject, config: &Config) -> Result<Event, Failure> {
    let (repository, ref_name) = (subject.repository.clone(), subject.ref_name.clone());
    let is_tag = ref_name.as_tag().is_some();
    let Some(commit) = subject.commit.clone() else {
        let deleted = RefDeleted { repository, ref_name, before: None, actor: None };
        return Ok(if is_tag { Event::TagDeleted(deleted) } else { Event::BranchDeleted(deleted) });
    };
    Ok(match args.event {
        EventKind::Push if is_tag => {
            Event::TagCreated(RefCreated { repository, ref_name, after: Some(commit), actor: None })
        }
        EventKind::Push => Event::Push(Push {
            repository,
            ref_name,
            before: args.before.clone(),
            after: commit,
            forced: false,
            actor: None,
        }),
        EventKind::PullRequest => Event::PullRequest(PullRequest {
            head_repository: (!args.fork).then(|| repository.clone()),
            repository,
            number: 0,
            action: PullRequestAction::Opened,
            head: commit,
            head_branch: String::new(),
            head_ref: None,
            base_ref: ref_name,
            base: args.before.clone(),
            author: None,
        }),
        EventKind::Schedule => Event::Schedule(due(args, subject, config, commit)?),
    })
}

fn due(
    args: &ExplainArgs,
    subject: &Subject,
    config: &Config,
    head: CommitId,
) -> Result<ScheduleDue, Failure> {
    let (Some(workflow), Some(cron)) = (args.workflow.clone(), args.cron.clone()) else {
        let why = "say which schedule with --workflow FILE and --cron FIELDS";
        return Err(Failure::Usage(why.to_owned()));
    };
    let mut directories = config.workflows.directories.iter();
    let is_own = directories.any(|directory| workflow.starts_with(&format!("{directory}/")));
    Ok(ScheduleDue {
        repository: subject.repository.clone(),
        ref_name: subject.ref_name.clone(),
        head,
        workflow,
        origin: if is_own { Origin::Repository } else { Origin::Operator },
        cron,
        due_at: Utc::now(),
        late_by_seconds: None,
    })
}
