//! The command line as written.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::failure::Failure;
use crate::{
    approve, bench, branches, build, build_image, cancel, decode, deliveries, dispatch, eval,
    explain, forge, hook, images, lint, local, logging, logs, lookaside, named_values, promote,
    rebuild, rerun, roles, run_workflow, runs, settings, show, stale, status, store, verrel, wait,
    watch,
};

const EXAMPLES: &str = "\
Examples:
  strata up --config strata.toml         bridge and one runner on this machine
  strata runs --repository containers/httpd --state failure
  strata status 42                       one run: jobs, steps, image, what did not fire and why
  strata show httpd-container-2.4-1.fc43 --sbom  a build's record, or its packages as SPDX
  strata promote httpd-container-2.4-1.fc43  from here on the stable tags name it
  strata status retry 42                 post the statuses that the forge refused again
  strata logs 42 --follow                until it ends; exits with 1 when it does not end well
  strata dispatch nightly.yml --repository containers/httpd --ref f43 -i level=full
  strata cancel 42                       stop it; `always()` steps still run
  strata rerun 42 --failed               as a new run, with the results of what went well
  strata clone containers/httpd          then, inside of the clone, by branch and commit:
  strata switch-branch f43
  strata lint                            every file that the bridge will look at
  strata local                           a build on this machine, pushed nowhere
  strata verrel                          the NVR that the next build gets
  strata build                           build what is pushed, and watch it
  strata scratch-build --nowait          a test build; `strata watch` finds it again
  strata approve containers/httpd#7      let a stranger's pull request run, at its head of now
  strata secret set TOKEN --repository containers/httpd --branch f43  value on standard input
  strata variable set MIRROR https://mirror.example --namespace containers
  strata build --isolated --release 2.1  a fix beside the line
  strata lint .strata/workflows/*.yml    before the push
  strata run .strata/workflows/ci.yml --job test  on this machine, without a bridge
  strata eval github.ref_name --context run.json  one expression, as JSON
  strata build-image -t r.example/httpd:1 --push .   a Dockerfile to a registry, in one pass
  strata forge check pagure --create-hook  prove a forge's configuration, and make the webhook
  strata status list --refused           statuses that a forge refused, and why
  strata store prune --max-bytes 10g     what no build used for longest goes
  strata deliveries list --state skipped  what came in and caused nothing, and why
  strata deliveries replay 17 --token-file token

Exit codes:
  0  yes, done
  1  the answer is no: a run failed, a file has faults, there is no such thing
  2  the command makes no sense as written
  3  the bridge cannot be reached or does not answer

Commands that ask a bridge find it by --bridge or STRATA_BRIDGE. With --json they print what
`/api/v1` answers, with times as RFC 3339. Colours are for terminals, and not with NO_COLOR.";

/// Layered container images from dist-git: pinned, sandboxed, recorded builds of every push.
#[derive(Debug, Parser)]
#[command(name = "strata", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// How our own log is written to standard error; RUST_LOG says how much of it.
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Log")]
    pub(crate) log_format: logging::Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The roles, and the verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve everything on this machine: the bridge and one runner.
    Up(roles::UpArgs),
    /// Serve the bridge: webhooks in, plans and a queue, commit statuses out.
    Bridge(roles::BridgeArgs),
    /// Serve a runner: lease jobs and execute them in confined containers.
    Runner(roles::RunnerArgs),
    /// Report a push to a bare repository; called by git as its post-receive hook.
    Hook(hook::Args),
    /// List runs, newest first.
    Runs(runs::RunsArgs),
    /// Show how much waits where; or one run with its jobs.
    Status(status::StatusArgs),
    /// List images, newest first.
    Images(images::ImagesArgs),
    /// Show the record of one build: what went in, what was done, what came out.
    Show(show::ShowArgs),
    /// Give a build the stable tags of its release, by its digest; what stands on them is rebuilt.
    Promote(promote::PromoteArgs),
    /// Tell what happens until nothing is under way.
    Wait(wait::WaitArgs),
    /// Print the log of a run's jobs.
    Logs(logs::LogsArgs),
    /// What forges sent, and what became of it.
    #[command(subcommand)]
    Deliveries(deliveries::DeliveriesCommand),
    /// Whether a forge's configuration works.
    #[command(subcommand)]
    Forge(forge::ForgeCommand),
    /// Say which workflows an event would run on a local repository, and why the others not.
    Explain(explain::ExplainArgs),
    /// Show the images that stand on a parent that moved, and since when.
    Stale(stale::StaleArgs),
    /// What stands on parent images that moved.
    #[command(subcommand)]
    Rebuild(rebuild::RebuildCommand),
    /// Build an image of a Dockerfile, in one pass and without a daemon.
    BuildImage(Box<build_image::BuildImageArgs>),
    /// What builds on this machine keep for later ones.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Clone a dist-git repository.
    Clone(branches::CloneRepositoryArgs),
    /// Switch the clone to another branch, of the origin where it is not here yet.
    SwitchBranch(branches::SwitchBranchArgs),
    /// Build the pushed head of this branch, and watch it.
    Build(build::BuildArgs),
    /// Build it as a test: one tag that nobody uses, no release kept.
    ScratchBuild(build::ScratchBuildArgs),
    /// Let the change of a stranger run: exactly its head as it is now.
    Approve(approve::ApproveArgs),
    /// Run a workflow on the head of a branch, with inputs.
    Dispatch(dispatch::DispatchArgs),
    /// Stop a run.
    Cancel(cancel::CancelArgs),
    /// Run a run again, or what of it failed.
    Rerun(rerun::RerunArgs),
    /// Secrets that jobs are given when they begin.
    #[command(subcommand)]
    Secret(named_values::SecretCommand),
    /// Variables of workflows, which everybody may know.
    #[command(subcommand)]
    Variable(named_values::VariableCommand),
    /// Build the working tree on this machine; nothing is pushed.
    Local(Box<local::LocalArgs>),
    /// Print the NVR that the next build of this branch gets.
    Verrel(verrel::VerrelArgs),
    /// Tell what becomes of runs until they end.
    Watch(watch::WatchArgs),
    /// Check workflow files, or all files of a clone that a build looks at.
    Lint(lint::LintArgs),
    /// Print what an expression of a workflow gives.
    Eval(eval::EvalArgs),
    /// Run a workflow of the working tree on this machine, in Docker, without a bridge.
    Run(Box<run_workflow::RunArgs>),
    /// Bring the files that `sources` lists into the working tree.
    Sources(lookaside::sources::SourcesArgs),
    /// Upload files to the lookaside cache and list them, and no others, in `sources`.
    NewSources(lookaside::new_sources::NewSourcesArgs),
    /// Say what a webhook body means.
    Decode(decode::DecodeArgs),
    /// Measure this machine.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

/// Which bridge to ask, and how to show the answer.
#[derive(Debug, Clone, Args)]
pub(crate) struct Asking {
    /// Where the bridge is.
    #[arg(
        long,
        value_name = "URL",
        env = "STRATA_BRIDGE",
        default_value = settings::default_bridge()
    )]
    pub(crate) bridge: reqwest::Url,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// How to show the answer.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Shown {
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who is asking, for what changes something.
#[derive(Debug, Clone, Args)]
pub(crate) struct Operator {
    /// File with your token: a maintainer's, or the operator's.
    #[arg(long, value_name = "FILE", env = "STRATA_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl Operator {
    /// The token's file, from the command line, the environment or the settings.
    pub(crate) fn token_file(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.token_file {
            return Ok(path.clone());
        }
        settings::get()?.token_file().ok_or_else(|| {
            Failure::Usage(
                "the bridge wants to know who asks: say where your token is with --token-file, \
                 STRATA_TOKEN_FILE, or token_file in ~/.config/strata/config.toml"
                    .to_owned(),
            )
        })
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Paging {
    /// Rows.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,
    /// Only what is older than this number.
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<i64>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_examples_of_the_help_are_read() {
        let examples = EXAMPLES.lines().filter_map(|line| line.trim().strip_prefix("strata "));
        let mut read = 0;
        for example in examples {
            // Two spaces divide the command from what it is for.
            let command = example.split("  ").next().unwrap_or_default();
            let words = std::iter::once("strata").chain(command.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command}: {error}"));
            read += 1;
        }
        assert!(read > 0, "the help has examples");
    }
}
