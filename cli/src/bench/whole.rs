//! `strata bench all`: every measurement, one after the other.

use super::deliveries::Load;
use super::figures::Figure;
use super::{deliveries, lease, limits, memory, observe, plan, run, status};
use crate::args::Shown;
use crate::failure::Failure;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A registry over plain HTTP that has `rawhide/base:latest`, an image with a shell.
    #[arg(long, value_name = "HOST:PORT")]
    registry: String,
    /// Rounds of whole runs and builds by hand.
    #[arg(long, default_value_t = run::DEFAULT_ROUNDS, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// Measures all.
pub(super) async fn measure(args: &Args) -> Result<Vec<Figure>, Failure> {
    let mut figures = limits::measure().await?;
    figures.extend(deliveries::measure_here(args.load, None).await?);
    figures.extend(status::measure(status::DEFAULT_PUSHES).await?);
    figures.extend(observe::measure(observe::DEFAULT_REFERENCES, None).await?);
    figures.extend(plan::measure(plan::DEFAULT_IMAGES)?);
    figures.extend(lease::measure(&args.registry, lease::DEFAULT_JOBS).await?);
    figures.extend(run::measure(&args.registry, args.rounds).await?);
    figures.extend(memory::measure().await?);
    Ok(figures)
}
