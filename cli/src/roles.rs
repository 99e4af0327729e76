//! The roles that serve: where their configuration is, and when they stop.

mod lock;
mod up;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use forge_bridge::config::Config;
use runner::RunnerConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::{allocator, program};

pub(crate) use up::up;

/// How often what is not used is given back to the system. It takes a millisecond.
const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(10);

/// In the bridge's state directory: whose it is.
const BRIDGE_LOCK: &str = "bridge.lock";
/// The same in a runner's, which may be the same directory.
const RUNNER_LOCK: &str = "lock";

/// Where the bridge's configuration is.
#[derive(Debug, Args)]
pub(crate) struct BridgeArgs {
    /// The bridge's configuration.
    #[arg(long, value_name = "FILE", default_value = "strata.toml")]
    config: PathBuf,
    #[command(flatten)]
    tie: Tie,
}

/// Where the runner's configuration is.
#[derive(Debug, Args)]
pub(crate) struct RunnerArgs {
    /// The runner's configuration.
    #[arg(long, value_name = "FILE", default_value = "runner.toml")]
    config: PathBuf,
    #[command(flatten)]
    tie: Tie,
}

/// What ties a role to the process that started it.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Tie {
    /// Drain and end when standard input ends: so ends a role whose `strata up` was killed.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// Where the configuration of both is.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// The bridge's configuration.
    #[arg(long, value_name = "FILE", default_value = "strata.toml")]
    config: PathBuf,
    /// The runner's configuration.
    #[arg(long, value_name = "FILE", default_value = "runner.toml")]
    runner_config: PathBuf,
}

pub(crate) async fn bridge(args: BridgeArgs) -> Result<(), Failure> {
    let config = read_bridge(&args.config)?;
    let stop = stop_signal(args.tie)?;
    let path = config.state_dir.join(BRIDGE_LOCK);
    let Some(_lock) = lock::take("bridge", &path, args.tie, &stop).await? else { return Ok(()) };
    tokio::spawn(give_back());
    Ok(forge_bridge::serve(config, stop).await?)
}

pub(crate) async fn runner(args: RunnerArgs) -> Result<(), Failure> {
    let config = read_runner(&args.config)?;
    let stop = stop_signal(args.tie)?;
    let path = config.state_dir.join(RUNNER_LOCK);
    let Some(_lock) = lock::take("runner", &path, args.tie, &stop).await? else { return Ok(()) };
    tokio::spawn(give_back());
    Ok(runner::run(config, stop).await?)
}

/// Gives back to the system what a role does not use, again and again, until the process ends.
async fn give_back() {
    loop {
        tokio::time::sleep(GIVE_BACK_INTERVAL).await;
        allocator::trim();
        program::give_back();
    }
}

fn read_bridge(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|error| Failure::Usage(error.to_string()))
}

fn read_runner(path: &Path) -> Result<RunnerConfig, Failure> {
    RunnerConfig::load(path).map_err(|error| Failure::Usage(error.to_string()))
}

/// Cancelled by SIGTERM and SIGINT, and by the end of standard input where the role is tied to it.
fn stop_signal(tie: Tie) -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_ended(), if tie.until_stdin_ends => {}
        }
        tracing::info!("asked to stop; draining");
        stopped.cancel();
    });
    Ok(stop)
}

/// Waits on a thread of its own: a runtime that shuts down would wait for a blocking task.
async fn stdin_ended() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let copied = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ended.send(copied));
    });
    drop(end.await);
}
