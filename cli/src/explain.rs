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
    /// The repository's path on the forge.
    #[arg(long)]
    pub(crate) repository: RepositoryName,
    /// The local clone or bare repository that has the commit.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) git_dir: PathBuf,
    /// The full ref that is pushed or deleted, whose schedule is due, or that the pull request would
    /// go into; a branch or a tag.
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) ref_name: RefName,
    /// The commit that is pushed, the head of the branch, or the pull request's head; of all but a
    /// deletion.
    #[arg(long, value_name = "SHA", required_unless_present_any = ["deleted"], conflicts_with = "deleted")]
    pub(crate) commit: Option<CommitId>,
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
    let event = event(&args, &config)?;
    let explained =
        forge_bridge::explain::explain(config, &forge, &args.git_dir, &event, Utc::now()).await;
    print(&explained.map_err(|error| Failure::Usage(error.to_string()))?, args.shown)
}

/// The event that is to be explained.
fn event(args: &ExplainArgs, config: &Config) -> Result<Event, Failure> {
    let (repository, ref_name) = (args.repository.clone(), args.ref_name.clone());
    let is_tag = ref_name.as_tag().is_some();
    let Some(commit) = args.commit.clone() else {
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
        EventKind::Schedule => Event::Schedule(due(args, config, commit)?),
    })
}

fn due(args: &ExplainArgs, config: &Config, head: CommitId) -> Result<ScheduleDue, Failure> {
    let (Some(workflow), Some(cron)) = (args.workflow.clone(), args.cron.clone()) else {
        let why = "say which schedule with --workflow FILE and --cron FIELDS";
        return Err(Failure::Usage(why.to_owned()));
    };
    let mut directories = config.workflows.directories.iter();
    let is_own = directories.any(|directory| workflow.starts_with(&format!("{directory}/")));
    Ok(ScheduleDue {
        repository: args.repository.clone(),
        ref_name: args.ref_name.clone(),
        head,
        workflow,
        origin: if is_own { Origin::Repository } else { Origin::Operator },
        cron,
        due_at: Utc::now(),
        late_by_seconds: None,
    })
}
