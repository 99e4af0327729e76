//! Strata: layered container images from dist-git.
//!
//! One file to install: the roles that serve (`bridge`, `runner`, `up`), and the verbs with which
//! maintainers and operators ask. Only the `output` module writes to the terminal.

mod allocator;
mod approve;
mod args;
mod bench;
mod branches;
mod build;
mod build_image;
mod called;
mod cancel;
mod client;
mod decode;
mod deliveries;
mod dispatch;
mod dist_git;
mod eval;
mod explain;
mod failure;
mod forge;
mod hook;
mod images;
mod lint;
mod local;
mod logging;
mod logs;
mod lookaside;
mod named_values;
mod output;
mod program;
mod promote;
mod rebuild;
mod rerun;
mod roles;
mod run_workflow;
mod runs;
mod settings;
mod show;
mod stale;
mod status;
mod store;
mod verrel;
mod wait;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = prepare(&cli).and_then(|runtime| {
        let ended = runtime.block_on(perform(cli));
        // A thread that waits for a server that hangs must not hold up the end.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

/// What must be there before the first task runs.
fn prepare(cli: &Cli) -> Result<tokio::runtime::Runtime, Failure> {
    // Two crates below would each like another provider; the first one installed serves all, and
    // nothing was installed before this line.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if matches!(cli.command, Command::Bridge(_) | Command::Runner(_)) {
        allocator::bound();
    }
    logging::start(cli.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Broken(anyhow::Error::new(error).context("cannot start")))
}

async fn perform(cli: Cli) -> Result<(), Failure> {
    // The roles are configured by files of their own and not by the settings of a person.
    let is_role = matches!(
        cli.command,
        Command::Up(_) | Command::Bridge(_) | Command::Runner(_) | Command::Hook(_)
    );
    if !is_role {
        settings::get()?;
    }
    match cli.command {
        Command::Up(args) => roles::up(args).await,
        Command::Bridge(args) => roles::bridge(args).await,
        Command::Runner(args) => roles::runner(args).await,
        Command::Hook(args) => Ok(hook::run(args).await?),
        Command::Runs(args) => runs::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Images(args) => images::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Promote(args) => promote::run(args).await,
        Command::Wait(args) => wait::run(args).await,
        Command::Logs(args) => logs::run(args).await,
        Command::Deliveries(command) => deliveries::run(command).await,
        Command::Forge(command) => forge::run(command).await,
        Command::Explain(args) => explain::run(args).await,
        Command::Stale(args) => stale::run(args).await,
        Command::Rebuild(command) => rebuild::run(&command).await,
        Command::BuildImage(args) => build_image::run(*args).await,
        Command::Store(command) => store::run(command),
        Command::Clone(args) => branches::clone(&args),
        Command::SwitchBranch(args) => branches::switch(&args),
        Command::Build(args) => build::release(args).await,
        Command::ScratchBuild(args) => build::scratch(args).await,
        Command::Approve(args) => approve::run(args).await,
        Command::Dispatch(args) => dispatch::run(args).await,
        Command::Cancel(args) => cancel::run(args).await,
        Command::Rerun(args) => rerun::run(args).await,
        Command::Secret(command) => named_values::secret(command).await,
        Command::Variable(command) => named_values::variable(command).await,
        Command::Local(args) => local::run(*args).await,
        Command::Verrel(args) => verrel::run(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Lint(args) => lint::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Run(args) => run_workflow::run(*args).await,
        Command::Sources(args) => lookaside::sources::run(args).await,
        Command::NewSources(args) => lookaside::new_sources::run(args).await,
        Command::Decode(args) => decode::run(&args),
        Command::Bench(command) => bench::run(command).await,
    }
}
