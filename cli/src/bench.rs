//! Measurements that anybody can repeat on their own machine.
//!
//! Each one measures the real thing: the binary itself as bridge and runner, real git, a real
//! engine and registry, and a forge that is an honest HTTP server. `scripts/bench` brings the
//! parts and runs all of them.

mod build;
mod client;
mod deliveries;
mod figures;
mod forge;
mod history;
mod lease;
mod limits;
mod memory;
mod observe;
mod plan;
mod push;
mod replay;
mod run;
mod site;
mod stage;
mod status;
mod steps;
mod whole;

use clap::Subcommand;

use crate::args::Shown;
use crate::failure::Failure;
use crate::output::Output;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Deliveries that a bridge takes in a second.
    Deliveries(deliveries::Args),
    /// A replay of recorded deliveries with duplicates, twice: the second time nothing happens.
    Replay(replay::Args),
    /// What this machine could do at best: signatures, and writes that are safe on the disk.
    Limits(Shown),
    /// Time from a delivery to the pending status at the forge.
    Status(status::Args),
    /// Memory of an idle bridge, fresh and after a thousand pushes.
    Memory(Shown),
    /// Parents that are asked for in a second, against the same requests by a bare loop.
    Observe(observe::Args),
    /// Time and memory of a plan of rebuilds over a very large distribution.
    Plan(plan::Args),
    /// Time from a runner's request for a job to the job's first container.
    Lease(lease::Args),
    /// Time from `git push` to the final status, and of the same build by hand.
    Run(run::Args),
    /// Time of a step of a job, and of a bare `docker exec`.
    Steps(steps::Args),
    /// Images by Strata's own builder and by the other engines of this machine, side by side.
    Build(build::Args),
    /// All of it but `build`, `steps` and `replay`.
    All(whole::Args),
}

/// Measures and prints.
pub(crate) async fn run(command: BenchCommand) -> Result<(), Failure> {
    let (shown, figures) = match command {
        BenchCommand::Build(args) => return build::run(args).await,
        BenchCommand::Deliveries(args) => (args.shown, deliveries::measure(&args).await?),
        BenchCommand::Replay(args) => (args.shown, replay::measure(&args).await?),
        BenchCommand::Limits(shown) => (shown, limits::measure().await?),
        BenchCommand::Status(args) => (args.shown, status::measure(args.pushes).await?),
        BenchCommand::Memory(shown) => (shown, memory::measure().await?),
        BenchCommand::Observe(args) => {
            (args.shown, observe::measure(args.references, args.registry).await?)
        }
        BenchCommand::Plan(args) => (args.shown, plan::measure(args.images)?),
        BenchCommand::Lease(args) => (args.shown, lease::measure(&args.registry, args.jobs).await?),
        BenchCommand::Run(args) => (args.shown, run::measure(&args.registry, args.rounds).await?),
        BenchCommand::Steps(args) => (args.shown, steps::measure(&args).await?),
        BenchCommand::All(args) => (args.shown, whole::measure(&args).await?),
    };
    figures::print(&figures, &Output::new(shown))
}
